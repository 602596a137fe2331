"""Which backend, and why.

``FASTPPV2_BACKEND`` forces one of them and fails loudly if it cannot be had. Unset, CPython takes
the C core by Cython and PyPy by cffi, as measured (bench/README.md); both fall back to Python only
where the extension is absent: one that is there and does not load is a broken build, and must not
turn silently into a slow one. Of several interpreters in a process one has the C core, which is
loaded once, and the others have Python (docs/threads.md): CPython or Cython refuses them in words
that name the interpreter. To ask for the interpreters that there are is no other way: CPython 3.12
may crash when another ends meanwhile.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from fastppv2.header import Header

MODULES = {"cython": "fastppv2._cython", "cffi": "fastppv2._cffi", "python": "fastppv2._pure"}
EXTENSIONS = {"cython": "fastppv2._cython", "cffi": "fastppv2._cffi_core"}
VARIABLE = "FASTPPV2_BACKEND"


def _choose() -> tuple[str, ModuleType]:
    forced = os.environ.get(VARIABLE, "")
    if forced:
        if forced not in MODULES:
            raise ImportError(f"{VARIABLE}={forced}: unknown, known are {', '.join(MODULES)}")
        return forced, _load_forced(forced)
    native = "cython" if sys.implementation.name == "cpython" else "cffi"
    try:
        return native, import_module(MODULES[native])
    except ModuleNotFoundError as error:
        if error.name != EXTENSIONS[native]:
            raise
    except ImportError as error:
        if error.path is not None or "interpreter" not in str(error):
            raise
    return "python", import_module(MODULES["python"])


def _load_forced(name: str) -> ModuleType:
    try:
        return import_module(MODULES[name])
    except ModuleNotFoundError as error:
        what = "fastppv2[cffi] with FASTPPV2_CFFI=1 and" if name == "cffi" else "fastppv2 with"
        raise ImportError(
            f"{VARIABLE}={name}: {error}; install {what} a C compiler at hand, or unset it"
        ) from error


if TYPE_CHECKING:
    from fastppv2._networks import Members as Members
    from fastppv2._pure import build as build
    from fastppv2._pure import crc32c_kind as crc32c_kind
    from fastppv2._pure import detect as detect
    from fastppv2._pure import parse as parse
    from fastppv2._queue import Queue as Queue

    backend: str
else:
    backend, _module = _choose()
    Members = _module.Members
    Queue = _module.Queue
    build = _module.build
    crc32c_kind = _module.crc32c_kind
    detect = _module.detect
    parse = _module.parse


def unpickle(raw: bytes) -> Header:
    """A pickled header, read by the backend of the process that asks for it."""
    return parse(raw)
