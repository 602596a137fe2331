"""``pytest bench``: every candidate in a loop over 4,096 inputs, so a time is that of all of them.

No floors here, and no loop is subtracted: bench.ratios does that.
"""

from __future__ import annotations

import pytest

from bench import timing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

ROUNDS = 15


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> Iterator[None]:
    with timing.quiet():
        yield


@pytest.fixture
def run(benchmark: Any) -> Callable[..., None]:
    """Measures a loop of bench.timing within a group."""

    def measure(
        group: str,
        loop: Callable[..., None],
        function: Callable[..., Any],
        data: Sequence[Any],
    ) -> None:
        benchmark.group = group
        benchmark.pedantic(loop, (data, function), rounds=ROUNDS, warmup_rounds=1)

    return measure
