"""Event loops that run in a thread, so that tests talk to what is in them by blocking sockets."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

TIMEOUT = 10.0
NAMES = [
    "asyncio",
    pytest.param(
        "uvloop",
        marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is for CPython"),
    ),
]


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


class Running:
    """A loop that runs in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(TIMEOUT)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns, called by the loop."""

        async def call() -> Any:
            return function(*arguments)

        return self.run(call())


@contextmanager
def running(name: str) -> Iterator[Running]:
    loop = new_loop(name)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Running(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT)
        loop.close()
