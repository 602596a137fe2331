"""One suite for every backend: the fixture ``api`` is each of them in turn.

And what is shipped, built once: ``sdist``, and the wheels ``compiled`` and ``pure`` out of it.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from backends import NAMES, Api, load, load_present
from shipped import (
    NOT_SOURCES,
    ROOT,
    Installed,
    environment,
    has,
    install,
    new_venv,
    run,
    succeeded,
)
from tools import require_tool


@pytest.fixture(params=NAMES, scope="session")
def api(request: pytest.FixtureRequest) -> Api:
    return load(request.param)


@pytest.fixture(scope="session")
def apis() -> list[Api]:
    """All backends at once, to be held against one another."""
    return load_present()


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has pip and all that the build requires: this one, or one that pip equips."""
    project = (ROOT / "pyproject.toml").read_text()
    requires = json.loads(re.search(r"^requires = (\[.*\])$", project, re.MULTILINE)[1])
    requires.append("cffi>=1.15")  # what setup.py asks for with FASTPPV2_CFFI=1
    if all(has(requirement) for requirement in ["pip>=22.3", *requires]):
        return Path(sys.executable)
    python = new_venv(tmp_path_factory.mktemp("builder") / "venv")
    succeeded(run(python, "-m", "pip", "install", "-q", *requires, env=environment()))
    return python


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as a fresh checkout has them."""
    copy = tmp_path_factory.mktemp("tree") / "fastppv2"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_SOURCES))
    return copy


@pytest.fixture(scope="session")
def sources(tree: Path) -> set[str]:
    """What the tree holds before anything is built in it."""
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def sdist(sources: set[str], tree: Path, builder: Path) -> Path:
    assert sources
    program = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
    succeeded(run(builder, "-c", program, cwd=tree, env=environment()))
    (built,) = (tree / "dist").iterdir()
    return built


@pytest.fixture(scope="session")
def compiled(builder: Path, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    require_tool("cc")
    return install(builder, sdist, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def pure(builder: Path, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    directory = tmp_path_factory.mktemp("pure")
    return install(builder, sdist, directory, FASTPPV2_NO_EXTENSIONS="1")
