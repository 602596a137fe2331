"""What ``get_include`` points to, and what Cython sees of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastppv2
from fastppv2 import _include

CSRC = Path(__file__).parent.parent / "csrc"
CORE = sorted(CSRC.glob("*.[ch]"))


def test_the_directory_holds_the_core() -> None:
    found = fastppv2.get_include()
    assert isinstance(found, str)
    assert Path(found).is_absolute()
    for path in CORE:
        assert (Path(found) / path.name).read_bytes() == path.read_bytes()


def test_beside_the_package_or_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include, csrc = tmp_path / "fastppv2" / "include", tmp_path / "csrc"
    monkeypatch.setattr(_include, "_PACKAGE", str(include.parent))
    for place in (csrc, include):  # what was installed goes before what lies around
        place.mkdir(parents=True)
        (place / "fastppv2.h").touch()
        assert fastppv2.get_include() == str(place)


def test_a_package_without_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "csrc").mkdir()
    monkeypatch.setattr(_include, "_PACKAGE", str(tmp_path / "fastppv2"))
    with pytest.raises(FileNotFoundError, match="install fastppv2 from a wheel") as caught:
        fastppv2.get_include()
    assert repr(str(tmp_path / "fastppv2" / "include")) in str(caught.value)
    assert repr(str(tmp_path / "csrc")) in str(caught.value)


def test_one_unit_has_every_file() -> None:
    unit = (CSRC / "fastppv2_all.h").read_text()
    sources = [path.name for path in CORE if path.suffix == ".c"]
    assert re.findall(r'^#include "(.*)"$', unit, re.MULTILINE) == sources


def test_cython_is_told_everything() -> None:
    header = (CSRC / "fastppv2.h").read_text()
    spec = (CSRC / "spec.h").read_text()
    api = set(re.findall(r"\b(?:fpp|FPP)_\w+", re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)))
    values = set(re.findall(r"^(?:#define| ) +(FPP_\w+)(?: =)? \d+,?$", spec, re.MULTILINE))
    assert {"fpp_parse", "FPP_MAX_SIZE", "FPP_STATUS_OK"} < api | values
    declared = (Path(fastppv2.__file__).parent / "core.pxd").read_text()
    assert set(re.findall(r"\b(?:fpp|FPP)_\w+", declared)) == api | values
