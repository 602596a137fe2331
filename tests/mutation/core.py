"""Mutants of the C core, held against its own test program; see README.md here.

A mutant that compiles to the same code is none.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from backends import VECTORS
from program import CSRC, PROGRAM, vector_line
from trial import main, passes
from verdict import Mutant

LIMITS = "ulimit -t 6"  # seconds: a mutant may loop for ever, the whole program takes one or two
FLAGS = ["-std=c11", "-O1", "-w"]
# With the processor's own instructions and without them: a line that one of them leaves out is
# tried with the other.
VARIANTS = {"native": ["-march=native"], "portable": ["-DFPP_PORTABLE"]}
# What survives is tried with these, which see what is read or written beside what it should be.
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CORE = sorted(path.name for path in CSRC.glob("*.c"))
# The other headers are written by a program, or declarations alone.
FILES = sorted([*CORE, "core.h", "cursor.h", "quad.h"])

# What the test program is asked for first, and after it all the rest.
SUBJECTS = ["vectors", "faults", "unknown", "crc32c", "tlv", "networks", "build", "address"]
FIRST = {
    "address.c": "address",
    "build.c": "build",
    "crc32c.c": "crc32c",
    "networks.c": "networks",
    "quad.h": "address",
    "tlv.c": "tlv",
}

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
# fails where the core is right: assertions, and what fpp_at asserts.
SKIPPED = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])'"
    r"|^[ ]*#(?:\\\n|[^\n])*|assert\([^;]*;|fpp_at\(\w+, \w+, \d\)",
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


def mutants_of(name: str) -> list[tuple[Mutant, str]]:
    text = (CSRC / name).read_text()
    code = SKIPPED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    lines = text.splitlines()
    mutants = []
    for found in TOKEN.finditer(code):
        for change in changes(found[0]):
            changed = text[: found.start()] + change + text[found.end() :]
            line = text.count("\n", 0, found.start())
            now = changed.splitlines()[line]
            mutants.append((Mutant(name, line + 1, lines[line].strip(), now.strip()), changed))
    return mutants


class Program:
    """The test program compiled in one way, and the core as it is."""

    def __init__(self, directory: Path, flags: list[str]) -> None:
        self.flags = flags
        directory.mkdir()
        self.tests = [self.compile(source, directory) for source in PROGRAM]
        self.core = {name: self.compile(CSRC / name, directory) for name in CORE}

    def compile(self, source: Path, directory: Path) -> Path:
        """From where the source is, so that its assertions name it alike everywhere."""
        target = directory / f"{source.stem}.o"
        words: list[str | Path] = [
            "cc",
            *FLAGS,
            *self.flags,
            f"-I{CSRC}",
            "-c",
            source.name,
            "-o",
            target,
        ]
        subprocess.run(words, check=True, capture_output=True, cwd=source.parent)
        return target

    def changed(self, core: Path, file: str) -> dict[str, Path]:
        """Of the core in that directory, where file is another: the objects that are others."""
        objects = {}
        for name in [file] if file in CORE else CORE:
            try:
                compiled = self.compile(core / name, core)
            except subprocess.CalledProcessError:
                return {}  # it is no C
            if compiled.read_bytes() != self.core[name].read_bytes():
                objects[name] = compiled
        return objects

    def linked(self, directory: Path, changed: dict[str, Path]) -> Path:
        program = directory / "program"
        objects = [*self.tests, *{**self.core, **changed}.values()]
        words: list[str | Path] = ["cc", *self.flags, *objects, "-o", program]
        subprocess.run(words, check=True)
        return program


class Bench:
    """A copy of the core, in which one mutant after the other is compiled and run."""

    def __init__(
        self, directory: Path, programs: list[Program], sanitized: Program, vectors: Path
    ) -> None:
        self.directory = directory
        self.programs = programs
        self.sanitized = sanitized
        self.vectors = vectors
        shutil.copytree(CSRC, directory, ignore=shutil.ignore_patterns("proof"))

    def verdict(self, mutant: Mutant, text: str) -> str:
        path = self.directory / mutant.file
        original = path.read_text()
        path.write_text(text)
        found = self.tried(self.programs, mutant.file)
        if found == "left" and self.tried([self.sanitized], mutant.file) == "killed":
            found = "killed"
        path.write_text(original)
        return found

    def tried(self, programs: list[Program], file: str) -> str:
        found = "none"
        for program in programs:
            changed = program.changed(self.directory, file)
            if changed:
                found = "left"
                if not self.passes(program.linked(self.directory, changed), file):
                    return "killed"
        return found

    def passes(self, program: Path, file: str) -> bool:
        first = FIRST.get(file, "vectors")
        others = [subject for subject in SUBJECTS if subject != first]
        words = [program, self.vectors]
        return passes(LIMITS, *words, first) and passes(LIMITS, *words, *others)


def benches(directory: Path, count: int) -> list[Bench]:
    vectors = directory / "vectors.txt"
    vectors.write_text("".join([vector_line(case) + "\n" for case in VECTORS]))
    programs = [Program(directory / kind, flags) for kind, flags in VARIANTS.items()]
    sanitized = Program(directory / "sanitized", SANITIZED)
    return [
        Bench(directory / f"core{number}", programs, sanitized, vectors) for number in range(count)
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, FILES, mutants_of, benches))
