"""Servers under fire: a short soak of each kind, no descriptors left, a queue that is full."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from importlib.util import find_spec
from random import Random
from socket import create_connection
from typing import TYPE_CHECKING, NamedTuple

import pytest

if sys.platform != "linux":
    pytest.skip("epoll, /proc, 127.0.0.0/8", allow_module_level=True)

import soak
from soak_client import Driver
from soak_mix import Last, plans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path
    from typing import Any

CONNECTIONS = 3000
WARMING_UP = 8 << 20  # bytes that the allocators may ask for after half of them
SOON = 2.0  # seconds that a header has where a test waits for its end
ROOM = 64  # descriptors that a server has where it has too few
QUEUE = 100  # connections, asyncio's own number
TIMEOUT = 30.0
HEADER = b"PROXY TCP4 192.0.2.1 203.0.113.1 56324 443\r\n"
SEEN = b"192.0.2.1 56324\n"


def short_soak(kind: str, log: Path) -> list[soak.Stage]:
    with log.open("wb") as file:
        return soak.soak(kind, CONNECTIONS, 2, 1, file)


class Exhausted(NamedTuple):
    """What became of a server for which there were too few descriptors."""

    silent: int  # how many connections took them
    seconds: float  # of processor time that it took while there were none, in SOON / 2
    counted: dict[str, int]
    before: soak.State
    after: soak.State
    said: str


def exhaust(kind: str, log: Path) -> Exhausted:
    """Silent clients take all descriptors; then somebody wants to be served."""
    with ExitStack() as stack:
        file = stack.enter_context(log.open("wb"))
        server = stack.enter_context(soak.serving(kind, file, timeout=SOON, descriptors=ROOM))
        serve(server.address)
        before = server.at_rest()
        silent = [stack.enter_context(create_connection(server.address)) for _ in range(2 * ROOM)]
        started = server.cpu_seconds()
        time.sleep(SOON / 2)
        seconds = server.cpu_seconds() - started
        serve(server.address)
        for each in silent:
            each.close()
        counted = server.counted(2)
        deadline = time.monotonic() + TIMEOUT
        while server.state()[:3] != before[:3] and time.monotonic() < deadline:
            time.sleep(soak.POLL_INTERVAL)
        return Exhausted(len(silent), seconds, counted, before, server.state(), log.read_text())


def serve(address: tuple[str, int]) -> None:
    """As often as it takes."""
    deadline = time.monotonic() + TIMEOUT
    answer = b""
    while answer != SEEN:
        assert time.monotonic() < deadline, answer
        with create_connection(address, TIMEOUT) as connection:
            try:
                connection.sendall(HEADER)
                answer = connection.recv(100)
            except ConnectionResetError:
                answer = b""


def fill(kind: str, log: Path) -> tuple[dict[str, int], dict[str, int]]:
    """More connections than the queue holds come while the server sleeps.

    Each sends one segment. Of those that the queue has no room for the system keeps nothing but a
    SYN cookie, which no later segment brings back: it resets them, or waits for them for ever.
    """
    waiting = (Last.CLOSE, Last.RESET_LATE, Last.WAIT)
    chosen = [
        (name, plan)
        for name, plan in plans(Random(1), 100)
        if len(plan.pieces) == 1 and plan.last in waiting
    ]
    with log.open("wb") as file, soak.serving(kind, file, backlog=16) as server:
        server.process.send_signal(signal.SIGSTOP)
        threading.Timer(0.2, server.process.send_signal, [signal.SIGCONT]).start()
        with closing(Driver(server.address, soak.TIMEOUT)) as driver:
            driver.run(chosen)
            return dict(driver.outcomes), server.counted(len(chosen))


SCENARIOS: list[Callable[[str, Path], Any]] = [short_soak, exhaust, fill]


def has(kind: str) -> bool:
    """uvloop is for CPython; where it is missing it skips on a laptop and fails in CI."""
    if kind == "uvloop" and sys.implementation.name != "cpython":
        return False
    return kind == "threads" or find_spec(kind) is not None or bool(os.environ.get("CI"))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Any, Future[Any]]]:
    """Of each scenario with each kind of server, all at once: most of the time they wait."""
    soak.allow_descriptors(len(soak.KINDS) * soak.DESCRIPTORS)
    logs = tmp_path_factory.mktemp("logs")
    pairs = [(scenario, kind) for scenario in SCENARIOS for kind in soak.KINDS if has(kind)]
    with ThreadPoolExecutor(len(pairs)) as pool:
        yield {
            (scenario, kind): pool.submit(scenario, kind, logs / f"{scenario.__name__}-{kind}")
            for scenario, kind in pairs
        }


@pytest.fixture(params=soak.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if not has(request.param):
        pytest.skip(f"no {request.param}")
    kind: str = request.param
    return kind


def test_a_short_soak(outcome: dict[Any, Future[Any]], kind: str) -> None:
    stages = outcome[short_soak, kind].result()
    assert soak.complaints(stages, WARMING_UP) == []
    assert sum(stages[-1].counted.values()) == CONNECTIONS


def test_too_few_descriptors(outcome: dict[Any, Future[Any]], kind: str) -> None:
    found: Exhausted = outcome[exhaust, kind].result()
    assert found.counted["accepted"] == 2
    ended = found.counted["timeout"] + found.counted.get("empty", 0)
    if kind in ("asyncio", "threads"):
        assert ended == found.silent
    else:  # they accept those that they have no room for, and close them
        assert 0 < ended < ROOM
    assert found.after[:3] == found.before[:3]
    assert found.said.count("accept() failed") == (kind == "threads")
    if kind != "asyncio":  # until cpython issue 151615 it tries more and more often, and logs it
        assert found.seconds < SOON / 4


def test_a_full_queue(outcome: dict[Any, Future[Any]], kind: str) -> None:
    expected, counted = outcome[fill, kind].result()
    assert counted == expected
