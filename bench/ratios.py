"""The table of ratios, with the floors that the project promises: ``python -m bench.ratios``."""

from __future__ import annotations

import socket
import sys
from functools import cached_property
from multiprocessing import get_context

import fastppv2
from bench import backends, handshake, native, peers, timing
from bench.headers import KINDS, PAYLOAD, WITH_CHECKSUM, endpoints, headers
from bench.results import BOTH_ENDS, EMPTY, UNBOUND, Results, Row, environment, merged
from bench.timing import Candidate, Times
from fastppv2._crc32c import kind as crc32c_package

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

CPYTHON = sys.implementation.name == "cpython"  # elsewhere nothing of Cython's is measured
MEGABYTES = 64
SWEEPS = 5
UNSTEADY = 0.05  # between the sweeps, of a ratio
PEER = "proxy-protocol"

# Against the empty call at most, and against proxy-protocol at least: of the C backend, on these
# two versions. Other versions are measured and not judged.
_VERSIONS = {(3, 11): 0, (3, 13): 1}
_AT_MOST = {
    ("parse", "v2 TCP4"): (2.0, 2.5),
    ("parse", "v2 AWS"): (3.0, 3.5),
    ("parse", "v1 TCP4"): (3.3, 4.3),
    ("parse memoryview", "v2 TCP4"): (3.0, 3.6),
    ("parse bytearray", "v2 TCP4"): (3.0, 3.6),
    ("detect", "v2 TCP4"): (1.5, 1.7),
    ("detect", "v1 TCP4"): (1.5, 1.7),
}
_JUDGED_WITH_PAYLOAD = ("v2 TCP4",)
_AT_LEAST = {
    ("parse, both ends", "v2 TCP4"): (40, 30),
    ("parse, both ends", "v2 TCP6"): (50, 40),
    ("parse, both ends", "v1 TCP4"): (38, 30),
}
# On every version of CPython.
PURE_OVER_PEER = 3
C_OVER_PURE = 15
BUILD_OVER_PACK = {"v2 TCP4": 150, "v1 TCP4": 30}
LONG_VIEW = 1.1
IN_NETWORKS = 3  # empty calls, for one look
HANDSHAKE = 12  # empty calls, from the first bytes to the source
CORE_V2_TCP4 = 0.3  # of one inet_pton(AF_INET)
CORE_V1_TCP4 = 0.8  # of two
CORE_V1_TCP6 = 0.6  # of two inet_pton(AF_INET6)
CRC_OVER_TABLE = 8
CYTHON_V2_TCP4 = 1.5  # of the C program

SECTIONS = {
    "calls": "What a call costs",
    "backends": "The C core and its twin in Python",
    "peers": "Beside other packages",
    "core": "The C core alone",
}


def _of_version(floors: dict[tuple[str, str], tuple[float, float]], key: tuple[str, str]) -> Any:
    column = _VERSIONS.get(sys.version_info[:2])
    return None if column is None or key not in floors else floors[key][column]


def _input(kind: str, payload: bool) -> str:
    return f"{kind} + {len(PAYLOAD)} B" if payload else kind


class Bench:
    """What is there to be measured, and the rows of one sweep over it."""

    def __init__(self) -> None:
        self.backends = backends.load()
        self.peers, self.missing = peers.load()
        if CPYTHON and "cython" not in self.backends:
            self.missing.append("fastppv2._cython: not built")

    @cached_property
    def empty(self) -> Any:
        return native.empty_calls()

    def _empty(self, data: Sequence[Any]) -> dict[str, Candidate]:
        return {EMPTY: Candidate(timing.call, self.empty.f, data)} if CPYTHON else {}

    def left_out(self) -> list[str]:
        """What a package cannot take, with the reason."""
        found = []
        for peer in self.peers:
            found += [f"{peer.name}, {kind}: {why}" for kind, why in peer.refuses.items()]
            if peer.refuses_payload:
                found.append(f"{peer.name}, with payload: {peer.refuses_payload}")
        return found

    def rows(self) -> Iterator[Row]:
        if CPYTHON:
            yield from self.empty_calls()
            yield from self.core()
        for section in (
            self.parse_bytes,
            self.parse_buffers,
            self.long_views,
            self.detect,
            self.in_networks,
            self.handshake,
            self.parser,
            self.both_ends,
            self.build,
        ):
            yield from section()

    def _each(
        self, loop: Callable[..., None], name: str, data: Sequence[Any]
    ) -> dict[str, Candidate]:
        return {
            backend: Candidate(loop, getattr(module, name), data)
            for backend, module in self.backends.items()
        }

    def _against_empty(
        self, operation: str, name: str, kind: str, payload: bool, data: Sequence[Any]
    ) -> Iterator[Row]:
        """Each backend against the empty call, and against the one in Python."""
        label = _input(kind, payload)
        times = timing.measure({**self._empty(data), **self._each(timing.call, name, data)})
        for backend in self.backends if CPYTHON else ():
            ratio = times.ratio(backend, EMPTY)
            judged = backend == "cython" and not (payload and kind not in _JUDGED_WITH_PAYLOAD)
            floor = _of_version(_AT_MOST, (operation, kind)) if judged else None
            yield Row("calls", backend, operation, label, EMPTY, ratio, floor=floor)
        if name == "parse":
            yield from self._against_pure(operation, label, times)

    def _against_pure(self, operation: str, label: str, times: Times) -> Iterator[Row]:
        for backend in self.backends:
            if backend != "python":
                ratio = times.ratio("python", backend)
                floor = C_OVER_PURE if backend == "cython" else None
                yield Row("backends", backend, operation, label, "python", ratio, True, floor)

    def empty_calls(self) -> Iterator[Row]:
        """What the empty call costs beside the cheapest function that Cython makes."""
        kind = "v2 TCP4"
        data = headers(kind)
        times = timing.measure(
            {
                EMPTY: Candidate(timing.call, self.empty.f, data),
                UNBOUND: Candidate(timing.call, self.empty.unbound, data),
            }
        )
        yield Row("calls", "Cython", UNBOUND, kind, EMPTY, times.ratio(UNBOUND, EMPTY))

    def parse_bytes(self) -> Iterator[Row]:
        for kind in KINDS:
            for payload in (False, True):
                data = headers(kind, payload)
                yield from self._against_empty("parse", "parse", kind, payload, data)

    def parse_buffers(self) -> Iterator[Row]:
        kind = "v2 TCP4"
        for buffer in (memoryview, bytearray):
            for payload in (False, True):
                data = [buffer(raw) for raw in headers(kind, payload)]
                operation = f"parse {buffer.__name__}"
                yield from self._against_empty(operation, "parse", kind, payload, data)

    def long_views(self) -> Iterator[Row]:
        """The same headers in the same buffer: only the length of the views differs."""
        raws = headers("v2 TCP4", payload=True)
        step = len(raws[0])
        buffer = memoryview(b"".join(raws) + bytes(MEGABYTES << 20))
        starts = range(0, step * len(raws), step)
        short = [buffer[start : start + step] for start in starts]
        long = [buffer[start : start + (MEGABYTES << 20)] for start in starts]
        operation, label = "parse memoryview", f"v2 TCP4 + {MEGABYTES} MiB"
        for backend, module in self.backends.items():
            times = timing.measure(
                {
                    "short": Candidate(timing.call, module.parse, short),
                    "long": Candidate(timing.call, module.parse, long),
                }
            )
            ratio = times.ratio("long", "short")
            against = _input("v2 TCP4", True)
            yield Row("calls", backend, operation, label, against, ratio, floor=LONG_VIEW)

    def detect(self) -> Iterator[Row]:
        for kind in ("v2 TCP4", "v1 TCP4"):
            yield from self._against_empty("detect", "detect", kind, False, headers(kind))

    def in_networks(self) -> Iterator[Row]:
        """Is the peer trusted?"""
        operation, data = "host in networks", handshake.hosts()
        candidates = self._empty(data)
        for name, module in self.backends.items():
            members = module.Members(handshake.networks())
            candidates[name] = Candidate(timing.contains, members, data)
        times = timing.measure(candidates)
        label = f"{handshake.NETWORKS} networks"
        for name in self.backends if CPYTHON else ():
            floor = IN_NETWORKS if name == "cython" else None
            ratio = times.ratio(name, EMPTY)
            yield Row("calls", name, operation, label, EMPTY, ratio, floor=floor)

    def handshake(self) -> Iterator[Row]:
        """Peer check, handshake, parse and source; with the first bytes in hand or later."""
        data, listener = handshake.first_bytes(), handshake.listener()
        at_once, later = "receive, source", "connect, feed, source"
        candidates = self._empty(data)
        candidates[at_once] = Candidate(timing.receive, listener.receive, data)
        candidates[later] = Candidate(timing.connect_and_feed, listener.connect, data)
        times = timing.measure(candidates)
        for operation in (at_once, later) if CPYTHON else ():
            judged = fastppv2.backend == "cython" and operation == at_once
            floor = HANDSHAKE if judged else None
            ratio = times.ratio(operation, EMPTY)
            yield Row("calls", fastppv2.backend, operation, "v2 TCP4", EMPTY, ratio, floor=floor)

    def parser(self) -> Iterator[Row]:
        operation = "Parser().feed"
        for kind in ("v2 TCP4", "v1 TCP4"):
            data, label = headers(kind, payload=True), _input(kind, True)
            for backend, module in self.backends.items():
                times = timing.measure(
                    {
                        "parse": Candidate(timing.call, module.parse, data),
                        "feed": Candidate(timing.feed_new, backends.parser_of(module), data),
                    }
                )
                ratio = times.ratio("feed", "parse")
                yield Row("calls", backend, operation, label, "its parse", ratio)

    def both_ends(self) -> Iterator[Row]:
        """Down to the client's address as text, which most peers make in any case."""
        for kind in KINDS:
            data = headers(kind)
            candidates = self._each(timing.read_ends, "parse", data)
            for peer in self.peers:
                if peer.takes(kind):
                    candidates[peer.name] = Candidate(peer.loop, peer.parse, data)
            times = timing.measure(candidates)
            first, *others = self.backends
            for other in others:
                ratio = times.ratio(other, first)
                yield Row("backends", first, BOTH_ENDS, kind, other, ratio, True)
            for backend in self.backends:
                for peer in self.peers:
                    if peer.name in times:
                        yield self._against_peer(backend, peer.name, kind, times)

    def _against_peer(self, backend: str, peer: str, kind: str, times: Times) -> Row:
        operation, floor = BOTH_ENDS, None
        if peer == PEER and backend == "cython":
            floor = _of_version(_AT_LEAST, (operation, kind))
        elif (
            peer == PEER and backend == "python" and CPYTHON
        ):  # with a JIT the peers are quick, too
            by_table = kind in WITH_CHECKSUM and crc32c_package != "crc32c"
            floor = None if by_table else PURE_OVER_PEER
        ratio = times.ratio(peer, backend)
        return Row("peers", backend, operation, kind, peer, ratio, True, floor)

    def build(self) -> Iterator[Row]:
        """Neither with a checksum, then both."""
        if PEER not in [peer.name for peer in self.peers]:
            return
        from proxyprotocol.v1 import ProxyProtocolV1
        from proxyprotocol.v2 import ProxyProtocolV2

        v1, v2 = ProxyProtocolV1().pack, ProxyProtocolV2().pack
        with peers.without_checksum():
            yield from self._build("build", "v2 TCP4", timing.build_v2, v2)
        if crc32c_package == "crc32c":
            yield from self._build("build, checksum", "v2 TCP4", timing.build_checksum, v2)
        yield from self._build("build", "v1 TCP4", timing.build_v1, v1)

    def _build(
        self, operation: str, kind: str, loop: Callable[..., None], pack: Callable[[Any], bytes]
    ) -> Iterator[Row]:
        pairs = endpoints(socket.AF_INET)
        candidates = self._each(loop, "build", pairs)
        candidates[PEER] = Candidate(timing.call, pack, peers.results_to_pack())
        times = timing.measure(candidates)
        for backend in self.backends:
            judged = backend == "cython" and operation == "build"
            floor = BUILD_OVER_PACK[kind] if judged else None
            ratio = times.ratio(PEER, backend)
            yield Row("peers", backend, operation, kind, f"{PEER}'s pack", ratio, True, floor)

    def core(self) -> Iterator[Row]:
        """The C core alone, against libc; and in a Cython program, against the C program."""
        crc32c_kind, measured = native.core()
        measured.update(native.embedded())
        times = Times({name: [time] for name, time in measured.items()})
        pton4, pton6 = "inet_pton(AF_INET)", "inet_pton(AF_INET6)"
        against = {
            "v2 TCP4": (1, pton4, CORE_V2_TCP4),
            "v1 TCP4": (2, pton4, CORE_V1_TCP4),
            "v1 TCP6": (2, pton6, CORE_V1_TCP6),
        }
        for kind in KINDS:
            calls, name, floor = against.get(kind, (1, pton4, None))
            ratio = times.ratio(kind, name) / calls
            yield Row("core", "C", "fpp_parse", kind, f"{calls} {name}", ratio, floor=floor)
            ratio = times.ratio(f"{kind} in Cython", kind)
            floor = CYTHON_V2_TCP4 if kind == "v2 TCP4" else None
            yield Row("core", "Cython", "fpp_parse", kind, "the C program", ratio, floor=floor)
        ratio = times.ratio("crc32c by table", "crc32c")
        floor = None if crc32c_kind == "table" else CRC_OVER_TABLE
        operation = f"fpp_crc32c ({crc32c_kind})"
        yield Row("core", "C", operation, "128 B", "the byte table", ratio, True, floor)


def _sweep(number: int) -> list[Row]:
    print(f"sweep {number} of {SWEEPS}", file=sys.stderr)
    with timing.quiet():
        return list(Bench().rows())


def measure() -> Results:
    """Each sweep in a process of its own: where code and data come to lie in memory is drawn anew
    for every process, and within a single one all sweeps would have the same luck.
    """
    bench, where, sweeps = Bench(), environment(), []
    for number in range(1, SWEEPS + 1):
        with get_context("spawn").Pool(1) as process:
            sweeps.append(process.apply(_sweep, (number,)))
    return Results(where, bench.missing, bench.left_out(), merged(sweeps))


def print_head(results: Results) -> None:
    where = results.where
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items() if number)
    print(f"{where['python']} on {where['cpu']} ({where['system']}), {where['date']}.")
    print(f"With {versions}.\n")
    for missing in results.missing:
        print(f"- Missing: {missing}.")
    for left_out in results.left_out:
        print(f"- Left out: {left_out}.")


def print_tables(rows: Sequence[Row]) -> None:
    for section, title in SECTIONS.items():
        print(f"\n## {title}\n")
        print("| what | operation | input | ratio | | floor | |")
        print("|---|---|---|---:|---|---|---|")
        for row in rows:
            if row.section == section:
                print(row.line())


def verdict(results: Results) -> tuple[str, bool]:
    """In words, and whether every floor holds that was judged."""
    judged = [row for row in results.rows if row.passed is not None]
    failed = [row for row in judged if not row.passed]
    unsteady = [row for row in results.rows if row.spread > UNSTEADY]
    lines = [f"{len(judged) - len(failed)} of {len(judged)} floors hold."]
    lines += [f"FAILED: {row.complaint()}." for row in failed]
    lines += [f"Not judged: {missing}." for missing in results.missing]
    if unsteady:
        lines.append(
            f"{len(unsteady)} of {len(results.rows)} ratios differ by more than {UNSTEADY:.0%}"
            " between the sweeps: something else used the machine, measure again."
        )
    return "\n".join(lines), not failed


def measure_and_print() -> tuple[Results, bool]:
    results = measure()
    print_head(results)
    print_tables(results.rows)
    words, passed = verdict(results)
    print(f"\n{words}")
    return results, passed


if __name__ == "__main__":
    sys.exit(0 if measure_and_print()[1] else 1)
