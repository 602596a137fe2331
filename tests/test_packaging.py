"""What is shipped: the sdist, the wheels out of it, and how a build that lacks something fails."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from shipped import (
    NOT_SOURCES,
    Installed,
    contents,
    environment,
    install,
    only_where_it_builds,
    pip_wheel,
    run,
    succeeded,
)
from tools import require_tool

pytestmark = only_where_it_builds
SUFFIXES = (".py", ".pyi", ".pxd", ".typed", ".css", ".js")
INFORMATION = {
    "METADATA",
    "RECORD",
    "WHEEL",
    "entry_points.txt",
    "licenses/LICENSE",
    "top_level.txt",
}
PLUGIN = "twisted/plugins/fastppv2_endpoint.py"
MAX_CORE_SIZE, MAX_WHEEL_SIZE = 200_000, 340_000
OF_ADAPTERS = tuple(
    f"fastppv2/{name}"
    for name in ("asgi", "asyncio", "cli", "relay", "servers", "sync", "twisted", "udp")
)


@pytest.fixture(scope="module")
def with_cffi(builder: Path, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    require_tool("cc")
    return install(builder, sdist, tmp_path_factory.mktemp("with_cffi"), FASTPPV2_CFFI="1")


def test_the_sdist_holds_the_repository(sdist: Path, sources: set[str]) -> None:
    with tarfile.open(sdist) as archive:
        found = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in found if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
    assert found - made == sources
    named = ("LICENSE", "csrc/v1.c", "fastppv2/_cython.pyx", "fastppv2/asyncio/_cython.pyx")
    assert found.issuperset(named)


def test_wheels_hold_what_runs_and_the_core_and_nothing_else(
    compiled: Installed, with_cffi: Installed, pure: Installed, sources: set[str]
) -> None:
    package = {n for n in sources if n.startswith("fastppv2/") and n.endswith(SUFFIXES)}
    package = package - {f"fastppv2/{PLUGIN}"} | {PLUGIN}
    core = {f"fastppv2/include/{n[5:]}" for n in sources if re.fullmatch(r"csrc/\w+\.[ch]", n)}
    names = ("_cython", "asyncio/_cython", "_cffi_core")
    *cython, cffi = [f"fastppv2/{name}{EXTENSION_SUFFIXES[0]}" for name in names]
    assert {"fastppv2/py.typed", "fastppv2/_cython.pyi", "fastppv2/core.pxd"} <= package
    assert {"fastppv2/include/fastppv2.h", "fastppv2/include/spec.h"} <= core
    built = ((compiled, {*cython}), (with_cffi, {*cython, cffi}), (pure, set()))
    for installed, expected in built:
        wheel = installed.wheel
        name, version, *_ = wheel.name.split("-")
        information = {f"{name}-{version}.dist-info/{n}" for n in INFORMATION}
        assert set(contents(wheel)) == package | core | information | expected


def test_an_editable_install_has_the_plugin(builder: Path, tree: Path, tmp_path: Path) -> None:
    """Twisted finds it in a directory of that name alone, which the tree does not have."""
    copy = shutil.copytree(tree, tmp_path / "tree", ignore=shutil.ignore_patterns(*NOT_SOURCES))
    program = f"from setuptools.build_meta import build_editable; build_editable({str(tmp_path)!r})"
    settings = environment(FASTPPV2_NO_EXTENSIONS="1")
    succeeded(run(builder, "-c", program, cwd=copy, env=settings))
    (wheel,) = tmp_path.glob("*.whl")
    assert contents(wheel)[PLUGIN] == (tree / "fastppv2" / PLUGIN).read_bytes()


def test_wheels_are_small(compiled: Installed, pure: Installed) -> None:
    for wheel in (compiled.wheel, pure.wheel):
        assert wheel.stat().st_size < MAX_WHEEL_SIZE
        with zipfile.ZipFile(wheel) as archive:
            sizes = {file.filename: file.compress_size for file in archive.infolist()}
        core = [name for name in sizes if not name.startswith(OF_ADAPTERS)]
        assert sum([sizes[name] for name in core]) < MAX_CORE_SIZE


@pytest.mark.parametrize("settings", [{}, {"FASTPPV2_NO_EXTENSIONS": "1"}], ids=["C", "pure"])
def test_the_sdist_gives_the_wheel_that_the_tree_gives(
    request: pytest.FixtureRequest,
    builder: Path,
    tree: Path,
    tmp_path: Path,
    settings: dict[str, str],
) -> None:
    of_sdist = request.getfixturevalue("pure" if settings else "compiled").wheel
    copy = shutil.copytree(tree, tmp_path / "tree", ignore=shutil.ignore_patterns(*NOT_SOURCES))
    succeeded(pip_wheel(builder, copy, tmp_path, **settings))
    (of_tree,) = tmp_path.glob("*.whl")
    assert of_tree.name == of_sdist.name
    assert contents(of_tree) == contents(of_sdist)


@pytest.mark.parametrize("settings", [{}, {"FASTPPV2_NO_EXTENSIONS": "1"}], ids=["C", "pure"])
def test_built_twice_it_is_the_same(
    builder: Path, tree: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    """To the byte, where the time is given (https://reproducible-builds.org)."""
    built = []
    for attempt in ("first", "second"):
        copy = tmp_path / "tree"
        shutil.copytree(tree, copy, ignore=shutil.ignore_patterns(*NOT_SOURCES))
        directory = tmp_path / attempt
        succeeded(pip_wheel(builder, copy, directory, SOURCE_DATE_EPOCH="1700000000", **settings))
        shutil.rmtree(copy)
        (wheel,) = directory.iterdir()
        built.append(wheel.read_bytes())
    assert built[0] == built[1]


@pytest.mark.skipif(sys.platform != "linux", reason="manylinux is Linux")
def test_wheels_that_an_index_takes(compiled: Installed, pure: Installed, tmp_path: Path) -> None:
    auditwheel, twine = require_tool("auditwheel"), require_tool("twine")
    require_tool("patchelf")
    succeeded(run(auditwheel, "repair", "--wheel-dir", tmp_path, compiled.wheel))
    (repaired,) = tmp_path.iterdir()
    assert "-manylinux" in repaired.name
    assert not [name for name in contents(repaired) if ".libs/" in name]  # libc is all it needs
    succeeded(run(twine, "check", "--strict", repaired, pure.wheel))


def test_wheel_with_a_compiler(compiled: Installed) -> None:
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert f"-{version}-{version}-" in compiled.wheel.name
    program = "import fastppv2, sys; print(fastppv2.backend, fastppv2.__file__)"
    backend, path = succeeded(compiled.run(program)).split()
    assert backend == "cython"
    assert Path(path).is_relative_to(compiled.python.parent.parent)


def test_wheel_with_cffi(with_cffi: Installed) -> None:
    """It is not the default here; what it lacks in an environment with nothing else is named."""
    assert succeeded(with_cffi.run("import fastppv2; print(fastppv2.backend)")).strip() == "cython"
    failed = with_cffi.run("import fastppv2", FASTPPV2_BACKEND="cffi")
    assert failed.stderr.splitlines()[-1] == (
        "ImportError: FASTPPV2_BACKEND=cffi: No module named '_cffi_backend'; install "
        "fastppv2[cffi] with FASTPPV2_CFFI=1 and a C compiler at hand, or unset it"
    )


def test_the_import_is_light(compiled: Installed, pure: Installed) -> None:
    program = "import sys; b = {*sys.modules}; import fastppv2; print(*{*sys.modules} - b)"
    for installed in (compiled, pure):
        loaded = set(succeeded(installed.run(program)).split())
        assert "fastppv2" in loaded
        assert not loaded & {"asyncio", "ipaddress", "re", "socket", "ssl"}


def test_wheel_without_extensions(pure: Installed) -> None:
    assert pure.wheel.name.endswith("-py3-none-any.whl")
    program = (
        "import fastppv2; print(fastppv2.backend, fastppv2.parse(b'PROXY UNKNOWN\\r\\n').size)"
    )
    assert succeeded(pure.run(program)).split() == ["python", "15"]


def test_the_command_is_installed(compiled: Installed, pure: Installed) -> None:
    for installed, backend in ((compiled, "cython"), (pure, "python")):
        command = installed.python.with_name("fastppv2")
        assert backend in succeeded(run(command, "--version", env=environment()))


@pytest.mark.parametrize(
    "settings", [{"CC": "/nonexistent/cc"}, {"PATH": "/nonexistent"}], ids=["CC", "PATH"]
)
def test_build_without_a_compiler(
    builder: Path, sdist: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    failed = pip_wheel(builder, sdist, tmp_path, **settings)
    assert failed.returncode != 0
    said = failed.stdout + failed.stderr
    assert "fastppv2: the C core could not be compiled: " in said
    assert "FASTPPV2_NO_EXTENSIONS=1 pip install fastppv2" in said
    assert not list(tmp_path.iterdir())


def test_a_backend_that_is_not_installed(pure: Installed) -> None:
    failed = pure.run("import fastppv2", FASTPPV2_BACKEND="cython")
    assert failed.returncode != 0
    said = failed.stderr.splitlines()[-1]
    assert said.startswith("ImportError: FASTPPV2_BACKEND=cython: ")
    assert "with a C compiler" in said


@pytest.mark.parametrize("settings", [{}, {"FASTPPV2_BACKEND": "cython"}], ids=["unset", "cython"])
def test_a_broken_extension_is_no_slow_one(
    compiled: Installed, tmp_path: Path, settings: dict[str, str]
) -> None:
    with zipfile.ZipFile(compiled.wheel) as archive:
        archive.extractall(tmp_path)
    extension = tmp_path / "fastppv2" / f"_cython{EXTENSION_SUFFIXES[0]}"
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import fastppv2; print('there')"
    assert succeeded(compiled.run(program, **settings)).strip() == "there"
    extension.write_bytes(b"not a shared object" * 1000)
    failed = compiled.run(program, **settings)
    assert failed.returncode != 0
    said = failed.stderr.splitlines()[-1]
    assert said.startswith("ImportError: ")
    assert extension.name in said
    assert succeeded(compiled.run(program, FASTPPV2_BACKEND="python")).strip() == "there"
