"""Which backend a process gets, what it says where it cannot, and what the import loads.

Mostly in a process of its own that sees the package and nothing else that is installed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from backends import load

import fastppv2
from fastppv2 import _backend, _crc32c
from fastppv2._backend import MODULES, VARIABLE

PACKAGE = str(Path(fastppv2.__file__).parents[1])
DEFAULT = "cython" if sys.implementation.name == "cpython" else "python"
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


def fresh(program: str, forced: str | None = None) -> subprocess.CompletedProcess[str]:
    prepared = f"import sys; sys.path.insert(0, {PACKAGE!r}); {program}"
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


@pytest.fixture(params=list(MODULES))
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


CYTHON = MODULES["cython"]


def test_without_the_extension() -> None:
    assert output(hidden(CYTHON, CYTHON) + SHOW) == ["python", MODULES["python"]]
    assert import_error(hidden(CYTHON, CYTHON) + SHOW, "cython") == (
        f"{VARIABLE}=cython: hidden; install fastppv2 with a C compiler at hand, or unset it"
    )


@pytest.mark.skipif(DEFAULT != "cython", reason="the extension is not tried")
def test_an_extension_that_lacks_something_is_broken_not_absent() -> None:
    process = fresh(hidden(CYTHON, "fastppv2._spec") + SHOW)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == "ModuleNotFoundError: hidden"


def test_the_choice_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same once more where coverage sees it: what the processes above run, it does not."""
    monkeypatch.setattr(sys.implementation, "name", "cpython")
    monkeypatch.setitem(sys.modules, CYTHON, None)  # type: ignore[arg-type]
    monkeypatch.delenv(VARIABLE, raising=False)
    assert _backend._choose()[0] == "python"
    monkeypatch.setenv(VARIABLE, "python")
    assert _backend._choose()[0] == "python"
    monkeypatch.setenv(VARIABLE, "cython")
    with pytest.raises(ImportError, match=f"^{VARIABLE}=cython: .*; install fastppv2 with a C"):
        _backend._choose()
    monkeypatch.setenv(VARIABLE, "nonsense")
    with pytest.raises(ImportError, match="known are cython"):
        _backend._choose()


def test_only_the_absence_of_the_extension_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> None:
        raise ModuleNotFoundError("hidden", name="fastppv2._spec")

    monkeypatch.setattr(sys.implementation, "name", "cpython")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(_backend, "import_module", lacking)
    with pytest.raises(ModuleNotFoundError, match=r"^hidden$"):
        _backend._choose()


def test_another_implementation_does_not_try_the_extension(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.implementation, "name", "pypy")
    monkeypatch.delenv(VARIABLE, raising=False)
    assert _backend._choose()[0] == "python"


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
