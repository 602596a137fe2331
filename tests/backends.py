"""The backends as the tests see them, and the cases that each must pass."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

import pytest

from fastppv2 import Detected, Header
from fastppv2 import Parser as ActiveParser
from fastppv2._backend import MODULES


@dataclass(frozen=True)
class Api:
    """A backend as the package would offer it."""

    name: str
    detect: Callable[..., Detected]
    parse: Callable[..., Header]
    build: Callable[..., bytes]
    Header: type
    Parser: type[ActiveParser]
    crc32c_kind: str

    def __repr__(self) -> str:
        return self.name


def load(name: str) -> Api:
    """The backend of that name; one that is missing skips on a laptop and fails in CI."""
    try:
        module = import_module(MODULES[name])
    except ModuleNotFoundError as error:
        if os.environ.get("CI"):
            pytest.fail(f"backend {name}: {error}")
        pytest.skip(f"backend {name} is not built: {error}")
    functions = {"_parse": staticmethod(module.parse), "_detect": staticmethod(module.detect)}
    parser = type("Parser", (ActiveParser,), {"__slots__": (), **functions})
    return Api(
        name,
        module.detect,
        module.parse,
        module.build,
        module.Header,
        parser,
        module.crc32c_kind,
    )


VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "vectors.json").read_text()
)
