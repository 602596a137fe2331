"""Fuzzes the C core and the backends; for hours: ``--seconds 3600 --corpus DIR --log``.

README.md, beside this file, says what is fuzzed. Findings are printed in hexadecimal.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CSRC = ROOT / "csrc"
CORE = sorted(CSRC.glob("*.c"))
VECTORS = ROOT / "tests" / "vectors" / "vectors.json"
LOG = HERE / "executions.txt"

STANDARD = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ENVIRONMENT = {
    # Without what measures coverage: atheris does that itself, and is slow enough.
    **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
    # Stacks of allocations and a large quarantine cost half of the speed; the core allocates none.
    "ASAN_OPTIONS": "malloc_context_size=0:quarantine_size_mb=1:detect_leaks=0",
    # A merge starts the program anew, by its own name: this Python has to be found for it.
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
}

# Each harness, and how long its inputs get: what is small enough is tried often enough.
C_HARNESSES = {"parse": 512, "build": 256, "tlv": 256, "address": 64, "networks": 256}
HARNESSES = {**C_HARNESSES, "differential": 512}

# What stands in front of a vector to make it an input, for the harnesses that take headers.
PREFIXES = {
    "parse": [b""],
    "build": [b""],
    # parse, Parser in four pieces, encode to v1 and to v2
    "differential": [b"\0\0", b"\1\0\0\3\5\7\1", b"\2\1", b"\2\2"],
}


class Run(NamedTuple):
    harness: str
    executions: int
    seconds: int
    findings: list[bytes]


def derived(harness: str) -> list[bytes]:
    """The vectors as inputs."""
    vectors = [bytes.fromhex(case["hex"]) for case in json.loads(VECTORS.read_text())]
    return [prefix + data for data in vectors for prefix in PREFIXES.get(harness, [])]


def kept(harness: str) -> list[bytes]:
    """What earlier runs have found worth keeping."""
    return [bytes.fromhex(line) for line in seeds_file(harness).read_text().split()]


def seeds_file(harness: str) -> Path:
    return HERE / "seeds" / f"{harness}.txt"


def write_seeds(harness: str, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(derived(harness) + kept(harness)):
        (directory / f"seed-{number:04}").write_bytes(seed)


def compile_harness(harness: str, directory: Path) -> list[str | Path]:
    """The command that fuzzes it."""
    if harness not in C_HARNESSES:
        return [sys.executable, HERE / f"fuzz_{harness}.py"]
    program, compiled = directory / harness, directory / "harness.o"
    flags = [*STANDARD, "-O2", "-g", *SANITIZERS, f"-I{CSRC}"]
    # Not with the harness: coverage is the core's, and counting costs a third of the speed.
    for command in (
        [*flags, "-c", HERE / f"fuzz_{harness}.c", "-o", compiled],
        [*flags, "-fsanitize=fuzzer", *CORE, compiled, "-o", program],
    ):
        subprocess.run(["clang", *command], check=True)
    return [program]


def compile_replay(harness: str, directory: Path, compiler: str, *flags: str) -> Path:
    """A program that tries the files it is given, without libFuzzer."""
    program = directory / harness
    sources = [*CORE, HERE / f"fuzz_{harness}.c", HERE / "replay.c"]
    command = [compiler, *STANDARD, *flags, f"-I{CSRC}", *sources, "-o", program]
    subprocess.run(command, cwd=directory, check=True)
    return program


def fuzz(harness: str, directory: Path, *limits: str) -> Run:
    """Runs it in a directory of its own, where corpus/ holds its inputs."""
    corpus = directory / "corpus"
    write_seeds(harness, corpus)
    command = [
        *compile_harness(harness, directory),
        *limits,
        f"-max_len={HARNESSES[harness]}",
        "-print_final_stats=1",
        f"-artifact_prefix={directory}/",
        corpus,
    ]
    start = time.monotonic()
    done = subprocess.run(
        command,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    seconds = round(time.monotonic() - start)
    found = [path for path in directory.iterdir() if re.match("crash|timeout|oom", path.name)]
    executions = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    if executions is None or (done.returncode != 0 and not found):
        raise RuntimeError(f"{harness} did not run:\n{done.stdout[-8000:]}")
    if found:
        print(done.stdout[-8000:], file=sys.stderr)
    return Run(harness, int(executions[1]), seconds, [path.read_bytes() for path in found])


def keep(harness: str, directory: Path) -> None:
    """Adds to seeds/ what its runs have learned: the least inputs that reach what no seed does."""
    with tempfile.TemporaryDirectory() as merged:
        write_seeds(harness, Path(merged))
        command = [*compile_harness(harness, directory), "-merge=1", merged, directory / "corpus"]
        subprocess.run(command, env=ENVIRONMENT, check=True, stderr=subprocess.DEVNULL)
        learned = {path.read_bytes() for path in Path(merged).iterdir()} - set(derived(harness))
    text = "".join(
        [f"{seed.hex()}\n" for seed in sorted(learned, key=lambda seed: (len(seed), seed))]
    )
    seeds_file(harness).write_text(text)


def log(run: Run) -> None:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    with LOG.open("a") as file:
        file.write(
            f"{today}  {run.harness:<12} {run.executions:>12} {run.seconds:>8} "
            f"{len(run.findings):>8}\n"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("harness", nargs="*", default=list(HARNESSES), help=", ".join(HARNESSES))
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (60)")
    parser.add_argument("--corpus", type=Path, help="a directory to go on from, and to leave it in")
    parser.add_argument("--log", action="store_true", help=f"append to {LOG.name}")
    parser.add_argument("--keep", action="store_true", help="add what was learned to seeds/")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:
        work: Path = (chosen.corpus or Path(temporary)).resolve()
        limit = f"-max_total_time={chosen.seconds}"
        findings = 0
        for run in pool.map(lambda name: fuzz(name, work / name, limit), chosen.harness):
            print(f"{run.harness}: {run.executions} executions in {run.seconds} s")
            for data in run.findings:
                print(f"{run.harness}: FOUND {data.hex()}")
            findings += len(run.findings)
            if chosen.log:
                log(run)
            if chosen.keep:
                keep(run.harness, work / run.harness)
    return findings > 0


if __name__ == "__main__":
    sys.exit(main())
