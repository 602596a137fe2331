"""The tables of docs/peers.md, which the tests hold against what they see."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "peers.md"


def rows(title: str) -> dict[str, dict[str, str]]:
    """The table whose first column is called that: cells by the row's first one and the column."""
    tables = PAGE.read_text(encoding="utf-8").split("\n\n")
    (table,) = [text for text in tables if text.startswith(f"| {title} |")]
    head, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
    ]
    return {line[0]: dict(zip(head[1:], line[1:])) for line in lines}
