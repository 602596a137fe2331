"""The C core's own test program: what it is compiled from, what it reads, and what it must say."""

from __future__ import annotations

import re
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from backends import VECTORS
from tools import require_tool

from fastppv2 import Command, Family, ProxyProtocolError, TLVType, Transport, _pure

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
CORE = sorted(CSRC.glob("*.c"))
PROGRAM = [HERE / "guarded.c", *sorted(HERE.glob("test_*.c"))]

STANDARD = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


class Variant(NamedTuple):
    flags: list[str]
    crc32c: Path = CSRC / "crc32c.c"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def tlvs_field(tlvs: Any) -> str:
    if tlvs == "*":
        return "*"
    pairs = [f"{type:02x}:{value}" for type, value in tlvs if type != TLVType.NOOP]
    return ",".join(pairs) or "-"


def ssl_field(ssl: Any) -> str:
    if ssl is None:
        return "!"
    return "*" if ssl == "*" else f"{ssl['client']}/{ssl['verify']}/{tlvs_field(ssl['tlvs'])}"


def address_field(address: str | None) -> str:
    if address is None or address == "*":
        return "*"
    if address.startswith("hex:"):
        return address[4:] or "-"
    return ip_address(address).packed.hex()


def number_field(value: Any, names: Any = None) -> str:
    if value in ("*", None):
        return "*"
    return str(int(names[value] if names else value))


def error_fields(data: bytes) -> list[str]:
    """Offset and bytes needed, which the vectors leave open: as the twin in Python has them."""
    with pytest.raises(ProxyProtocolError) as caught:
        _pure.parse(data)
    return [str(getattr(caught.value, name, 0)) for name in ("offset", "needed")]


def vector_line(case: dict[str, Any]) -> str:
    """The fields in the order of the enumeration in test_vectors.c."""
    expect = case["expect"]
    fields = [case["id"], case["hex"] or "-", expect["status"]]
    if expect["status"] != "ok":
        return " ".join(fields + error_fields(bytes.fromhex(case["hex"])) + ["*"] * 11)
    fields += [
        *("*", "*"),
        number_field(expect["header_length"]),
        number_field(expect["version"]),
        number_field(expect["command"], Command),
        number_field(expect["family"], Family),
        number_field(expect["transport"], Transport),
        address_field(expect["source"]),
        number_field(expect["source_port"]),
        address_field(expect["destination"]),
        number_field(expect["destination_port"]),
        tlvs_field(expect["tlvs"]),
        ssl_field(expect.get("ssl", "*")),
    ]
    return " ".join(fields)


def compile_program(compiler: str, variant: Variant, directory: Path, *flags: str) -> Path:
    program = directory / "core"
    core = [variant.crc32c if path.name == "crc32c.c" else path for path in CORE]
    run(
        require_tool(compiler),
        *STANDARD,
        *variant.flags,
        *flags,
        f"-I{CSRC}",
        *core,
        *PROGRAM,
        "-o",
        program,
        cwd=directory,
    )
    return program


def check_passed(output: str) -> None:
    lines = output.splitlines()
    assert f"vectors: {len(VECTORS)}" in lines
    last = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1])
    assert last is not None, output[-8000:]
    assert int(last[1]) > 1_000_000
    assert int(last[2]) == 0, output[-8000:]
