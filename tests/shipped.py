"""The package as users get it: built from a copy of the tree, installed where nothing else is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOT = Path(__file__).parent.parent
NOT_SOURCES = (".*", "build", "dist", "*.egg-info", "__pycache__", "*.so", "*.o", "_cython.c")
TIMEOUT = 300.0

only_where_it_builds = pytest.mark.skipif(
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


def has(requirement: str) -> bool:
    name, _, least = requirement.partition(">=")
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return _numbers(found) >= _numbers(least)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:2]]


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
        """Without a compiler, too."""
        command = [self.python, "-I", "-W", "error", "-c", program]
        settings = {"PATH": "/nonexistent", **settings}
        return run(*command, cwd=self.python.parent, env=environment(**settings))


def install(builder: Path, sdist: Path, directory: Path, **settings: str) -> Installed:
    succeeded(pip_wheel(builder, sdist, directory, **settings))
    (wheel,) = directory.glob("*.whl")
    python = new_venv(directory / "venv", "--without-pip")
    pip = [builder, "-m", "pip", "--python", python]
    succeeded(run(*pip, "install", "-q", "--no-index", "--no-deps", wheel, env=environment()))
    return Installed(wheel, python)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
