"""Figures that commands measured, and the tables that pages show of them: ``bench/figures.json``.

A table has rows, and each row its cells by the heads of the columns.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Union

FILE = Path("bench/figures.json")

Cells = dict[str, Union[int, float, str]]
Table = dict[str, Cells]


def python() -> str:
    """This one, without the last number of its version."""
    return f"{platform.python_implementation()} {platform.python_version().rpartition('.')[0]}"


def load(root: Path) -> dict[str, Table]:
    found: dict[str, Table] = json.loads((root / FILE).read_text(encoding="utf-8"))
    return found


def save(name: str, row: str, cells: Cells, root: Path) -> None:
    """In the place of what was measured before; other columns of the row stay."""
    tables = load(root) if (root / FILE).exists() else {}
    rows = tables.setdefault(name, {})
    rows[row] = {**rows.get(row, {}), **cells}
    (root / FILE).write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


def markdown(rows: Table) -> str:
    """Columns in the order in which they come; a cell that is not known is empty."""
    heads = list(dict.fromkeys(head for cells in rows.values() for head in cells))
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for row, cells in rows.items():
        texts = [_text(cells.get(head, "")) for head in heads]
        lines.append(f"| {row} | {' | '.join(texts)} |")
    return "".join(f"{line}\n" for line in lines)


def _text(cell: int | float | str) -> str:
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.2f}"
