"""The backends as the tests see them, and the cases that each must pass."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Callable
from unittest.mock import patch

import pytest

from fastppv2 import Detected, Header
from fastppv2 import Parser as ActiveParser
from fastppv2._backend import MODULES

# Cython's extensions are for CPython.
NAMES = [name for name in MODULES if name != "cython" or sys.implementation.name == "cpython"]


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
    policy: ModuleType
    handshake: ModuleType

    def __repr__(self) -> str:
        return self.name


def load(name: str) -> Api:
    """The backend of that name; one that is missing skips on a laptop and fails in CI."""
    module = import_backend(name, MODULES)
    functions = {"_parse": staticmethod(module.parse), "_detect": staticmethod(module.detect)}
    parser = type("Parser", (ActiveParser,), {"__slots__": (), **functions})
    handshake = on_backend("fastppv2.handshake", Queue=module.Queue, detect=module.detect)
    handshake.Parser = parser  # type: ignore[attr-defined]
    return Api(
        name,
        module.detect,
        module.parse,
        module.build,
        module.Header,
        parser,
        module.crc32c_kind,
        on_backend("fastppv2.policy", Members=module.Members),
        handshake,
    )


def import_backend(name: str, modules: dict[str, str]) -> ModuleType:
    """The one of these that is the backend of that name."""
    try:
        return import_module(modules[name])
    except ModuleNotFoundError as error:
        if os.environ.get("CI"):
            pytest.fail(f"backend {name}: {error}")
        pytest.skip(f"backend {name} is not built: {error}")


def on_backend(name: str, backend: str = "fastppv2._backend", **names: Any) -> ModuleType:
    """Another copy of a module of the package, which finds these names in the backend."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    copy = module_from_spec(spec)
    with patch.multiple(backend, **names):
        spec.loader.exec_module(copy)
    return copy


def load_present() -> list[Api]:
    """All backends, on a laptop those that are built; there must be something to compare."""
    found = []
    for name in NAMES:
        try:
            found.append(load(name))
        except pytest.skip.Exception:
            continue
    if len(found) < 2:
        pytest.skip("only one backend is built")
    return found


VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "vectors.json").read_text()
)
