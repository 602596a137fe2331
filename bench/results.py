"""What is measured, and how it is kept: one file of ratios per Python in ``bench/results/``."""

from __future__ import annotations

import datetime
import json
import os
import platform
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

DIRECTORY = Path("bench/results")
PACKAGES = (
    "fastppv2",
    "Cython",
    "aiosmtpd",
    "crc32c",
    "gunicorn",
    "proxy-protocol",
    "setuptools",
    "Twisted",
)
# What the plots and README.md ask for by name.
EMPTY = "empty call"
UNBOUND = "empty call, binding=False"
BOTH_ENDS = "parse, both ends"

DIGITS = 4  # that are kept of a ratio


@dataclass(frozen=True)
class Row:
    """``ratio`` is the cost as a multiple of ``against``; with ``faster``, the speed is.

    ``sweeps`` are the ratios whose median it is.
    """

    section: str
    subject: str
    operation: str
    input: str
    against: str
    ratio: float
    faster: bool = False
    floor: float | None = None
    sweeps: tuple[float, ...] = ()

    @property
    def passed(self) -> bool | None:
        if self.floor is None:
            return None
        return self.ratio >= self.floor if self.faster else self.ratio <= self.floor

    @property
    def spread(self) -> float:
        """By which part the largest ratio of a sweep exceeds the smallest."""
        return max(self.sweeps) / min(self.sweeps) - 1

    @property
    def floor_text(self) -> str:
        if self.floor is None:
            return ""
        return f"{'≥' if self.faster else '≤'} {self.floor:g}"

    @property
    def against_text(self) -> str:
        return f"{'times as fast as' if self.faster else 'times the cost of'} {self.against}"

    def line(self) -> str:
        mark = {None: "", True: "pass", False: "**FAIL**"}[self.passed]
        ratio = f"{self.ratio:.{2 if self.ratio < 10 else 1 if self.ratio < 100 else 0}f}"
        cells = (self.subject, self.operation, self.input, ratio, self.against_text)
        return f"| {' | '.join(cells)} | {self.floor_text} | {mark} |"

    def complaint(self) -> str:
        """Of a floor that does not hold."""
        return (
            f"{self.subject}, {self.operation}, {self.input}: {self.ratio:.4g}"
            f" {self.against_text}, promised is {self.floor_text}"
        )


def merged(sweeps: Sequence[Sequence[Row]]) -> list[Row]:
    """The rows of all sweeps, which are the same ones but for the ratios, as one list."""
    rows = []
    for same in zip(*sweeps):
        ratios = tuple(row.ratio for row in same)
        if {replace(row, ratio=0) for row in same} != {replace(same[0], ratio=0)}:
            raise ValueError(f"the sweeps measured different things: {same}")
        rows.append(replace(same[0], ratio=median(ratios), sweeps=ratios))
    return rows


@dataclass(frozen=True)
class Results:
    """Of one Python: ``where`` is what ``environment`` gave, and then what was not measured."""

    where: dict[str, Any]
    missing: Sequence[str]
    left_out: Sequence[str]
    rows: Sequence[Row]

    @property
    def python(self) -> str:
        """Without the last number: "CPython 3.11"."""
        return str(self.where["python"]).rpartition(".")[0]

    @property
    def file_name(self) -> str:
        return f"{self.python.lower().replace(' ', '-')}.json"

    @property
    def backends(self) -> list[str]:
        """The quickest first: in the order of ``fastppv2._backend.MODULES``."""
        return list(dict.fromkeys(row.subject for row in self.select(section="peers")))

    @property
    def peers(self) -> list[str]:
        rows = self.select(section="peers", operation=BOTH_ENDS)
        return list(dict.fromkeys(row.against for row in rows))

    def select(self, **fields: str) -> Iterator[Row]:
        for row in self.rows:
            if all(getattr(row, name) == value for name, value in fields.items()):
                yield row

    def find(self, **fields: str) -> Row | None:
        """The one row that is so, if that was measured."""
        found = list(self.select(**fields))
        if len(found) > 1:
            raise ValueError(f"{self.python}: {len(found)} rows with {fields}")
        return found[0] if found else None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def environment() -> dict[str, Any]:
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "system": platform.system(),
        "libc": " ".join(platform.libc_ver()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_compiler": platform.python_compiler(),
        "versions": versions,
    }


def _rounded(ratio: float) -> float:
    return float(f"{ratio:.{DIGITS}g}")


def _kept(row: Row) -> dict[str, Any]:
    sweeps = [_rounded(ratio) for ratio in row.sweeps]
    return {**asdict(row), "ratio": _rounded(row.ratio), "sweeps": sweeps}


def save(results: Results, directory: Path) -> Path:
    """In the file of its Python; a row is a line, so that a diff shows what moved."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / results.file_name
    head = {**results.where, "missing": results.missing, "left_out": results.left_out}
    text = json.dumps(head, indent=1).removesuffix("\n}")
    rows = ",\n".join(f"  {json.dumps(_kept(row))}" for row in results.rows)
    path.write_text(f'{text},\n "rows": [\n{rows}\n ]\n}}\n', encoding="utf-8")
    return path


def _read(path: Path) -> Results:
    where = json.loads(path.read_text(encoding="utf-8"))
    missing, left_out, kept = (where.pop(name) for name in ("missing", "left_out", "rows"))
    rows = [Row(**{**row, "sweeps": tuple(row["sweeps"])}) for row in kept]
    return Results(where, missing, left_out, rows)


def load(directory: Path) -> list[Results]:
    """CPython first, and then by version."""
    found = [_read(path) for path in directory.glob("*.json")]
    if not found:
        raise FileNotFoundError(f"no results in {directory}: measure with `python -m bench`")
    return sorted(found, key=_order)


def _order(results: Results) -> tuple[str, list[int]]:
    implementation, _, number = results.python.partition(" ")
    return implementation, [int(part) for part in number.split(".")]
