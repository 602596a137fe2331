"""The vectors as the C core's own test program reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from backends import VECTORS
from program import vector_line


@pytest.fixture(scope="session")
def vectors_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("".join(vector_line(case) + "\n" for case in VECTORS))
    return path
