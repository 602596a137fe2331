"""``decode --json`` says of a v2 header what Wireshark's dissector says of it.

Of what clouds say it knows the bytes alone, and of one type (AWS) the name.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tools import require_tool

from fastppv2 import Command, Family, TLVType, Transport
from fastppv2._spec import SIGNATURE_V2, UNIX_PATH_SIZE, V2_HEAD_SIZE
from fastppv2.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

Pairs = list[tuple[str, Any]]  # tshark repeats keys: one "proxy.v2.tlv" for each TLV
Facts = dict[str, Any]

VECTORS = [
    vector
    for vector in json.loads((Path(__file__).parent / "vectors/vectors.json").read_text())
    if vector["expect"]["status"] == "ok" and bytes.fromhex(vector["hex"]).startswith(SIGNATURE_V2)
]
LENGTH = slice(14, 16)
MAX_PAYLOAD = 0xFFFF - 40  # of TCP in one IPv4 packet; the dissector reassembles nothing
FIRST_PORT = 40000  # of no other dissector
SERVER_PORT = 50123
SSL_TEXTS = {  # the last name is tshark's own spelling
    "version": "version",
    "cn": "cn",
    "cipher": "cipher",
    "sig_alg": "sig_alg",
    "key_alg": "keu_alg",
}

_KIND = {"family", "transport"}
_ADDRESSES = {"source", "destination"}
_ENDS = _ADDRESSES | {"source_port", "destination_port"}
_SSL_HEAD = {"ssl.client", "ssl.verify"}
_LOCAL = "LOCAL: the receiver ignores family and addresses (2.2), tshark shows them"
_HALF_UNSPEC = "UNSPEC in one half makes the kind UNSPEC (2.2), tshark shows both halves"
_BROKEN_SSL = "an SSL value whose sub-TLVs are broken reads as none, tshark shows what it can"

# id: the facts that differ, and why that is right
EXCEPTIONS: dict[str, tuple[set[str], str]] = {
    "ssl-broken-sub-2bytes": (_SSL_HEAD, _BROKEN_SSL),
    "ssl-broken-sub-orphan": ({*_SSL_HEAD, "ssl.version", "tlvs"}, _BROKEN_SSL),
    "ssl-broken-sub-overrun": ({*_SSL_HEAD, "tlvs"}, _BROKEN_SSL),
    "ssl-nested-4": (
        {"ssl.version", "tlvs"},
        "an SSL TLV inside SSL is a value like any other (2.2.6), tshark descends",
    ),
    "tlv-max-65535-trailing": ({"tlvs"}, "one IPv4 packet is too small for this header"),
    "unix-embedded-nul": (_ADDRESSES, "a path ends at its first NUL, tshark shows 108 bytes"),
    "v2-local-11-addr": (_KIND | _ENDS, _LOCAL),
    "v2-local-11-addr-tlv": (_KIND | _ENDS | {"tlvs"}, _LOCAL),
    "v2-local-21-addr": (_KIND | _ENDS, _LOCAL),
    "v2-local-21-empty": (_KIND, _LOCAL),
    "v2-local-22-addr": (_KIND | _ENDS, _LOCAL),
    "v2-local-31-addr": (_KIND | _ADDRESSES, _LOCAL),
    "v2-local-f0-undefined": ({"family"}, _LOCAL),
    "v2-local-ff-undefined": (_KIND, _LOCAL),
    "v2-local-nlb-healthcheck": (
        _KIND | _ENDS | {"tlvs"},
        "AWS sends LOCAL and 0x11 without addresses, tshark takes its TLVs for addresses",
    ),
    "v2-local-noop-custom": (
        {"tlvs"},
        "TLVs behind an UNSPEC header are read where the chain is whole, tshark shows bytes",
    ),
    "v2-mixed-01": ({"transport"}, _HALF_UNSPEC),
    "v2-mixed-20": ({"family"}, _HALF_UNSPEC),
    "v2-mixed-30": ({"family"}, _HALF_UNSPEC),
}


def packet(port: int, payload: bytes) -> bytes:
    """One pcap record: Ethernet, IPv4, TCP (PSH, ACK); checksums are left out."""
    tcp = struct.pack(">HHIIBBHHH", port, SERVER_PORT, 1, 1, 5 << 4, 0x18, 8192, 0, 0) + payload
    addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + addresses + tcp
    ethernet = bytes(12) + b"\x08\x00" + ip
    return struct.pack("<IIII", 0, 0, len(ethernet), len(ethernet)) + ethernet


def field(pairs: Pairs, *path: str) -> Any:
    found: Any = pairs
    for name in path:
        found = next((value for key, value in found if key == name), None)
        if found is None:
            return None
    return found


def lengthened(header: bytes) -> bytes:
    """Says 16 bytes more, which makes up for the dissector that counts them from byte 0."""
    length = int.from_bytes(header[LENGTH], "big") + V2_HEAD_SIZE
    return header[: LENGTH.start] + min(length, 0xFFFF).to_bytes(2, "big") + header[LENGTH.stop :]


@pytest.fixture(scope="module")
def dissected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Facts]:
    """What tshark says of each vector; one run for all of them, a TCP stream each.

    Up to 4.0 at least the dissector takes the length for the header's end and overlooks what
    begins in the last 16 bytes. Where it overlooks the only TLV of a small header, what it says
    of TLVs comes from a copy of each vector whose length is 16 more.
    """
    headers = [bytes.fromhex(vector["hex"]) for vector in VECTORS]
    directory = tmp_path_factory.mktemp("tshark")
    layers = run_tshark(directory, headers + [lengthened(header) for header in headers])
    plain = {vector["id"]: tshark_facts(layer) for vector, layer in zip(VECTORS, layers)}
    if plain["tlv-alpn-raw"]["tlvs"]:
        return plain
    for vector, layer in zip(VECTORS, layers[len(VECTORS) :]):
        facts = tshark_facts(layer)
        about_tlvs = [name for name in facts if name.startswith(("tlvs", "ssl"))]
        plain[vector["id"]].update({name: facts[name] for name in about_tlvs})
    return plain


def run_tshark(directory: Path, headers: list[bytes]) -> list[Pairs]:
    tool = require_tool("tshark")
    capture = directory / "vectors.pcap"
    capture.write_bytes(
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 1)  # linktype Ethernet
        + b"".join(
            packet(FIRST_PORT + at, header[:MAX_PAYLOAD]) for at, header in enumerate(headers)
        )
    )
    run = subprocess.run(
        [tool, "-n", "-r", capture, "--enable-heuristic", "proxy_tcp", "-T", "json"],
        env={**os.environ, "WIRESHARK_CONFIG_DIR": str(directory)},  # no one's preferences
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where it warns of running as root
        check=True,
        timeout=120,
    )
    packets = json.loads(run.stdout, object_pairs_hook=list)
    assert len(packets) == len(headers)
    layers = [field(packet, "_source", "layers", "proxy") for packet in packets]
    assert None not in layers, "tshark takes a vector for something else than PROXY"
    return layers


def number(text: str | None) -> int | None:
    return None if text is None else int(text, 0)


def value_of(text: str | None) -> bytes:
    return bytes.fromhex((text or "").replace(":", ""))


def tshark_tlvs(pairs: Pairs) -> Iterator[tuple[int, int, bytes]]:
    """Depth first, as they stand in the header; one that is cut off in its length is none."""
    for key, tlv in pairs:
        if key == "proxy.v2.tlv":
            type = number(field(tlv, "proxy.v2.tlv.type"))
            length = number(field(tlv, "proxy.v2.tlv.length"))
            if type is not None and length is not None and type != TLVType.NOOP:
                yield type, length, value_of(field(tlv, "proxy.v2.tlv.value"))
            yield from tshark_tlvs(tlv)


def tshark_text(pairs: Pairs, name: str) -> str | None:
    for key, value in pairs:
        if key == f"proxy.v2.tlv.ssl.{name}":
            return str(value)
        text = tshark_text(value, name) if key == "proxy.v2.tlv" else None
        if text is not None:
            return text
    return None


def tshark_facts(pairs: Pairs) -> Facts:
    ssl: Pairs = next(
        (
            tlv
            for key, tlv in pairs
            if key == "proxy.v2.tlv" and number(field(tlv, "proxy.v2.tlv.type")) == TLVType.SSL
        ),
        [],
    )
    kind = "proxy.v2.addr_family_protocol_tree"
    facts: Facts = {
        "version": number(field(pairs, "proxy.v2.version")),
        "command": number(field(pairs, "proxy.v2.cmd")),
        "family": number(field(pairs, kind, "proxy.v2.addr_family")),
        "transport": number(field(pairs, kind, "proxy.v2.protocol")),
        "length": number(field(pairs, "proxy.v2.length")),
        "source_port": number(field(pairs, "proxy.srcport")),
        "destination_port": number(field(pairs, "proxy.dstport")),
        "tlvs": list(tshark_tlvs(pairs)),
        "ssl.client": number(field(ssl, "proxy.v2.tlv.ssl.client")),
        "ssl.verify": number(field(ssl, "proxy.v2.tlv.ssl.verify")),
    }
    for name, end in (("source", "src"), ("destination", "dst")):
        path = field(pairs, f"proxy.v2.{end}.unix")
        ip = field(pairs, f"proxy.{end}.ipv4") or field(pairs, f"proxy.{end}.ipv6")
        facts[name] = ip if path is None else value_of(path)
    for name, spelling in SSL_TEXTS.items():
        facts[f"ssl.{name}"] = tshark_text(ssl, spelling)
    return facts


def our_tlvs(tlvs: list[dict[str, Any]]) -> list[tuple[int, int, bytes]]:
    return [(tlv["type"], len(tlv["value"]) // 2, bytes.fromhex(tlv["value"])) for tlv in tlvs]


def our_facts(header: dict[str, Any], theirs: Facts) -> Facts:
    ssl = header["ssl"]
    tlvs = our_tlvs(header["tlvs"])
    if ssl is not None:
        at = [type for type, _, _ in tlvs].index(TLVType.SSL) + 1
        tlvs[at:at] = our_tlvs(ssl["tlvs"])
    facts = {
        "version": header["version"],
        "command": Command[header["command"]],
        "family": Family[header["family"]],
        "transport": Transport[header["transport"]],
        "length": header["size"] - 16,
        "source": header["source"],
        "destination": header["destination"],
        "source_port": header["source_port"],
        "destination_port": header["destination_port"],
        "tlvs": tlvs,
    }
    if facts["family"] == Family.UNIX:
        for name in ("source", "destination"):
            # An abstract name is in hex, for it begins with NUL.
            abstract = theirs[name].startswith(b"\0") and any(theirs[name])
            path = bytes.fromhex(facts[name]) if abstract else os.fsencode(facts[name])
            facts[name] = path.ljust(UNIX_PATH_SIZE, b"\0")
    for name in ("client", "verify", *SSL_TEXTS):
        facts[f"ssl.{name}"] = None if ssl is None else ssl[name]
    return facts


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_same_as_tshark(
    vector: dict[str, Any],
    dissected: dict[str, Facts],
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = dissected[vector["id"]]
    assert main(["decode", "--first", "--json", vector["hex"]]) == 0
    ours = our_facts(json.loads(capsys.readouterr().out)["headers"][0], theirs)
    differ = {name for name in theirs if theirs[name] != ours[name]}
    expected, _ = EXCEPTIONS.get(vector["id"], (set(), ""))
    assert differ == expected, {name: (theirs[name], ours[name]) for name in differ ^ expected}


def test_exceptions_name_vectors() -> None:
    assert EXCEPTIONS.keys() <= {vector["id"] for vector in VECTORS}
