"""Servers under fire: ``python tests/soak/soak.py --connections 200000``; Linux.

README.md, beside this file, says what comes at a server, and what must hold.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from soak_client import Driver
from soak_mix import TRUSTED, plans

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
LOG = HERE / "runs.txt"
KINDS = ("asyncio", "uvloop", "twisted", "threads")
TIMEOUT = 5.0  # seconds that the servers give a header
BACKLOG = 1024  # nobody waits outside the queue, where a reset would not be seen
DESCRIPTORS = 4096
STAGES = 5  # the first warms up
# By so much it may end above the first stage.
MEMORY = 2 << 20  # bytes
OBJECTS = 100  # caches, and what the log keeps for a minute
PATIENCE = 20.0  # seconds until a server is quiet
POLL_INTERVAL = 0.1


class State(NamedTuple):
    """Of a server to which nobody is connected."""

    waiting: dict[str, int]  # tasks and the like
    threads: int
    descriptors: int
    objects: int  # that Python's collector knows
    memory: int  # bytes, resident


class Stage(NamedTuple):
    """The end of a part of a soak."""

    expected: dict[str, int]  # connections by outcome, since the start
    counted: dict[str, int]
    state: State
    seconds: float  # of processor time that the server took, since the start


class Server:
    """``soak_server.py``, running at ``address``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.address = ("127.0.0.1", int(process.stdout.readline()))

    def ask(self) -> dict[str, Any]:
        """What it counts itself."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def counted(self, expected: int) -> dict[str, int]:
        """Its outcomes, once there are so many and no connection is left."""
        deadline = time.monotonic() + PATIENCE
        while True:
            said = self.ask()
            decided = sum(said["outcomes"].values()) >= expected
            if (decided and not said["pending"]) or time.monotonic() > deadline:
                outcomes: dict[str, int] = said["outcomes"]
                return outcomes
            time.sleep(POLL_INTERVAL)

    def state(self) -> State:
        said = self.ask()
        status = dict(line.split(":\t", 1) for line in self._read("status").splitlines())
        return State(
            waiting=said["waiting"],
            threads=int(status["Threads"]),
            descriptors=len(os.listdir(f"/proc/{self.process.pid}/fd")),
            objects=said["objects"],
            memory=int(status["VmRSS"].split()[0]) * 1024,
        )

    def at_rest(self) -> State:
        """Once nothing changes any more: a connection is counted before it has ended."""
        before = self.state()
        while True:
            time.sleep(POLL_INTERVAL)
            state = self.state()
            if state[:3] == before[:3]:
                return state
            before = state

    def cpu_seconds(self) -> float:
        """Processor time that it took so far."""
        user, system = self._read("stat").rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _read(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()


@contextmanager
def serving(kind: str, log: Any = None, **options: Any) -> Iterator[Server]:
    """A server of that kind; ``options``: those of ``soak_server.main`` where they differ."""
    options = {
        "kind": kind,
        "trusted": TRUSTED,
        "timeout": TIMEOUT,
        "max_pending": DESCRIPTORS,
        "backlog": BACKLOG,
        "descriptors": DESCRIPTORS,
        **options,
    }
    # Without what measures coverage, which keeps something of each thread.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with subprocess.Popen(
        [sys.executable, HERE / "soak_server.py", json.dumps(options)],
        env={**env, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    ) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


def soak(kind: str, connections: int, stages: int, seed: int, log: Any = None) -> list[Stage]:
    """So many connections to a server of that kind; between stages it comes to rest."""
    random = Random(seed)
    done = []
    with serving(kind, log) as server, closing(Driver(server.address, TIMEOUT)) as driver:
        for _ in range(stages):
            driver.run(plans(random, connections // stages))
            expected = dict(driver.outcomes)
            counted = server.counted(sum(expected.values()))
            done.append(Stage(expected, counted, server.at_rest(), server.cpu_seconds()))
    return done


def complaints(stages: list[Stage], memory: int = MEMORY) -> list[str]:
    """What did not hold; ``memory``: bytes that may have come after the first stage."""
    first, last = stages[0].state, stages[-1].state
    found = [
        f"made {stage.expected}, counted {stage.counted}"
        for stage in stages
        if stage.counted != stage.expected
    ]
    more = last.memory - first.memory, last.objects - first.objects
    if more[0] > memory or more[1] > OBJECTS or last[:3] != first[:3]:
        found.append(f"after the first stage {first}, at the end {last}")
    return found


def allow_descriptors(count: int) -> None:
    """For as many connections, in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def figures(kind: str, stages: list[Stage]) -> str:
    """A line of runs.txt."""
    last, state = stages[-1], stages[-1].state
    today = datetime.datetime.now(datetime.timezone.utc).date()
    waiting = ", ".join([f"{count} {name}" for name, count in state.waiting.items()])
    memory = " ".join([f"{stage.state.memory / (1 << 20):.2f}" for stage in stages])
    return (
        f"{today}  {kind:<8} {platform.python_version():>8} {sum(last.counted.values()):>11}"
        f" {last.seconds:>8.1f}   {memory:<29}  {waiting}, {state.threads} threads,"
        f" {state.descriptors} descriptors, {state.objects} objects"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=200_000, help="to each server")
    parser.add_argument("--server", choices=KINDS, action="append", help="all of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", action="store_true", help=f"append to {LOG.name}")
    chosen = parser.parse_args()
    allow_descriptors(DESCRIPTORS)
    failed = False
    for kind in chosen.server or KINDS:
        stages = soak(kind, chosen.connections, STAGES, chosen.seed)
        print(figures(kind, stages))
        for complaint in complaints(stages):
            print(f"{kind}: {complaint}")
            failed = True
        if chosen.log:
            with LOG.open("a") as file:
                file.write(figures(kind, stages) + "\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
