"""What is written once stays written once."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

from backends import Api

from fastppv2._spec import c_header

ROOT = Path(__file__).parent.parent


def test_spec_h_is_what_spec_py_writes() -> None:
    assert (ROOT / "csrc" / "spec.h").read_text() == c_header()
    script = ROOT / "fastppv2" / "_spec.py"
    written = subprocess.run([sys.executable, "-I", script], capture_output=True, check=True)
    assert written.stdout.decode() == c_header()


def test_backends_say_the_same_of_themselves(apis: list[Api]) -> None:
    for name in ("parse", "detect", "build"):
        told = {inspect.getdoc(getattr(api, name)) for api in apis}
        assert len(told) == 1
        assert None not in told
        names = {tuple(inspect.signature(getattr(api, name)).parameters) for api in apis}
        assert len(names) == 1


def test_headers_offer_the_same_names(apis: list[Api]) -> None:
    public = [{name for name in dir(api.Header) if not name.startswith("_")} for api in apis]
    assert all(names == public[0] for names in public)
