"""Which backend a process gets, what it says where it cannot, and what the import loads.

Mostly in a process of its own that sees the package and nothing else that is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from backends import NAMES, load

import fastppv2
from fastppv2 import _backend, _crc32c
from fastppv2._backend import EXTENSIONS, MODULES, VARIABLE

PACKAGE = str(Path(fastppv2.__file__).parents[1])
DEFAULT = "cython" if sys.implementation.name == "cpython" else "cffi"
# The heavy ones, and those that a parser has no business with.
NOT_LOADED = {
    "asyncio",
    "ipaddress",
    "logging",
    "re",
    "select",
    "socket",
    "ssl",
    "twisted",
    "typing",
}


def site_of(module: str) -> list[str]:
    """The directory that a module was installed to, if it is no part of Python."""
    spec = find_spec(module)
    return [str(Path(spec.origin).parent)] if spec and spec.has_location and spec.origin else []


# What the backend by cffi takes from that package.
CFFI = site_of("_cffi_backend")


def fresh(program: str, forced: str | None = None) -> subprocess.CompletedProcess[str]:
    path = [PACKAGE, *(CFFI if forced == "cffi" else [])]
    prepared = f"import sys; sys.path[:0] = {path!r}; {program}"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", prepared],
        env={} if forced is None else {VARIABLE: forced},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def output(program: str, forced: str | None = None) -> list[str]:
    process = fresh(program, forced)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout.split()


def import_error(program: str, forced: str | None = None) -> str:
    process = fresh(program, forced)
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    kind, _, message = last.partition(": ")
    assert kind == "ImportError", process.stderr
    return message


@pytest.fixture(params=NAMES)
def forced(request: pytest.FixtureRequest) -> str:
    return load(request.param).name


SHOW = "import fastppv2; print(fastppv2.backend, fastppv2.parse.__module__)"


def test_forced(forced: str) -> None:
    name, module = output(SHOW, forced)
    assert name == forced
    assert module == MODULES[forced]


@pytest.mark.parametrize("unset", [None, ""])
def test_default(unset: str | None) -> None:
    load(DEFAULT)
    assert output(SHOW, unset) == [DEFAULT, MODULES[DEFAULT]]


def test_asyncio_has_the_same(forced: str) -> None:
    program = "import fastppv2.asyncio._backend as usual; print(usual.Arrival.__module__)"
    part = "_cython" if forced == "cython" else "_pure"
    assert output(program, forced) == [f"fastppv2.asyncio.{part}"]


def test_unknown() -> None:
    assert import_error(SHOW, "nonsense") == (
        f"{VARIABLE}=nonsense: unknown, known are {', '.join(MODULES)}"
    )


def hidden(module: str, name: str) -> str:
    """A program's start: importing ``module`` fails for want of the module ``name``."""
    return (
        "import importlib.abc\n"
        "class Hidden(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, fullname, path, target=None):\n"
        f"        if fullname == {module!r}:\n"
        f"            raise ModuleNotFoundError('hidden', name={name!r})\n"
        "sys.meta_path.insert(0, Hidden())\n"
    )


HOW = {
    "cython": "install fastppv2 with a C compiler at hand",
    "cffi": "install fastppv2[cffi] with FASTPPV2_CFFI=1 and a C compiler at hand",
}


@pytest.mark.parametrize(("name", "extension"), EXTENSIONS.items())
def test_without_the_extension(name: str, extension: str) -> None:
    assert import_error(hidden(extension, extension) + SHOW, name) == (
        f"{VARIABLE}={name}: hidden; {HOW[name]}, or unset it"
    )


def test_without_the_extension_of_this_implementation() -> None:
    extension = EXTENSIONS[DEFAULT]
    assert output(hidden(extension, extension) + SHOW) == ["python", MODULES["python"]]


def test_an_extension_that_lacks_something_is_broken_not_absent() -> None:
    process = fresh(hidden(EXTENSIONS[DEFAULT], "fastppv2._spec") + SHOW)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == "ModuleNotFoundError: hidden"


# The same once more where coverage sees it: what the processes above run, it does not.


@pytest.fixture(params=[("cpython", "cython"), ("pypy", "cffi")], ids=["cpython", "pypy"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The backend over the C core that an implementation takes, if it is there."""
    implementation, backend = request.param
    monkeypatch.setattr(sys.implementation, "name", implementation)
    monkeypatch.delenv(VARIABLE, raising=False)
    return str(backend)


def importing(monkeypatch: pytest.MonkeyPatch, module: str, error: ImportError | None) -> None:
    """As if ``module`` were there, or its import raised the error."""

    def stand_in(name: str) -> ModuleType:
        if name == module and error:
            raise error
        return ModuleType(name)

    monkeypatch.setattr(_backend, "import_module", stand_in)


def test_the_choice(native: str, monkeypatch: pytest.MonkeyPatch) -> None:
    importing(monkeypatch, MODULES[native], None)
    name, module = _backend._choose()
    assert (name, module.__name__) == (native, MODULES[native])


def test_the_choice_without_the_extension(native: str, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = ModuleNotFoundError("hidden", name=EXTENSIONS[native])
    importing(monkeypatch, MODULES[native], absent)
    assert _backend._choose()[0] == "python"
    monkeypatch.setenv(VARIABLE, "python")
    assert _backend._choose()[0] == "python"
    monkeypatch.setenv(VARIABLE, native)
    with pytest.raises(ImportError, match=f"^{VARIABLE}={native}: hidden; install fastppv2"):
        _backend._choose()
    monkeypatch.setenv(VARIABLE, "nonsense")
    with pytest.raises(ImportError, match="known are cython, cffi, python"):
        _backend._choose()


def test_only_the_absence_of_the_extension_is_caught(
    native: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = ModuleNotFoundError("hidden", name="fastppv2._spec")
    importing(monkeypatch, MODULES[native], lacking)
    with pytest.raises(ModuleNotFoundError, match=r"^hidden$"):
        _backend._choose()


@pytest.mark.parametrize(
    "said",
    [
        "module fastppv2._cython does not support loading in subinterpreters",
        "Interpreter change detected - this module can only be loaded into one interpreter "
        "per process.",
    ],
    ids=["CPython", "Cython"],
)
def test_one_of_several_interpreters_has_the_core(
    native: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As test_interpreters.py shows."""
    importing(monkeypatch, MODULES[native], ImportError(said))
    assert _backend._choose()[0] == "python"


@pytest.mark.parametrize(
    "broken",
    [
        ImportError("undefined symbol: fpp_parse"),
        ImportError("/srv/interpreter/core.so: no such file", path="/srv/interpreter/core.so"),
    ],
    ids=["symbol", "path"],
)
def test_an_extension_that_does_not_load_is_a_broken_build(
    native: str, broken: ImportError, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing(monkeypatch, MODULES[native], broken)
    with pytest.raises(ImportError, match=re.escape(str(broken))):
        _backend._choose()


def test_the_import_is_light(forced: str) -> None:
    program = (
        "sys.modules['crc32c'] = None; "  # what that package loads for itself is not ours
        "before = set(sys.modules); import fastppv2.cloud; print(*(set(sys.modules) - before))"
    )
    loaded = set(output(program, forced))
    assert {"fastppv2", MODULES[forced]} <= loaded
    assert not loaded & NOT_LOADED
    # The other backends, the command line and the adapters stay where they are.
    ours = {name for name in loaded if name.startswith("fastppv2.")}
    others = {module for name, module in MODULES.items() if name != forced}
    assert not ours & others
    assert "fastppv2.cli" not in ours


def test_without_the_crc32c_package() -> None:
    show = "import fastppv2._backend as b; print(b.crc32c_kind)"
    assert output("sys.modules['crc32c'] = None; " + show, "python") == ["python"]
    stand_in = "import types; sys.modules['crc32c'] = types.ModuleType('crc32c')"
    stand_in += "; sys.modules['crc32c'].crc32c = print; "
    assert output(stand_in + show, "python") == ["crc32c"]


def test_the_crc32c_package_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "crc32c", None)  # type: ignore[arg-type]
    assert _crc32c._choose() == ("python", _crc32c.by_table)
    package = ModuleType("crc32c")
    package.crc32c = print  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "crc32c", package)
    assert _crc32c._choose() == ("crc32c", print)
