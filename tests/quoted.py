"""The code that the pages of docs/ show, to be run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
_BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^\|(?:-+:?\|)+\n((?:\|.*\n)+)", re.MULTILINE)


def quoted(page: str, language: str) -> list[str]:
    """The page's blocks in that language; "" is what programs say."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [code for found, code in _BLOCK.findall(text) if found == language]


def rows(page: str) -> list[list[str]]:
    """The cells of the page's tables, without their heads."""
    text = (DOCS / page).read_text(encoding="utf-8")
    lines = [line for table in _TABLE.findall(text) for line in table.splitlines()]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]


def adapted(text: str, changes: dict[str, str]) -> str:
    """With the addresses and paths of this machine; each change must find its place."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in:\n{text}"
        text = text.replace(old, new)
    return text
