"""What holds for each module of fastppv2.servers: it is short, and moves bytes, nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fastppv2.servers

MODULES = sorted(Path(fastppv2.servers.__file__).parent.glob("*.py"))
MOST_LINES = 80
# What reads and builds headers.
PROTOCOL = {f"fastppv2.{name}" for name in ("_backend", "_cython", "_cffi", "_pure", "parser")}
PROTOCOL |= {f"fastppv2.{name}" for name in ("Parser", "build", "detect", "parse")}


def imported(text):
    """Modules, and names out of modules."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from [f"{node.module}.{alias.name}" for alias in node.names]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_an_adapter_is_short_and_holds_no_protocol(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert not PROTOCOL & set(imported(text))
