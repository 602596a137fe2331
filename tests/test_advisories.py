"""docs/advisories.md names tests and vectors that exist, at least one in each row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from backends import VECTORS

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "advisories.md"


def rows() -> list[list[str]]:
    """Of both tables, without the heads: what, where, tests, vectors."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    return [row for row in cells if row[0] != "what"]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def defined(path: Path) -> set[str]:
    """The functions of a file, and the methods of its classes, as pytest names them."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if is_function(inner)}
        elif is_function(node):
            found.add(node.name)
    return found


def is_function(node: ast.stmt) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[1] or row[0])
def test_what_a_row_names_exists(row: list[str]) -> None:
    what, _, tests, vectors = row
    assert names(tests), what
    for name in names(tests):
        file, _, test = name.partition("::")
        assert test.rpartition("::")[2].startswith("test_")
        assert test in defined(TESTS / file), name
    assert set(names(vectors)) <= {case["id"] for case in VECTORS}


def test_the_tables_are_read() -> None:
    assert len(rows()) >= 31
