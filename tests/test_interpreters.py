"""Several interpreters in one process: one has the C core, the others give the same in Python."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_backend import CFFI

import fastppv2
from fastppv2._backend import VARIABLE, backend

# Public since 3.14 only, and renamed in 3.13.
MODULE = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
# Each with a lock of its own (since 3.12), or all with one.
OWN_LOCK, ONE_LOCK = "", "'legacy'" if sys.version_info >= (3, 13) else "isolated=False"
THREADS = 4

INSIDE = """
import os, sys
sys.path[:0] = {path!r}
# That package loads datetime, which CPython 3.12 cannot do in several interpreters at once.
sys.modules["crc32c"] = None
import fastppv2
for number in range(300):
    raw = fastppv2.build(("10.0.0.1", number), ("10.0.0.2", 443), tlvs=[(5, b"id")], checksum=True)
    header = fastppv2.parse(raw)
    assert (header.source, header.unique_id) == (("10.0.0.1", number), b"id")
    try:
        fastppv2.parse(raw[:-1] + b"x")
    except fastppv2.ChecksumError as error:
        assert error.offset == 31
    assert "10.0.0.1" in fastppv2.Policy("10.0.0.0/8").trusted
os.write(1, ("%s\\n" % fastppv2.backend).encode())
"""
PROGRAM = """
import sys, threading, {module} as interpreters
sys.path[:0] = {path!r}
inside = {inside!r}
# CPython 3.12 lists interpreters while another ends, and frees one twice: fastppv2 must not ask.
unlisted = "assert {module!r} not in sys.modules"
def work():
    interpreter = interpreters.create({kind})
    assert interpreters.run_string(interpreter, inside + unlisted) is None
    interpreters.destroy(interpreter)
def others():
    threads = [threading.Thread(target=work) for _ in range({threads})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
{main}
"""


@pytest.mark.skipif(find_spec(MODULE) is None, reason="PyPy has one interpreter")
@pytest.mark.parametrize("kind", [OWN_LOCK, ONE_LOCK], ids=["own lock", "one lock"])
@pytest.mark.parametrize("forced", [None, "python"])
def test_others_beside_the_one_with_the_core(kind: str, forced: str | None) -> None:
    first = forced or backend
    main = "exec(inside)\nothers()\nexec(inside)"
    assert backends(main, kind, forced) == [first, *["python"] * THREADS, first]


@pytest.mark.skipif(find_spec(MODULE) is None, reason="PyPy has one interpreter")
def test_the_main_one_after_another_with_the_core_has_ended() -> None:
    assert backends("work()\nexec(inside)", ONE_LOCK) == [backend, "python"]


def backends(main: str, kind: str, forced: str | None = None) -> list[str]:
    path = [str(Path(fastppv2.__file__).parents[1]), *CFFI]
    inside = INSIDE.format(path=path)
    program = PROGRAM.format(
        module=MODULE, path=path, inside=inside, kind=kind, threads=THREADS, main=main
    )
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        env={} if forced is None else {VARIABLE: forced},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.stderr == ""
    return process.stdout.split()
