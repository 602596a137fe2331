"""What became of the mutants of a file, and whether that is enough."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import tomllib

EQUIVALENTS = Path(__file__).with_name("equivalents.toml")
KILLED_AT_LEAST = 0.95
EQUIVALENT_AT_MOST = 0.02


class Mutant(NamedTuple):
    """What a mutation does to the lines of a file."""

    file: str
    line: int
    was: str
    now: str


def explained() -> set[tuple[str, str, str]]:
    """The mutants that no test can tell from the code, as equivalents.toml lists them."""
    listed = tomllib.loads(EQUIVALENTS.read_text())
    return {
        (file, entry["was"].strip(), entry["now"].strip())
        for file, entries in listed.items()
        for entry in entries
        if entry["why"]
    }


def report(file: str, count: int, left: list[Mutant], whole: bool = True) -> bool:
    """Prints the figures and what is wrong; ``whole``: all mutants of the file were tried."""
    known = {entry for entry in explained() if entry[0] == file}
    equivalent = [mutant for mutant in left if (file, mutant.was, mutant.now) in known]
    unexplained = [mutant for mutant in left if mutant not in equivalent]
    for mutant in unexplained:
        print(f"survived: {file}:{mutant.line}:\n- {mutant.was}\n+ {mutant.now}")
    stale = known - {(file, mutant.was, mutant.now) for mutant in equivalent} if whole else set()
    for _, was, now in stale:
        print(f"listed in {EQUIVALENTS.name}, but killed or gone:\n- {was}\n+ {now}")
    killed = count - len(left)
    print(
        f"{file}: {killed} of {count} killed ({killed / count:.1%}), {len(equivalent)} are "
        f"equivalent ({len(equivalent) / count:.1%}), {len(unexplained)} survived",
        flush=True,
    )
    few = len(equivalent) <= EQUIVALENT_AT_MOST * count
    return killed >= KILLED_AT_LEAST * count and few and not unexplained and not stale
