"""One suite for every backend: the fixture ``api`` is each of them in turn."""

from __future__ import annotations

import pytest
from backends import Api, load

from fastppv2._backend import MODULES


@pytest.fixture(params=list(MODULES), scope="session")
def api(request: pytest.FixtureRequest) -> Api:
    return load(request.param)


@pytest.fixture(scope="session")
def apis() -> list[Api]:
    """All backends at once, to be held against one another."""
    return [load(name) for name in MODULES]
