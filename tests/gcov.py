"""What of a program's C code ran, as GNU's gcov tells it."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tools import require_tool


class Reached(NamedTuple):
    """How often each was reached; what was not is there, with 0."""

    lines: Counter[tuple[str, int]]  # file, line
    branches: Counter[tuple[str, int, int]]  # file, line, which of its ways


def reached(sources: Path, directory: Path) -> Reached:
    """Of the files in ``sources``, over all the objects in ``directory`` that contain them."""
    found = Reached(Counter(), Counter())
    notes = sorted(directory.glob("*.gcda"))
    told = subprocess.run(
        [require_tool("gcov"), "--json-format", "--branch-probabilities", "--stdout", *notes],
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for document in told.stdout.splitlines():
        for file in json.loads(document)["files"]:
            path = (directory / file["file"]).resolve()
            if path.parent != sources:
                continue
            for line in file["lines"]:
                place = path.name, line["line_number"]
                found.lines[place] += line["count"]
                for which, branch in enumerate(line["branches"]):
                    found.branches[(*place, which)] += branch["count"]
    return found
