"""Mutants of the C core, held against its own test program; see README.md here.

``core.py`` tries all of them, ``core.py 50 v1.c v2.c`` that many of each of these files, drawn with
a fixed seed. A mutant that compiles to the same code is none.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from backends import VECTORS
from program import CSRC, PROGRAM, vector_line
from verdict import Mutant, report

TIMEOUT = 60  # seconds; a mutant may loop for ever
COMPILE = ["cc", "-std=c11", "-O1", "-w"]
# With the processor's own instructions and without them: a line that one of them leaves out is
# tried with the other.
VARIANTS = {"native": ["-march=native"], "portable": ["-DFPP_PORTABLE"]}
# Written by a program, or declarations alone.
NOT_MUTATED = ("spec.h", "fastppv2.h", "fastppv2_all.h")
FILES = sorted(path.name for path in CSRC.glob("*.[ch]") if path.name not in NOT_MUTATED)

SWAPS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "&&": ("||",),
    "||": ("&&",),
    "+": ("-",),
    "-": ("+",),
    "&": ("|",),
    "|": ("&",),
    "^": ("|",),
    "<<": (">>",),
    ">>": ("<<",),
    "+=": ("-=",),
    "-=": ("+=",),
    "|=": ("&=",),
    "++": ("--",),
    "--": ("++",),
    "!": ("",),
    "~": ("",),
}
# What is no operator: comments, literals, directives with their continuations; and what never
# fails where the core is right.
SKIPPED = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])'"
    r"|^[ ]*#(?:\\\n|[^\n])*|assert\([^;]*;",
    re.DOTALL | re.MULTILINE,
)
# Binary operators stand between blanks, so that pointers and signs are not taken for them.
TOKEN = re.compile(
    r"(?<= )(?:<<|>>|<=|>=|==|!=|&&|\|\||\+=|-=|\|=|[<>+\-&|^])(?= )"
    r"|\+\+|--|!(?!=)|~"
    r"|\b(?:0[xX][0-9a-fA-F]+|\d+)(?=u?\b)"
)


def changes(token: str) -> tuple[str, ...]:
    if token[0].isdigit():
        number = int(token, 0)
        return tuple([str(near) for near in (number + 1, number - 1) if near >= 0])
    return SWAPS[token]


def mutants_of(name: str) -> Iterator[tuple[Mutant, str]]:
    """Each with the whole text that it makes of the file."""
    text = (CSRC / name).read_text()
    code = SKIPPED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    lines = text.splitlines()
    for found in TOKEN.finditer(code):
        for change in changes(found[0]):
            changed = text[: found.start()] + change + text[found.end() :]
            line = text.count("\n", 0, found.start())
            now = changed.splitlines()[line]
            yield Mutant(name, line + 1, lines[line].strip(), now.strip()), changed


class Program:
    """The test program, of which only the core is compiled again."""

    def __init__(self, directory: Path, flags: list[str]) -> None:
        self.directory = directory
        self.flags = flags
        directory.mkdir()
        self.tests = [self.compile(source, CSRC) for source in PROGRAM]
        self.original = self.compile(CSRC / "fastppv2_all.h", CSRC).read_bytes()

    def compile(self, source: Path, include: Path) -> Path:
        target = self.directory / f"{source.stem}.o"
        words = [*COMPILE, *self.flags, f"-I{include}", "-x", "c", "-c", source, "-o", target]
        subprocess.run(words, check=True, capture_output=True, timeout=TIMEOUT)
        return target

    def verdict(self, core: Path, vectors: Path) -> str:
        """Of the core in that directory: "none" where it is the same code, "killed" or "left"."""
        try:
            compiled = self.compile(core / "fastppv2_all.h", core)
        except subprocess.SubprocessError:
            return "none"
        if compiled.read_bytes() == self.original:
            return "none"
        program = self.directory / "core"
        subprocess.run(["cc", compiled, *self.tests, "-o", program], check=True)
        try:
            done = subprocess.run([program, vectors], capture_output=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return "killed"
        return "killed" if done.returncode else "left"


def tried(programs: list[Program], core: Path, vectors: Path) -> str:
    found = "none"
    for program in programs:
        verdict = program.verdict(core, vectors)
        if verdict == "killed":
            return verdict
        found = verdict if found == "none" else found
    return found


def main(sample: int | None, files: list[str]) -> int:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        vectors = directory / "vectors.txt"
        vectors.write_text("".join([vector_line(case) + "\n" for case in VECTORS]))
        core = directory / "csrc"
        core.mkdir()
        for path in CSRC.glob("*.[ch]"):
            (core / path.name).write_text(path.read_text())
        programs = [Program(directory / kind, flags) for kind, flags in VARIANTS.items()]
        good = [each(file, sample, programs, core, vectors) for file in files or FILES]
    return 0 if all(good) else 1


def each(file: str, sample: int | None, programs: list[Program], core: Path, vectors: Path) -> bool:
    """All mutants of a file, or some of them."""
    found = list(mutants_of(file))
    if sample is not None and sample < len(found):
        found = random.Random(sample).sample(found, sample)
    verdicts = []
    for mutant, text in found:
        (core / file).write_text(text)
        verdicts.append((mutant, tried(programs, core, vectors)))
    (core / file).write_text((CSRC / file).read_text())
    left = [mutant for mutant, verdict in verdicts if verdict == "left"]
    count = len([verdict for _, verdict in verdicts if verdict != "none"])
    return report(file, count, left, whole=sample is None)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    sys.exit(main(*(numbers or [None]), [word for word in sys.argv[1:] if not word.isdigit()]))
