"""What is shipped: the sdist, the wheels that come out of it, and how a build without means fails.

Everything is built from a copy of the tree, and installed where the tree is not seen.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from tools import require_tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOT = Path(__file__).parent.parent
NOT_SOURCES = (".*", "build", "dist", "*.egg-info", "__pycache__", "*.so", "*.o", "_cython.c")
TIMEOUT = 300.0

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython" or os.name != "posix", reason="as CPython builds on POSIX"
)


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        **options,
    )


def succeeded(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def environment(**settings: str) -> dict[str, str]:
    """That of this process, without what would change a build or an import."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FASTPPV2_", "PYTHON", "COV")) and name not in ("CC", "CFLAGS")
    }
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **settings}


def new_venv(directory: Path, *options: str) -> Path:
    succeeded(run(sys.executable, "-m", "venv", *options, directory))
    return directory / "bin" / "python"


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has pip and all that the build requires: this one, or one that pip equips."""
    project = (ROOT / "pyproject.toml").read_text()
    requires = json.loads(re.search(r"^requires = (\[.*\])$", project, re.MULTILINE)[1])
    if all(_has(requirement) for requirement in ["pip>=22.3", *requires]):
        return Path(sys.executable)
    python = new_venv(tmp_path_factory.mktemp("builder") / "venv")
    succeeded(run(python, "-m", "pip", "install", "-q", *requires, env=environment()))
    return python


def _has(requirement: str) -> bool:
    name, _, least = requirement.partition(">=")
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return _numbers(found) >= _numbers(least)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:2]]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as a fresh checkout has them."""
    copy = tmp_path_factory.mktemp("tree") / "fastppv2"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_SOURCES))
    return copy


@pytest.fixture(scope="module")
def sources(tree: Path) -> set[str]:
    """What the tree holds before anything is built in it."""
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sdist(sources: set[str], tree: Path, builder: Path) -> Path:
    assert sources
    program = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
    succeeded(run(builder, "-c", program, cwd=tree, env=environment()))
    (built,) = (tree / "dist").iterdir()
    return built


def pip_wheel(
    builder: Path, sdist: Path, directory: Path, **settings: str
) -> subprocess.CompletedProcess[str]:
    # Without the cache: it would give the wheel of the build before, whatever the settings.
    options = ["--no-cache-dir", "--no-build-isolation", "--no-deps", "--wheel-dir", directory]
    command = [builder, "-m", "pip", "wheel", *options, sdist]
    return run(*command, cwd=sdist.parent, env=environment(**settings))


@dataclass(frozen=True)
class Installed:
    """A wheel, and the Python of a venv that holds it and nothing else."""

    wheel: Path
    python: Path

    def run(self, program: str, **settings: str) -> subprocess.CompletedProcess[str]:
        command = [self.python, "-I", "-W", "error", "-c", program]
        return run(*command, cwd=self.python.parent, env=environment(**settings))


def install(builder: Path, sdist: Path, directory: Path, **settings: str) -> Installed:
    succeeded(pip_wheel(builder, sdist, directory, **settings))
    (wheel,) = directory.glob("*.whl")
    python = new_venv(directory / "venv", "--without-pip")
    pip = [builder, "-m", "pip", "--python", python]
    succeeded(run(*pip, "install", "-q", "--no-index", "--no-deps", wheel, env=environment()))
    return Installed(wheel, python)


@pytest.fixture(scope="module")
def compiled(builder: Path, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    require_tool("cc")
    return install(builder, sdist, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def pure(builder: Path, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    directory = tmp_path_factory.mktemp("pure")
    return install(builder, sdist, directory, FASTPPV2_NO_EXTENSIONS="1")


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_sdist_holds_the_repository(sdist: Path, sources: set[str]) -> None:
    with tarfile.open(sdist) as archive:
        found = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in found if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
    assert found - made == sources
    for name in ("LICENSE", "csrc/fastppv2.h", "csrc/v1.c", "fastppv2/_cython.pyx"):
        assert name in found


def test_wheels_hold_what_runs_and_nothing_else(
    compiled: Installed, pure: Installed, sources: set[str]
) -> None:
    package = {
        name
        for name in sources
        if name.startswith("fastppv2/") and name.endswith((".py", ".pyi", ".typed"))
    }
    extension = f"fastppv2/_cython{EXTENSION_SUFFIXES[0]}"
    for wheel, expected in ((compiled.wheel, package | {extension}), (pure.wheel, package)):
        information = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/"
        found = files_of(wheel)
        assert {name for name in found if not name.startswith(information)} == expected
        assert f"{information}licenses/LICENSE" in found


def test_wheel_with_a_compiler(compiled: Installed) -> None:
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert f"-{version}-{version}-" in compiled.wheel.name
    program = "import fastppv2, sys; print(fastppv2.backend, fastppv2.__file__)"
    backend, path = succeeded(compiled.run(program)).split()
    assert backend == "cython"
    assert Path(path).is_relative_to(compiled.python.parent.parent)


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
