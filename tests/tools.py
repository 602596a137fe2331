"""Programs and modules of other projects that tests compare with or talk to."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import NoReturn

import pytest

# Servers live in sbin, which Debian leaves out of the PATH of ordinary users.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def require_tool(name: str) -> str:
    """The path of the program; without it the test is skipped on a laptop and fails in CI."""
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SBIN))
    if path is None:
        _do_without(name)
    return path


def require_module(name: str) -> None:
    """Without the module, which is not imported here, the same."""
    if find_spec(name) is None:
        _do_without(name)


def _do_without(name: str) -> NoReturn:
    reason = f"{name} is not installed"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
