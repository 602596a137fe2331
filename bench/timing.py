"""How the ratios are taken.

One CPU, garbage collector off. Each candidate runs in a plain loop over 4,096 inputs; an empty loop
over the same list, run right beside it, is subtracted. The candidates take turns, so that whatever
else the machine does meets all of them. Of each turn the quickest of a few passes counts (the first
brings the input back into the caches), and of all turns the median.
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

TRIES = 3
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


_IDLE_OF = dict.fromkeys((build_v2, build_checksum, build_v1), _idle_pairs)


@dataclass(frozen=True)
class Candidate:
    loop: Callable[[Sequence[Any], Callable[..., Any]], None]
    function: Callable[..., Any]
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


def _run(loop: Callable[..., None], candidate: Candidate) -> int:
    data, function = candidate.data, candidate.function
    start = perf_counter_ns()
    loop(data, function)
    return perf_counter_ns() - start


def measure(candidates: dict[str, Candidate]) -> dict[str, float]:
    """Nanoseconds per input, of use only as ratios of one another."""
    loops = {
        name: (candidate, _fresh(candidate.loop), _fresh(_IDLE_OF.get(candidate.loop, _idle)))
        for name, candidate in candidates.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in loops}
    start = perf_counter_ns()
    for turn in range(MAX_TURNS + 1):
        for name, (candidate, loop, idle) in loops.items():
            whole = min(_run(loop, candidate) for _ in range(TRIES))
            empty = min(_run(idle, candidate) for _ in range(TRIES))
            taken[name].append((whole - empty) / len(candidate.data))
        if turn >= MIN_TURNS and perf_counter_ns() - start > SECONDS * 1e9:
            break
    # The first turn is the one in which the interpreter adapts its bytecode.
    return {name: median(turns[1:]) for name, turns in taken.items()}
