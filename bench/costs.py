"""What a header costs each server, as ``bench.connections`` measured it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Path("bench/costs.json")


@dataclass(frozen=True)
class Cost:
    """``ratio``: the CPU time of a plain server over that of the same one behind a header, the mean
    of several pairs; ``bound``: what that is at least, with 95 %."""

    server: str
    loop: str
    requests: int
    floor: float | None
    python: str
    date: str
    ratio: float
    bound: float

    @property
    def row(self) -> tuple[str, str, int]:
        return self.server, self.loop, self.requests

    @property
    def text(self) -> str:
        return f"{self.ratio:.3f} ({self.bound:.3f})"


def load(root: Path) -> list[Cost]:
    found = json.loads((root / FILE).read_text(encoding="utf-8"))
    return [Cost(**cost) for cost in found]


def save(cost: Cost, root: Path) -> None:
    """In the place of what was measured before of the same server on the same Python."""
    kept = load(root) if (root / FILE).exists() else []
    every = {(one.row, one.python): one for one in [*kept, cost]}
    text = json.dumps([asdict(one) for one in every.values()], indent=1)
    (root / FILE).write_text(f"{text}\n", encoding="utf-8")


def table(every: Sequence[Cost]) -> str:
    """A row for each server, a column for each Python."""
    pythons = sorted({one.python for one in every}, key=_version)
    lines = [
        f"| server | loop | requests | floor | {' | '.join(pythons)} |",
        f"|---|---|---:|---:|{'---:|' * len(pythons)}",
    ]
    for row in dict.fromkeys(one.row for one in every):
        found = {one.python: one for one in every if one.row == row}
        floor = next(iter(found.values())).floor
        cells = [found[python].text if python in found else "" for python in pythons]
        head = (*map(str, row), "" if floor is None else f"{floor:g}")
        lines.append(f"| {' | '.join([*head, *cells])} |")
    return "".join(f"{line}\n" for line in lines)


def _version(python: str) -> list[int]:
    return [int(number) for number in python.rpartition(" ")[2].split(".")]
