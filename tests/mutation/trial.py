"""Mutants tried, several at a time and while there is time: what core.py and python.py share."""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from verdict import Figures, Mutant, judge

LOG = Path(__file__).with_name("runs.txt")
SECONDS = 120  # a mutant may wait for what does not come


class Bench(Protocol):
    """A copy of the sources, where one mutant after the other is tried."""

    def verdict(self, mutant: Mutant, text: str) -> str:
        """Of the file changed to text: "killed", "left", or "none" where it is the same code."""


# All mutants of a file, each with the whole text that it makes of it; and a number of benches.
Maker = Callable[[str], list[tuple[Mutant, str]]]
Benches = Callable[[Path, int], list[Any]]


class Results:
    """What was found out, and kept in a file if there is one, for the next run to go on."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.verdicts: dict[Mutant, str] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                *mutant, verdict = json.loads(line)
                self.verdicts[Mutant(*mutant)] = verdict

    def add(self, mutant: Mutant, verdict: str) -> None:
        self.verdicts[mutant] = verdict
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps([*mutant, verdict]) + "\n")


def passes(limits: str, *words: str | Path, **options: Any) -> bool:
    """Whether the command ends with status 0; limits are commands of the shell, such as ulimit."""
    limited = ["sh", "-c", limits + ' && exec "$@"', "sh", *words]
    try:
        return (
            subprocess.run(limited, capture_output=True, timeout=SECONDS, **options).returncode == 0
        )
    except subprocess.TimeoutExpired:
        return False


def try_all(
    todo: list[tuple[Mutant, str]], benches: list[Bench], results: Results, deadline: float
) -> None:
    idle: SimpleQueue[Bench] = SimpleQueue()
    for bench in benches:
        idle.put(bench)

    def try_one(each: tuple[Mutant, str]) -> None:
        if time.monotonic() < deadline:
            bench = idle.get()
            results.add(each[0], bench.verdict(*each))
            idle.put(bench)

    with ThreadPoolExecutor(len(benches)) as pool:
        list(pool.map(try_one, todo))


def sample_of(mutants: list[tuple[Mutant, str]], count: int) -> list[tuple[Mutant, str]]:
    return random.Random(count).sample(mutants, min(count, len(mutants)))


def log(found: dict[str, Figures]) -> None:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    with LOG.open("a") as file:
        for name, each in found.items():
            numbers = f"{each.tried:>7} {each.killed:>6} {each.equivalent:>10}"
            file.write(f"{today}  {name:<12} {numbers} {each.unexplained:>11}\n")


def main(description: str, files: list[str], mutants_of: Maker, benches: Benches) -> int:
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("file", nargs="*", help=f"of {' '.join(files)}; all")
    parser.add_argument("--sample", type=int, help="so many of each file, always the same ones")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after that time")
    parser.add_argument("--results", type=Path, help="keep the verdicts here, and go on from them")
    parser.add_argument("--log", action="store_true", help=f"append to {LOG.name}")
    asked = parser.parse_args()
    deadline = time.monotonic() + asked.seconds
    mutants = {file: mutants_of(file) for file in asked.file or files}
    if asked.sample is not None:
        mutants = {file: sample_of(found, asked.sample) for file, found in mutants.items()}
    results = Results(asked.results)
    todo = [each for found in mutants.values() for each in found if each[0] not in results.verdicts]
    with tempfile.TemporaryDirectory() as directory:
        try_all(todo, benches(Path(directory), os.cpu_count() or 1), results, deadline)
    untried = [mutant for mutant, _ in todo if mutant not in results.verdicts]
    if untried:
        print(f"not tried yet: {len(untried)} of {len(todo)}")
        return 1
    figures = [
        judge(file, [mutant for mutant, _ in found], results.verdicts, asked.sample is None)
        for file, found in mutants.items()
    ]
    if asked.log:
        log(dict(zip(mutants, figures)))
    total = sum(figures, Figures())
    print(f"all: {total}")
    return 0 if total.are_good() else 1
