"""What is the cffi backend's alone."""

from __future__ import annotations

import pytest
from backends import load

from fastppv2._arguments import plan


def test_what_the_core_refuses_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    build = load("cffi").build
    with monkeypatch.context() as patched:
        wrong = plan(None, None, 2, None, 1, (), False)._replace(version=3)
        patched.setitem(build.__globals__, "plan", lambda *arguments: wrong)
        with pytest.raises(SystemError, match="refused what plan"):
            build()
    assert build().startswith(b"\r\n")
