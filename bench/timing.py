"""How the ratios are taken.

One CPU, garbage collector off. Each candidate runs in plain loops over 4,096 inputs; the same loops
without the call, run right beside them, are subtracted. The candidates take turns, and a ratio is
the median over the turns of the ratio within a turn: whatever slows the machine for a while slows
both sides of it.

Whatever takes the CPU away for milliseconds does not, if the loop of one candidate takes one
millisecond and that of the other fifty: so the slow ones are timed in pieces as short as the loops
of the fast ones, and each piece counts as the quickest of a few passes. (Passes, not repetitions:
all other inputs come between.)
"""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

PASSES = 3
PIECE = 500_000  # nanoseconds that a piece of the inputs should take
SECONDS = 0.4  # for one measurement; the fewest turns may take longer
MIN_TURNS, MAX_TURNS = 3, 101


# The loops: what is called lies in their arguments, so that all candidates run the same bytecode.


def _idle(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for _ in data:
        pass


def call(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for x in data:
        f(x)


def read_ends(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for x in data:
        header = f(x)
        header.source  # noqa: B018 (reading it is what is measured)
        header.destination  # noqa: B018


def read_peername(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for x in data:
        f(x).peername  # noqa: B018


def feed_new(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for x in data:
        f().feed(x)


def _idle_pairs(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for _source, _destination in data:
        pass


def build_v2(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for source, destination in data:
        f(source, destination)


def build_checksum(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for source, destination in data:
        f(source, destination, checksum=True)


def build_v1(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for source, destination in data:
        f(source, destination, version=1)


def contains(data: Sequence[Any], networks: Any) -> None:
    for x in data:
        x in networks  # noqa: B015 (looking is what is measured)


def receive(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for peer, raw in data:
        f(None, 2, peer, raw).source  # noqa: B018


def connect_and_feed(data: Sequence[Any], f: Callable[..., Any]) -> None:
    for peer, raw in data:
        handshake = f(None, 2, peer)
        handshake.feed(raw)
        handshake.source  # noqa: B018


_PAIRS = (build_v2, build_checksum, build_v1, receive, connect_and_feed)
_IDLE_OF = dict.fromkeys(_PAIRS, _idle_pairs)


@dataclass(frozen=True)
class Candidate:
    loop: Callable[[Sequence[Any], Any], None]
    function: Any
    data: Sequence[Any]


@contextmanager
def quiet() -> Iterator[None]:
    """One CPU and no garbage collection."""
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if cpus:
        os.sched_setaffinity(0, {max(cpus)})
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if cpus:
            os.sched_setaffinity(0, cpus)


def _fresh(loop: Callable[..., None]) -> Callable[..., None]:
    """Bytecode of its own: the interpreter adapts it to the first function it sees called."""
    return FunctionType(loop.__code__.replace(), loop.__globals__)


def _run(loop: Callable[..., None], pieces: list[Sequence[Any]], function: Any) -> list[int]:
    taken = []
    for piece in pieces:
        start = perf_counter_ns()
        loop(piece, function)
        taken.append(perf_counter_ns() - start)
    return taken


class _Timed:
    """A candidate cut into pieces, with loops of its own."""

    def __init__(self, candidate: Candidate) -> None:
        self.function = candidate.function
        self.inputs = len(candidate.data)
        self.loop = _fresh(candidate.loop)
        self.idle = _fresh(_IDLE_OF.get(candidate.loop, _idle))
        _run(self.loop, [candidate.data], self.function)  # adapts the bytecode
        whole = _run(self.loop, [candidate.data], self.function)[0]
        size = max(1, min(self.inputs, self.inputs * PIECE // whole))
        self.pieces = [candidate.data[at : at + size] for at in range(0, self.inputs, size)]

    def _least(self, loop: Callable[..., None]) -> int:
        passes = [_run(loop, self.pieces, self.function) for _ in range(PASSES)]
        return sum(map(min, *passes))

    def turn(self) -> float:
        """Nanoseconds per input."""
        return (self._least(self.loop) - self._least(self.idle)) / self.inputs


class Times(dict[str, list[float]]):
    """Of each candidate the nanoseconds per input in each turn: of use only as ratios."""

    def ratio(self, one: str, other: str) -> float:
        return median([a / b for a, b in zip(self[one], self[other])])


def measure(candidates: dict[str, Candidate]) -> Times:
    timed = {name: _Timed(candidate) for name, candidate in candidates.items()}
    times = Times({name: [] for name in timed})
    start = perf_counter_ns()
    for turn in range(MAX_TURNS):
        for name, candidate in timed.items():
            times[name].append(candidate.turn())
        if turn + 1 >= MIN_TURNS and perf_counter_ns() - start > SECONDS * 1e9:
            break
    return times
