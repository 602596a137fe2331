"""All backends that are here, side by side in one process."""

from __future__ import annotations

from importlib import import_module

from fastppv2._backend import EXTENSIONS, MODULES
from fastppv2.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def load() -> dict[str, ModuleType]:
    """By name; one that was not built is left out, one that is broken is not."""
    found = {}
    for name, module in MODULES.items():
        try:
            found[name] = import_module(module)
        except ModuleNotFoundError as error:
            if error.name != EXTENSIONS.get(name):
                raise
    return found


def parser_of(backend: ModuleType) -> type[Parser]:
    """``fastppv2.Parser`` on that backend."""
    functions = {
        "__slots__": (),
        "_detect": staticmethod(backend.detect),
        "_parse": staticmethod(backend.parse),
    }
    return type("Parser", (Parser,), functions)
