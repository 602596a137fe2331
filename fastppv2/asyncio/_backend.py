"""The usual way of a connection: compiled where the core is by Cython, else in Python."""

from __future__ import annotations

from importlib import import_module

from fastppv2._backend import backend

MODULES = {
    "cython": "fastppv2.asyncio._cython",
    "cffi": "fastppv2.asyncio._pure",
    "python": "fastppv2.asyncio._pure",
}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastppv2.asyncio._pure import KINDS as KINDS
    from fastppv2.asyncio._pure import Arrival as Arrival
    from fastppv2.asyncio._pure import BareView as BareView
    from fastppv2.asyncio._pure import Extra as Extra
    from fastppv2.asyncio._pure import Factory as Factory
    from fastppv2.asyncio._pure import FirstBytes as FirstBytes
else:
    _module = import_module(MODULES[backend])
    KINDS = _module.KINDS
    Arrival = _module.Arrival
    BareView = _module.BareView
    Extra = _module.Extra
    Factory = _module.Factory
    FirstBytes = _module.FirstBytes
