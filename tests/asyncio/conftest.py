"""Tests that are coroutines, each on both loops, with what is compiled and with its twin.

What a test leaves behind fails it.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
from functools import lru_cache
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from backends import import_backend, on_backend

import fastppv2.asyncio
from fastppv2.asyncio import _backend, _connect, _loop, _server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 30.0  # seconds, for a test that hangs
NAMES = ("KINDS", "Arrival", "BareView", "Extra", "Factory", "FirstBytes")


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """uvloop is for CPython; where it is missing it skips on a laptop and fails in CI."""
    if kind == "asyncio":
        return asyncio.SelectorEventLoop()
    if sys.implementation.name != "cpython":
        pytest.skip("uvloop is for CPython")
    if os.environ.get("CI"):
        import uvloop
    else:
        uvloop = pytest.importorskip("uvloop")
    return uvloop.new_event_loop()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def reported() -> list[dict[str, Any]]:
    """What the loop's exception handler was told; a test that expects something empties it."""
    return []


@pytest.fixture
def loop(loop_kind: str, reported: list[dict[str, Any]]) -> Iterator[asyncio.AbstractEventLoop]:
    if hasattr(gc, "freeze"):  # what is there already is not looked at each time
        gc.freeze()
    loop = new_loop(loop_kind)
    loop.set_exception_handler(lambda _, context: reported.append(context))
    yield loop
    loop.run_until_complete(asyncio.sleep(0))
    left = asyncio.all_tasks(loop)
    loop.close()
    gc.collect()
    if hasattr(gc, "unfreeze"):
        gc.unfreeze()
    assert not left
    assert not reported


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    test = asyncio.wait_for(pyfuncitem.obj(**arguments), TIMEOUT)
    pyfuncitem.funcargs["loop"].run_until_complete(test)
    return True


@lru_cache
def on_usual(name: str) -> tuple[ModuleType, ModuleType, ModuleType]:
    """The usual way of a connection in one of the two, and what is built upon it."""
    usual = import_backend(name, _backend.MODULES)
    names = {each: getattr(usual, each) for each in NAMES}
    view = on_backend("fastppv2.asyncio._view", _backend.__name__, **names)
    with patch.multiple("fastppv2.asyncio._view", View=view.View, show=view.show):
        receiver = on_backend("fastppv2.asyncio._receiver", _backend.__name__, **names)
    with patch.multiple("fastppv2.asyncio._receiver", Receiver=receiver.Receiver):
        acceptor = on_backend("fastppv2.asyncio._acceptor", _backend.__name__, **names)
    return usual, view, acceptor


@pytest.fixture(
    params=["cython", "python"] if sys.implementation.name == "cpython" else ["python"],
    autouse=True,
)
def usual_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    usual, view, acceptor = on_usual(request.param)
    for module in (fastppv2.asyncio, _loop, _server):
        monkeypatch.setattr(module, "Acceptor", acceptor.Acceptor)
    monkeypatch.setattr(fastppv2.asyncio, "counters", acceptor.counters)
    for module in (_connect, _loop):
        monkeypatch.setattr(module, "View", view.View)
    monkeypatch.setattr(_connect, "view_of", view.view_of)
    monkeypatch.setattr(_connect, "FirstBytes", usual.FirstBytes)
    return request.param


@pytest.fixture(autouse=True)
def _on_a_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Every test here is on one."""
