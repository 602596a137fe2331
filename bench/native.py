"""Compiles what the benchmarks need: an empty Cython call, the core in a C and a Cython program."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from array import array
from functools import partial
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from itertools import accumulate
from pathlib import Path
from socket import AF_INET, AF_INET6
from statistics import median
from time import perf_counter_ns

from bench.headers import KINDS, endpoints, headers
from fastppv2 import get_include

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType
    from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "bench" / str(sys.implementation.cache_tag)
ROUNDS, TRIES = 101, 3  # as in core.c
CORE_FLAGS = ["-std=c11", "-O2", "-DNDEBUG", "-Wall", "-Wextra", "-Wconversion", "-Wshadow"]


def _extension(name: str, **options: Any) -> ModuleType:
    """A module of this directory, compiled by setuptools, with Cython's defaults."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    BUILD.mkdir(parents=True, exist_ok=True)
    source = BUILD / f"{name}.pyx"
    source.write_bytes((HERE / source.name).read_bytes())
    modules = cythonize([Extension(name, [str(source)], **options)], quiet=True)
    command: Any = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib = command.build_temp = str(BUILD)
    command.ensure_finalized()
    command.run()
    path = command.get_ext_fullpath(name)
    spec = spec_from_file_location(name, path, loader=ExtensionFileLoader(name, path))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def empty_calls() -> Any:
    """The module ``empty_call``, compiled like the backend."""
    return _extension("empty_call")


def core() -> tuple[str, dict[str, float]]:
    """Compiles and runs core.c: the way CRC32C is done, and the times."""
    BUILD.mkdir(parents=True, exist_ok=True)
    program = BUILD / "core"
    sources = [HERE / "core.c", *sorted((ROOT / "csrc").glob("*.c"))]
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, *CORE_FLAGS, f"-I{ROOT / 'csrc'}", *map(str, sources), "-o", str(program)],
        check=True,
    )
    for kind in KINDS:
        _write_records(BUILD / kind, headers(kind))
    for name, family in (("ipv4", AF_INET), ("ipv6", AF_INET6)):
        hosts = [end[0].encode() for pair in endpoints(family) for end in pair]
        _write_records(BUILD / name, hosts)
    run = subprocess.run([str(program), str(BUILD), *KINDS], check=True, stdout=subprocess.PIPE)
    result = json.loads(run.stdout)
    return result["crc32c"], result["times"]


def embedded() -> dict[str, float]:
    """The times of the core in a Cython program, taken as core.c takes its own."""
    parse_pass = _extension(
        "embedded",
        include_dirs=[get_include()],
        depends=sorted(map(str, Path(get_include()).glob("*.[ch]"))),
        extra_compile_args=["-O2", "-fvisibility=hidden"],
    ).parse_pass
    passes = {kind: partial(parse_pass, *_arena(headers(kind))) for kind in KINDS}
    rounds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind, one_pass in passes.items():
            count = len(headers(kind))
            rounds[kind].append(min(_timed(one_pass, count) for _ in range(TRIES)) / count)
    return {f"{kind} in Cython": median(times) for kind, times in rounds.items()}


def _arena(records: Sequence[bytes]) -> tuple[bytes, array[int], array[int]]:
    """Where core.c has them: one behind another, with a NUL behind each."""
    lengths = array("I", map(len, records))
    starts = array("I", accumulate([0, *(length + 1 for length in lengths[:-1])]))
    return b"\0".join(records), starts, lengths


def _timed(one_pass: Callable[[], int], count: int) -> int:
    start = perf_counter_ns()
    right = one_pass()
    taken = perf_counter_ns() - start
    if right != count:
        raise ValueError("not every record was found right")
    return taken


def _write_records(path: Path, records: Iterable[bytes]) -> None:
    """Each with its length before it, as core.c reads them."""
    path.write_bytes(b"".join(struct.pack("=I", len(record)) + record for record in records))
