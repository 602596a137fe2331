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


class Figures(NamedTuple):
    tried: int = 0
    killed: int = 0
    equivalent: int = 0
    unexplained: int = 0  # survivors that are not listed, and what is listed but did not survive

    def __add__(self, other: Figures) -> Figures:  # type: ignore[override]
        return Figures(*map(sum, zip(self, other)))

    def __str__(self) -> str:
        return (
            f"{self.killed} of {self.tried} killed ({self.killed / max(self.tried, 1):.1%}), "
            f"{self.equivalent} are equivalent, {self.unexplained} to be explained"
        )

    def are_good(self) -> bool:
        many = self.killed >= KILLED_AT_LEAST * self.tried
        few = self.equivalent <= EQUIVALENT_AT_MOST * self.tried
        return many and few and self.unexplained == 0


def judge(file: str, mutants: list[Mutant], verdicts: dict[Mutant, str], whole: bool) -> Figures:
    """Prints what is wrong and the figures; ``whole``: these are all mutants of the file."""
    tried = [mutant for mutant in mutants if verdicts[mutant] != "none"]
    left = [mutant for mutant in tried if verdicts[mutant] == "left"]
    known = {entry for entry in explained() if entry[0] == file}
    survived = {(file, mutant.was, mutant.now) for mutant in left}
    unexplained = [mutant for mutant in left if (file, mutant.was, mutant.now) not in known]
    stale = known - survived if whole else set()
    for mutant in unexplained:
        print(f"survived: {file}:{mutant.line}:\n- {mutant.was}\n+ {mutant.now}")
    for _, was, now in stale:
        print(f"listed in {EQUIVALENTS.name}, but killed or gone:\n- {was}\n+ {now}")
    figures = Figures(
        len(tried),
        len(tried) - len(left),
        len(left) - len(unexplained),
        len(unexplained) + len(stale),
    )
    print(f"{file}: {figures}", flush=True)
    return figures
