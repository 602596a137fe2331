"""Compiles what the benchmarks need: the empty Cython call and the program for the C core."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from socket import AF_INET, AF_INET6

from bench.headers import KINDS, endpoints, headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "bench" / str(sys.implementation.cache_tag)
CORE_FLAGS = ["-std=c11", "-O2", "-DNDEBUG", "-Wall", "-Wextra", "-Wconversion", "-Wshadow"]


def empty_calls() -> Any:
    """The module ``empty_call``, compiled like the backend by setuptools."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    BUILD.mkdir(parents=True, exist_ok=True)
    source = BUILD / "empty_call.pyx"
    source.write_bytes((HERE / "empty_call.pyx").read_bytes())
    modules = cythonize([Extension("empty_call", [str(source)])], quiet=True)
    command: Any = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib = command.build_temp = str(BUILD)
    command.ensure_finalized()
    command.run()
    path = command.get_ext_fullpath("empty_call")
    spec = spec_from_file_location(
        "empty_call", path, loader=ExtensionFileLoader("empty_call", path)
    )
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def _write_records(path: Path, records: Iterable[bytes]) -> None:
    """Each with its length before it, as core.c reads them."""
    path.write_bytes(b"".join(struct.pack("=I", len(record)) + record for record in records))
