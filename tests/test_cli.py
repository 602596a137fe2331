"""The command line: what it reads, what it writes, and one line for everything that is broken."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import fastppv2
from fastppv2 import Command, TLVType, Transport, build, cli, cloud, parse
from fastppv2._backend import crc32c_kind
from fastppv2.cli import main, source

VECTORS = json.loads((Path(__file__).parent / "vectors/vectors.json").read_text())
CLIENT, SERVER = ("192.0.2.1", 56324), ("198.51.100.2", 443)
TCP4 = build(CLIENT, SERVER)
LINE = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
TCP4_TREE = """\
 0-27  PROXY protocol version 2 header, 28 bytes
 0-11      Signature: 0d0a0d0a000d0a515549540a
   12      0010 .... = Version: 2
   12      .... 0001 = Command: PROXY
   13      Address Family and Transport: TCP over IPv4 (0x11)
   13          0001 .... = Address Family: INET (1)
   13          .... 0001 = Transport: STREAM (1)
14-15      Length: 12
16-19      Source Address: 192.0.2.1
20-23      Destination Address: 198.51.100.2
24-25      Source Port: 56324
26-27      Destination Port: 443
"""

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


def ok(capsys: Capture, *argv: str) -> str:
    status = main(argv)
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    assert out.isascii()
    return out


def broken(capsys: Capture, *argv: str) -> str:
    """The one line on standard error, without the name of the program."""
    assert main(argv) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(r"fastppv2: [ -~]+\n", err), err
    return err[len("fastppv2: ") : -1]


def misused(capsys: Capture, *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.partition("error: ")[2][:-1]


def stdin(monkeypatch: Patch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def decoded(capsys: Capture, *argv: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ok(capsys, "decode", "--json", *argv))
    assert list(document) == ["headers", "payload_bytes", "error"]
    return document


def documented(raw: bytes) -> dict[str, Any]:
    header = parse(raw)
    return {"offset": 0, **header.as_dict(), "cloud": cloud.as_dict(header)}


def encoded(capsys: Capture, *argv: str) -> bytes:
    return bytes.fromhex(ok(capsys, "encode", *argv))


# What decode takes.


@pytest.mark.parametrize(
    "write",
    [
        lambda digits: [digits],
        lambda digits: [digits.upper()],
        lambda digits: [f"0x{digits}"],
        lambda digits: [" ".join(re.findall("..", digits))],
        lambda digits: [":".join(re.findall("....", digits))],
        lambda digits: [", ".join([f"0X{byte}" for byte in re.findall("..", digits)])],
        lambda digits: ["\n" + "\r\n".join(re.findall(".{1,32}", digits)) + "\n"],
        lambda digits: re.findall("..", digits),
        lambda digits: [re.sub("(..)", r"\\x\1", digits)],
        lambda digits: [
            "\\r\\n\\r\\n\\0\\r\\nQUIT\\n\\x21\\x11" + re.sub("(..)", r"\\x\1", digits[28:])
        ],
        lambda digits: ["--hex", digits],
        lambda digits: ["--text", re.sub("(..)", r"\\x\1", digits)],
    ],
)
def test_argument(capsys: Capture, write: Callable[[str], list[str]]) -> None:
    assert ok(capsys, "decode", *write(TCP4.hex())) == TCP4_TREE


@pytest.mark.parametrize(
    "content",
    [
        TCP4,
        TCP4.hex().encode(),
        TCP4.hex(" ").encode() + b"\r\n",
        b"\n\t " + TCP4.hex(":").encode(),
        b"\r\n\r\n" + TCP4.hex().encode(),  # begins like a header, and is none
        "".join(f"\\x{byte:02X}" for byte in TCP4).encode() + b"\n",
    ],
)
@pytest.mark.parametrize("way", ["stdin", "dash", "path", "--file"])
def test_content(
    capsys: Capture, monkeypatch: Patch, tmp_path: Path, content: bytes, way: str
) -> None:
    path = tmp_path / "capture.bin"
    path.write_bytes(content)
    stdin(monkeypatch, content)
    argv = {"stdin": [], "dash": ["-"], "path": [str(path)], "--file": ["--file", str(path)]}
    assert ok(capsys, "decode", *argv[way]) == TCP4_TREE


@pytest.mark.parametrize(
    ("option", "content"),
    [("--hex", b"0d0a0d0a 000d0a51 5549540a 20000000"), ("--text", b"PROXY UNKNOWN\\r\\n\n")],
)
def test_content_of_a_stated_kind(
    capsys: Capture, monkeypatch: Patch, option: str, content: bytes
) -> None:
    stdin(monkeypatch, content)
    document = decoded(capsys, option)
    assert document["payload_bytes"] == 0  # the LF of echo is none
    assert document["headers"][0]["family"] == "UNSPEC"


@pytest.mark.parametrize(
    "argv",
    [
        [LINE.decode()],
        ["PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\\r\\n"],
        ["PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\\x0d\\x0A"],
        ["PROXY", "TCP4", "192.0.2.1", "198.51.100.2", "56324", "443\\r\\n"],
    ],
)
def test_line(capsys: Capture, argv: list[str]) -> None:
    tree = ok(capsys, "decode", *argv)
    assert "34-38      Source Port: 56324\n" in tree
    assert "43-44      Line End: CRLF\n" in tree
    assert "added" not in tree


def test_line_without_crlf(capsys: Capture) -> None:
    tree = ok(capsys, "decode", "PROXY UNKNOWN")
    assert "13-14      Line End: CRLF\n" in tree
    assert tree.endswith("\n(CRLF added: the argument has no line end)\n")


def test_line_in_a_file_is_taken_as_it_is(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "line"
    path.write_bytes(b"PROXY UNKNOWN\n")
    assert broken(capsys, "decode", str(path)).startswith("byte 13: invalid PROXY header: line f")


@pytest.mark.parametrize(("name", "kind"), [("cafe", "hex"), ("PROXY", "text"), ("\\x50", "text")])
def test_ambiguous_argument(
    capsys: Capture, monkeypatch: Patch, tmp_path: Path, name: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(TCP4)
    message = f"{name!a} is {kind}, and a file has that name: say which with --{kind} or --file"
    assert broken(capsys, "decode", name) == message
    assert ok(capsys, "decode", "--file", name) == TCP4_TREE
    assert "PROXY header" in broken(capsys, "decode", f"--{kind}", name)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["0d0a0"], "character 0 of the text (from 0): odd number of hex digits, '0d0a0': "),
        (["0d", "0x"], "character 5 of the text (from 0): no digits: write two digits"),
        (["--hex", "0d 0x0z"], "character 6 of the text (from 0): b'z' is not a hex digit: "),
        (["0d10xa"], "character 4 of the text (from 0): b'x' is not a hex digit: remove or"),
        (["--hex", ":"], "empty hex text: pass two hex digits for each byte"),
        ([r"\r\q"], r"character 2 of the text (from 0): unknown escape b'\\q': write \r"),
        ([r"\012"], r"character 0 of the text (from 0): unknown escape b'\\012': write"),
        ([r"\x0"], r"character 0 of the text (from 0): unknown escape b'\\x0': write"),
        (["PROXY\\"], r"character 5 of the text (from 0): unknown escape b'\\': write"),
        ([""], "empty argument: pass a header as hex or text, a file, or - for stdin"),
        ([" ", " "], "empty argument"),
        (["axe"], "no such file: 'axe'; nor is it hex or text of a header: correct the path"),
        (["no", "file"], "no such file: 'no file'; nor is it hex or text"),
        (["\x1b[31m\u202e"], r"no such file: '\x1b[31m\u202e'; nor is it hex"),
        (["--file", "missing"], "cannot read file 'missing': No such file or directory: pass"),
        (["--file", "nul\0"], r"cannot read file 'nul\x00': embedded null byte: pass a file"),
        (["."], "cannot read file '.': Is a directory: pass a file"),
        (["\ud800"], r"the argument '\ud800' cannot be encoded: write such bytes as \xHH"),
        (["47455420"], "byte 0: not a PROXY header, starts with b'GET ': is sending the PROXY"),
        (["--text", "GET"], "byte 0: not a PROXY header, starts with b'GET': is sending"),
        (["0d0a"], "byte 2: the input ends inside a PROXY header: 2 bytes of it are here, at"),
        (
            [TCP4.hex()[:-2]],
            "byte 27: the input ends inside a PROXY header: 27 bytes of it are here, at least 28 "
            "needed: pass all of it",
        ),
        (
            ["PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\\r\\n"],
            "byte 27: invalid PROXY header: source port: expected 0 to 65535 in plain digits, and "
            "a space; got b'+1 2': correct the sender",
        ),
        (
            [build(CLIENT, SERVER, checksum=True)[:-1].hex() + "00"],
            "byte 31: invalid PROXY header: the CRC32C checksum does not match the header; got 0x",
        ),
    ],
)
def test_broken_argument(
    capsys: Capture, monkeypatch: Patch, tmp_path: Path, argv: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert broken(capsys, "decode", *argv).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty: pass a header as bytes, hex or text"),
        (b" \n", "standard input is empty"),
        (b"\r\n", "byte 2: the input ends inside a PROXY header"),
        (b"0d0a0d0a 0", "character 9 of the text (from 0): odd number of hex digits, '0': "),
        (
            b"0d0a0d0a:zz",
            "byte 0: standard input holds neither a PROXY header nor hex, it starts w",
        ),
        (b"0000000 0d0a", "character 0 of the text (from 0): odd number of hex digits"),  # od
        (
            b"\x1b[31m\xff\xe2\x80\xae",
            r"byte 0: standard input holds neither a PROXY header nor hex, it starts with "
            r"b'\x1b[31m\xff\xe2\x80\xae': is sending the PROXY protocol enabled",
        ),
        (bytes(source.MAX_INPUT + 1), "standard input is larger than 1048576 bytes: pass its"),
    ],
)
def test_broken_content(capsys: Capture, monkeypatch: Patch, content: bytes, message: str) -> None:
    stdin(monkeypatch, content)
    assert broken(capsys, "decode").startswith(message)


def test_a_slip_in_hex_is_found_with_hex(capsys: Capture, monkeypatch: Patch) -> None:
    stdin(monkeypatch, b"0d0a0d0a:zz")
    assert broken(capsys, "decode").endswith("(--hex says what is not hex)")
    stdin(monkeypatch, b"0d0a0d0a:zz")
    assert broken(capsys, "decode", "--hex").startswith("character 9 of the text")


def test_no_more_than_the_start_of_what_is_no_header_is_shown(capsys: Capture) -> None:
    line = broken(capsys, "decode", "--text", "Authorization: secret")
    assert "b'Authorization: s'" in line
    assert "secret" not in line


def test_unreadable(capsys: Capture, monkeypatch: Patch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os.path, "exists", lambda _: True)
    monkeypatch.setattr("builtins.open", refuse)
    assert broken(capsys, "decode", "/x").startswith("cannot read file '/x': Permission denied: ")


def test_standard_input_closed_or_failing(capsys: Capture, monkeypatch: Patch) -> None:
    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object) -> int:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Failing())))
    message = "cannot read standard input: Input/output error: pipe"
    assert broken(capsys, "decode").startswith(message)
    monkeypatch.setattr(sys, "stdin", None)
    assert broken(capsys, "decode").startswith("standard input is closed: ")


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_vectors(capsys: Capture, monkeypatch: Patch, vector: dict[str, Any]) -> None:
    """Every input ends in a tree or in one line; every byte of a header is in the tree."""
    data = bytes.fromhex(vector["hex"])
    stdin(monkeypatch, data)
    if vector["expect"]["status"] != "ok":
        broken(capsys, "decode", "--first")
        return
    size = vector["expect"]["header_length"]
    tree = ok(capsys, "decode", "--first")
    fields = re.findall(r"^ *(\d+)(?:-(\d+))?  +(?!PROXY protocol|Payload)", tree, re.MULTILINE)
    seen = {at for first, last in fields for at in range(int(first), int(last or first) + 1)}
    if data.startswith(b"PROXY"):  # the spaces between the fields of a line belong to none
        seen |= {at for at in range(size) if data[at] == ord(" ")}
    assert seen == set(range(size))


# What decode says.


def tree_of(capsys: Capture, header: bytes) -> str:
    return ok(capsys, "decode", header.hex())


def test_tree_of_tlvs(capsys: Capture) -> None:
    tlvs = [
        (TLVType.ALPN, b"h2"),
        (TLVType.AUTHORITY, "b\u00fccher.example\u202e".encode()),
        (TLVType.AUTHORITY, b"\xff"),
        (TLVType.NETNS, b"\x1b]0;x\x07"),
        (TLVType.NOOP, b""),
        (TLVType.UNIQUE_ID, b"\r\n"),
        (0xE0, b""),
        (0xF3, b"x"),
        (0xFE, b"x"),
        (0x77, b"x"),
        (0xEA, b"\x01" * 100),
    ]
    tree = tree_of(capsys, build(CLIENT, SERVER, tlvs=tlvs, checksum=True))
    texts = [line[9:].strip() for line in tree.splitlines()]
    assert [text[5:] for text in texts if text.startswith("TLV: ")] == [
        "CRC32C",
        "ALPN",
        "AUTHORITY",
        "AUTHORITY",
        "NETNS",
        "NOOP",
        "UNIQUE_ID",
        "application-specific",
        "experimental",
        "reserved for future use",
        "unassigned",
        "application-specific",
    ]
    values = [text[7:] for text in texts if text.startswith("Value: ")]
    assert re.fullmatch(r"0x[0-9a-f]{8} \(correct\)", values[0])
    assert values[1:] == [
        "6832 ('h2')",
        r"'b\xfccher.example\u202e'",
        "ff (not UTF-8)",
        r"'\x1b]0;x\x07'",
        "(empty)",
        "0d0a",
        "(empty)",
        "78 ('x')",
        "78 ('x')",
        "78 ('x')",
        "01" * 32 + "...",
    ]
    assert "application-specific (0xe0)" in tree
    assert "Length: 100\n" in tree


def test_tree_of_what_clouds_say(capsys: Capture) -> None:
    tlvs = [
        cloud.aws_vpce_id_tlv("vpce-1"),
        cloud.azure_private_link_id_tlv(5678),
        cloud.gcp_psc_connection_id_tlv(9),
        cloud.alibaba_service_id_tlv(""),
        (0xEA, b"\x01\x1b[31m"),
    ]
    tree = tree_of(capsys, build(CLIENT, SERVER, tlvs=tlvs))
    assert (
        tree.partition("Destination Port: 443\n")[2]
        == """\
28-37      TLV: AWS_VPCE_ID
   28          Type: AWS (0xea)
29-30          Length: 7
   31          Subtype: AWS_VPCE_ID (0x01)
32-37          Value: 'vpce-1'
38-45      TLV: AZURE_PRIVATE_LINK_ID
   38          Type: AZURE (0xee)
39-40          Length: 5
   41          Subtype: AZURE_PRIVATE_LINK_ID (0x01)
42-45          Value: 5678
46-56      TLV: GCP_PSC_CONNECTION_ID
   46          Type: GCP (0xe0)
47-48          Length: 8
49-56          Value: 9
57-60      TLV: ALIBABA_SERVICE_ID
   57          Type: ALIBABA (0xe1)
58-59          Length: 1
   60          Subtype: ALIBABA_SERVICE_ID (0x03)
               Value: ''
61-69      TLV: application-specific
   61          Type: application-specific (0xea)
62-63          Length: 6
64-69          Value: 011b5b33316d
"""
    )


def test_a_cloud_says_nothing_inside_ssl(capsys: Capture) -> None:
    sub = bytes([0xEE, 0, 5, 1, 7, 0, 0, 0])
    tree = tree_of(capsys, build(CLIENT, SERVER, tlvs=[(TLVType.SSL, bytes(5) + sub)]))
    assert "36-43          TLV: application-specific\n" in tree


def test_long_text_of_a_cloud_is_cut(capsys: Capture) -> None:
    tree = tree_of(capsys, build(tlvs=[cloud.alibaba_vpc_id_tlv("v" * 1000)]))
    assert f"Value: '{'v' * 63}...\n" in tree


SSL = bytes([7, 0, 0, 0, 18, 0x21, 0, 7]) + b"TLSv1.3" + bytes([0x03, 0, 1, 9, 0x20, 0, 0])


def test_tree_of_ssl(capsys: Capture) -> None:
    tree = tree_of(capsys, build(CLIENT, SERVER, tlvs=[(TLVType.SSL, SSL)]))
    assert (
        tree.partition("28-52  ")[2]
        == """\
    TLV: SSL
   28          Type: SSL (0x20)
29-30          Length: 22
   31          Client: 0x07
   31              .... ...1 = SSL: the client connected over SSL/TLS
   31              .... ..1. = CERT_CONN: the client gave a certificate over this connection
   31              .... .1.. = CERT_SESS: the client gave a certificate over this TLS session
32-35          Verify: 0x00000012 (certificate not verified)
36-45          TLV: SSL_VERSION
   36              Type: SSL_VERSION (0x21)
37-38              Length: 7
39-45              Value: 'TLSv1.3'
46-49          TLV: CRC32C
   46              Type: CRC32C (0x03)
47-48              Length: 1
   49              Value: 09
50-52          TLV: SSL
   50              Type: SSL (0x20)
51-52              Length: 0
                   Value: (empty)
"""
    )


@pytest.mark.parametrize(
    ("client", "verify", "bits", "verdict"),
    [
        (0, 0, "0 .. 0", "no certificate given"),
        (1, 0, "1 .. 0", "no certificate given"),
        (3, 0, "1 .. 0", "certificate verified"),
        (5, 0, "1 .. 1", "certificate verified"),
        (5, 1, "1 .. 1", "certificate not verified"),
    ],
)
def test_verdict_on_a_certificate(
    capsys: Capture, client: int, verify: int, bits: str, verdict: str
) -> None:
    value = bytes([client, 0, 0, 0, verify])
    tree = tree_of(capsys, build(CLIENT, SERVER, tlvs=[(TLVType.SSL, value)]))
    ssl, _, session = bits.split()
    assert f".... ...{ssl} = SSL:" in tree
    assert f".... .{session}.. = CERT_SESS:" in tree
    assert f"({verdict})" in tree


@pytest.mark.parametrize(
    ("value", "shown"),
    [(b"", "(empty)"), (b"\1", "01"), (b"abcdefg", "61626364656667 ('abcdefg')")],
)
def test_malformed_ssl(capsys: Capture, value: bytes, shown: str) -> None:
    tree = tree_of(capsys, build(CLIENT, SERVER, tlvs=[(TLVType.SSL, value)]))
    assert tree.endswith(f"   Malformed SSL value: {shown}\n")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/run/x", "'/run/x'"),
        ("", "(empty)"),
        (b"\0name", r"'\x00name' (abstract)"),
        (b"/\xff\x1b", r"'/\udcff\x1b'"),
    ],
)
def test_tree_of_unix(capsys: Capture, path: Any, shown: str) -> None:
    tree = tree_of(capsys, build(path, "/run/server", transport=Transport.DGRAM))
    assert " 16-123      Source Address: " + shown + "\n" in tree
    assert "124-231      Destination Address: '/run/server'\n" in tree
    assert ": UNIX datagram (0x32)\n" in tree


@pytest.mark.parametrize(
    ("tail", "lines"),
    [
        (
            "20f10001ff",
            [
                "   13      Address Family and Transport: undefined (0xf1), ignored: LOCAL",
                "   13          1111 .... = Address Family: undefined (15)",
                "   13          .... 0001 = Transport: STREAM (1)",
                "   16      Ignored: ff",
            ],
        ),
        ("2100000ac00002010000c0000201", ["16-25      Ignored: c00002010000c0000201"]),
        ("20000004ea000101", ["16-19      TLV: AWS_VPCE_ID"]),
        ("21200004ea000101", ["16-19      Ignored: ea000101"]),
    ],
)
def test_tree_without_addresses(capsys: Capture, tail: str, lines: list[str]) -> None:
    tree = ok(capsys, "decode", "0d0a0d0a000d0a515549540a" + tail)
    for line in lines:
        assert line + "\n" in tree


def test_tree_of_version_1(capsys: Capture) -> None:
    line = "PROXY TCP6 2001:DB8:0::1 ::ffff:1.2.3.4 1 22\\r\\nrest"
    assert (
        ok(capsys, "decode", line)
        == """\
 0-45  PROXY protocol version 1 header, 46 bytes
  0-4      Signature: PROXY
  6-9      Protocol: TCP6
11-23      Source Address: 2001:db8::1 (written '2001:DB8:0::1')
25-38      Destination Address: ::ffff:1.2.3.4
   40      Source Port: 1
42-43      Destination Port: 22
44-45      Line End: CRLF

46-49  Payload: 4 bytes
"""
    )
    assert r"13-20      Ignored: ' \x1b[31m\xff\x7f'" in ok(
        capsys, "decode", "PROXY UNKNOWN \\x1b[31m\\xff\\x7f\\r\\n"
    )


@pytest.mark.parametrize("payload", [b"", b"GET / HTTP/1.1\r\n", b"\r\n", b"PROX"])
def test_several_headers(capsys: Capture, payload: bytes) -> None:
    data = LINE + TCP4 + build() + payload
    tree = ok(capsys, "decode", data.hex())
    assert tree.count("PROXY protocol version") == 3
    assert re.search("\n\n *45-72  PROXY protocol version 2 header, 28 bytes\n", tree)
    assert re.search("\n *59-60      Length: 12\n", tree)
    assert tree.count("Payload") == bool(payload)
    assert f"Payload: {len(payload)} bytes\n" in tree or not payload
    document = decoded(capsys, data.hex())
    assert [header["offset"] for header in document["headers"]] == [0, 45, 73]
    assert document["payload_bytes"] == len(payload)
    document = decoded(capsys, "--first", data.hex())
    assert [header["offset"] for header in document["headers"]] == [0]
    assert document["payload_bytes"] == len(data) - len(LINE)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (
            b"PROXY TCP5 ",
            "byte 51: invalid PROXY header: expected TCP4, TCP6 or UNKNOWN; got",
        ),
        (TCP4[:-1], "byte 72: the input ends inside a PROXY header: 27 bytes of it are"),
        (
            build(CLIENT, SERVER, tlvs=[(4, b"")])[:-1] + b"\1",
            "byte 74: invalid PROXY header: the length of this TLV reaches beyond the header; got "
            "1: correct the sender",
        ),
    ],
)
def test_broken_behind_a_good_header(capsys: Capture, tail: bytes, message: str) -> None:
    data = (LINE + tail).hex()
    if b"TCP5" in tail:
        data += b" 1 2\r\n".hex()
    assert main(["decode", data]) == 1
    out, err = capsys.readouterr()
    assert out.count("PROXY protocol version") == 1
    assert "Payload" not in out
    assert err.startswith(f"fastppv2: {message}")
    assert err.endswith(" (or pass --first, if what follows byte 44 is payload)\n")
    assert err.count("\n") == 1
    assert main(["decode", "--json", data]) == 1
    out, same = capsys.readouterr()
    assert same == err
    document = json.loads(out)
    assert [header["source"] for header in document["headers"]] == ["192.0.2.1"]
    assert document["payload_bytes"] is None
    assert f"fastppv2: {document['error']}\n" == err
    ok(capsys, "decode", "--first", data)


def test_json_is_the_header_as_dict(capsys: Capture) -> None:
    raw = build(CLIENT, SERVER, tlvs=[(TLVType.SSL, SSL), (TLVType.ALPN, b"h2")], checksum=True)
    document = decoded(capsys, raw.hex())
    assert document == {
        "headers": [documented(raw)],
        "payload_bytes": 0,
        "error": None,
    }


def test_json_holds_no_control_characters(capsys: Capture) -> None:
    authority = "".join(map(chr, range(0xA0))) + "\u202e\U0001f600"
    raw = build(CLIENT, SERVER, tlvs=[(TLVType.AUTHORITY, authority.encode())])
    out = ok(capsys, "decode", "--json", raw.hex())
    assert re.fullmatch(r"[ -~\n]+", out)
    assert json.loads(out)["headers"][0]["authority"] == authority


def test_nothing_on_standard_output_without_a_header(capsys: Capture) -> None:
    assert main(["decode", "--json", "47455420"]) == 1
    assert capsys.readouterr().out == ""


# encode.


@pytest.mark.parametrize(
    ("argv", "raw"),
    [
        (["192.0.2.1:56324", "198.51.100.2:443"], TCP4),
        (["192.0.2.1:56324", "198.51.100.2:443", "--v1"], LINE),
        (
            ["--udp", "192.0.2.1:0", "198.51.100.2:65535"],
            build(("192.0.2.1", 0), ("198.51.100.2", 65535), transport=Transport.DGRAM),
        ),
        (
            ["[2001:db8::1]:1", "[::ffff:1.2.3.4]:2"],
            build(("2001:db8::1", 1), ("::ffff:1.2.3.4", 2)),
        ),
        (["--v1", "[::1]:1", "[::2]:2"], b"PROXY TCP6 ::1 ::2 1 2\r\n"),
        (["--dgram", "[::1]:1", "[::2]:2"], build(("::1", 1), ("::2", 2), transport=2)),
        (["--unix", "/a", "b"], build("/a", "b")),
        (["--unix", "--udp", "@a", "./@b"], build(b"\0a", "./@b", transport=2)),
        (["--unix", "", "\udcff"], build("", b"\xff")),
        (["--local"], build()),
        (["--unknown"], build(command=Command.PROXY)),
        (["--unspec", "--v1"], b"PROXY UNKNOWN\r\n"),
        (["--local", "--crc32c"], build(checksum=True)),
        (
            ["--local", "--crc32c", "--tlv", "alpn=", "--tlv", "CRC32C=hex:00000000"],
            build(tlvs=[(1, b""), (3, bytes(4))], checksum=True),
        ),
    ],
)
def test_encode(capsys: Capture, argv: list[str], raw: bytes) -> None:
    assert encoded(capsys, *argv) == raw
    assert decoded(capsys, raw.hex())["headers"] == [documented(raw)]


@pytest.mark.parametrize(
    ("text", "tlv"),
    [
        ("ALPN=h2", (1, b"h2")),
        ("unique-id=a=b", (5, b"a=b")),
        ("ssl_cn=b\u00fccher", (0x22, b"b\xc3\xbccher")),
        ("0xEA=hex:01 76", (0xEA, b"\x01v")),
        ("234=hex:01:76", (0xEA, b"\x01v")),
        ("0XF=", (15, b"")),
        ("255=hex:", (255, b"")),
        ("0=text:hex:00", (0, b"hex:00")),
        ("0=text", (0, b"text")),
        ("0=http://x", (0, b"http://x")),
        ("0=\udcff", (0, b"\xff")),
        ("AWS_VPCE_ID=vpce-1", (0xEA, b"\x01vpce-1")),
        ("alibaba-service-id=hex:00", (0xE1, b"\x03hex:00")),
        ("azure-private-link-id=5678", (0xEE, b"\x01\x2e\x16\0\0")),
        ("GCP_PSC_CONNECTION_ID=18446744073709551615", (0xE0, b"\xff" * 8)),
    ],
)
def test_encode_tlv(capsys: Capture, text: str, tlv: tuple[int, bytes]) -> None:
    assert parse(encoded(capsys, "--local", "--tlv", text)).tlvs == (tlv,)


def test_encode_keeps_the_order_of_tlvs(capsys: Capture) -> None:
    raw = encoded(capsys, "--local", "--tlv", "2=b", "--tlv", "1=a", "--tlv", "2=c")
    assert parse(raw).tlvs == ((2, b"b"), (1, b"a"), (2, b"c"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "SRC and DST are needed, or one of --local and --unknown"),
        (["1.2.3.4:1"], "SRC and DST are needed"),
        (["--unix", "/a"], "SRC and DST are needed"),
        (["--local", "1.2.3.4:1", "1.2.3.4:2"], "--local and --unknown take no addresses"),
        (["--unknown", "1.2.3.4:1"], "--local and --unknown take no addresses"),
        (["--local", "--udp"], "--local and --unknown have no transport, leave out --udp"),
        (["--local", "--v1"], "command: version 1 has no LOCAL, only PROXY"),
        (["--local", "--unix"], "argument --unix: not allowed with argument --local"),
        (["1.2.3.4", "1.2.3.4:2"], "SRC: expected 192.0.2.1:443, or [2001:db8::1]:443, or a path"),
        (["1.2.3.4:1", "::1:2"], "DST: expected 192.0.2.1:443, or [2001:db8::1]:443, or a path"),
        (["[1.2.3.4]:1", "1.2.3.4:2"], "SRC: expected 192.0.2.1:443"),
        (["1.2.3.4:+1", "1.2.3.4:2"], "SRC: expected 192.0.2.1:443"),
        (["1.2.3.4:01", "1.2.3.4:2"], "SRC: expected 192.0.2.1:443"),
        (["1.2.3.4:65536", "1.2.3.4:2"], "source: expected a port from 0 to 65535, got 65536"),
        (["1.2.3.4:1", "[::1]:2"], "destination: expected an address of the source's family"),
        (["example.org:1", "1.2.3.4:2"], "source: 'example.org' is not an IP address (names are"),
        (["--unix", "/" * 109, "b"], "source: at most 108 bytes of UNIX path, got 109"),
        (["--unix", "a", "\ud800"], r"DST: '\ud800' cannot be encoded"),
        (["--v1", "--unix", "a", "b"], "source: version 1 cannot carry UNIX addresses"),
        (["--v1", "--udp", "[::1]:1", "[::1]:2"], "transport: version 1 knows only STREAM"),
        (["--v1", "--unknown", "--tlv", "1=a"], "tlvs: version 1 has none, use version 2"),
        (["--v1", "--unknown", "--crc32c"], "checksum: version 1 has none, use version 2"),
        (["--local", "--tlv", "1"], "argument --tlv: expected TYPE=VALUE, got '1'"),
        (["--local", "--tlv", "256="], "argument --tlv: TYPE: expected 0 to 255, 0x00 to 0xff or"),
        (["--local", "--tlv", "0x100="], "argument --tlv: TYPE: expected 0 to 255"),
        (["--local", "--tlv", "+1="], "argument --tlv: TYPE: expected 0 to 255"),
        (["--local", "--tlv", "vpce="], "argument --tlv: TYPE: expected 0 to 255"),
        (["--local", "--tlv", "1=hex:0"], "argument --tlv: VALUE: expected two hex digits a byte"),
        (["--local", "--tlv", "1=\ud800"], r"argument --tlv: VALUE: '\ud800' cannot be encoded"),
        (
            ["--local", "--tlv", "AWS_VPCE_ID=\u00e9"],
            r"argument --tlv: aws_vpce_id: expected printable ASCII, got '\xe9'",
        ),
        (
            ["--local", "--tlv", "AZURE_PRIVATE_LINK_ID=4294967296"],
            "argument --tlv: azure_private_link_id: expected 0 to 4294967295, got 4294967296",
        ),
        (
            ["--local", "--tlv", "AZURE_PRIVATE_LINK_ID=0x1"],
            "argument --tlv: azure_private_link_id: expected a number in decimal, got '0x1'",
        ),
        (["--local", "--tlv", "3=aaaa"], "--tlv CRC32C: the checksum is computed, pass --crc32c"),
        (["--local", "--crc32c", "--tlv", "3=a"], "tlvs[0]: a checksum has 4 bytes, got 1"),
    ],
)
def test_encode_misused(capsys: Capture, argv: list[str], message: str) -> None:
    assert misused(capsys, "encode", *argv).startswith(message)


@pytest.mark.parametrize("argv", [[], ["guess"], ["decode", "--hex", "--text", "00"]])
def test_misused(capsys: Capture, argv: list[str]) -> None:
    assert misused(capsys, *argv)


@pytest.mark.parametrize("words", [[], ["a", "b"]])
def test_file_needs_one_name(capsys: Capture, words: list[str]) -> None:
    message = "--file needs the name of one file as INPUT"
    assert misused(capsys, "decode", "--file", *words) == message


# The program.


def test_version(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setenv("COLUMNS", "20")  # scripts read it: it stays one line
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == (
        f"fastppv2 {fastppv2.__version__} (backend {fastppv2.backend}, crc32c {crc32c_kind})\n"
    )


@pytest.mark.parametrize("command", ["decode", "encode"])
def test_help_shows_examples(capsys: Capture, command: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"\n  fastppv2 {command} " in capsys.readouterr().out


def test_examples_of_the_help_work(capsys: Capture) -> None:
    assert (
        ok(
            capsys,
            "decode",
            *["0d0a0d0a000d0a515549540a", "2111000c", "c0000201", "c6336402", "dc04", "01bb"],
        )
        == TCP4_TREE
    )
    ends = "192.0.2.1:56324", "198.51.100.2:443"
    raw = encoded(capsys, *ends, "--tlv", "AUTHORITY=example.org", "--crc32c")
    assert parse(raw).authority == "example.org"
    assert encoded(capsys, "--v1", "[2001:db8::1]:56324", "[2001:db8::2]:443").endswith(b"\r\n")


def test_interrupted(capsys: Capture, monkeypatch: Patch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(source, "read", interrupt)
    assert main(["decode"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("argv", [["--local"], ["--unknown", "--v1"]])
def test_raw(capsysbinary: pytest.CaptureFixture[bytes], argv: list[str]) -> None:
    assert main(["encode", "--raw", *argv]) == 0
    out, err = capsysbinary.readouterr()
    assert out == build(version=1 if "--v1" in argv else 2)
    assert err == b""


def test_raw_is_not_for_a_terminal(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert broken(capsys, "encode", "--local", "--raw").startswith("raw bytes are not for a term")
    assert encoded(capsys, "--local") == build()


class Full(io.RawIOBase):
    """A standard output that fails, over a descriptor that can be replaced."""

    def __init__(self, file: Any, error: OSError) -> None:
        self.file = file
        self.error: OSError | None = error

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.error is not None:
            raise self.error
        return len(bytes(data))

    def fileno(self) -> int:
        descriptor: int = self.file.fileno()
        return descriptor


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), ""),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "fastppv2: cannot write the output: No space left on device: redirect it elsewhere\n",
        ),
    ],
)
def test_output_fails(
    capsys: Capture, monkeypatch: Patch, tmp_path: Path, error: OSError, line: str
) -> None:
    with open(tmp_path / "out", "wb") as file:
        full = Full(file, error)
        output = io.TextIOWrapper(io.BufferedWriter(full))
        monkeypatch.setattr(sys, "stdout", output)
        assert main(["encode", "--local"]) == 1
        monkeypatch.undo()
        assert os.fstat(file.fileno()).st_rdev == os.stat(os.devnull).st_rdev
        full.error = None
        output.close()
    assert capsys.readouterr().err == line


def test_streams_closed(capsys: Capture, monkeypatch: Patch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert broken(capsys, "encode", "--local").startswith("standard output is closed: ")
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["encode", "--local"]) == 1


def test_standard_error_fails(monkeypatch: Patch) -> None:
    class Failing(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Failing())
    assert main(["decode", "00"]) == 1


def environment() -> dict[str, str]:
    """For a process that imports what this one does, and buffers its output."""
    path = os.pathsep.join([str(Path(fastppv2.__file__).parents[1]), *sys.path])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": ""}


def fastppv2_process(*argv: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "fastppv2", *argv],
        env=environment(),
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
        **options,
    )


def test_process_round_trip() -> None:
    argv = ["192.0.2.1:56324", "198.51.100.2:443"]
    raw = fastppv2_process("encode", "--raw", *argv, stdout=subprocess.PIPE)
    assert (raw.returncode, raw.stdout, raw.stderr) == (0, TCP4, b"")
    tree = fastppv2_process("decode", input=raw.stdout, stdout=subprocess.PIPE)
    assert (tree.returncode, tree.stdout.decode().replace("\r\n", "\n")) == (0, TCP4_TREE)
    failed = fastppv2_process("decode", "00", stdout=subprocess.PIPE)
    assert (failed.returncode, failed.stdout) == (1, b"")
    assert re.fullmatch(rb"fastppv2: byte 0: [ -~]+\r?\n", failed.stderr)
    misuse = fastppv2_process("guess", stdout=subprocess.PIPE)
    assert misuse.returncode == 2
    assert misuse.stderr.startswith(b"usage: fastppv2 ")


@pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")
@pytest.mark.parametrize(
    "argv", [["--help"], ["decode", TCP4.hex()], ["encode", "--local", "--raw"]]
)
def test_process_with_a_closed_pipe(argv: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = fastppv2_process(*argv, stdout=writer)
    finally:
        os.close(writer)
    assert (process.returncode, process.stderr) == (1, b"")


def test_the_library_does_not_load_the_command_line() -> None:
    program = "import sys, fastppv2; print('fastppv2.cli' in sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert loaded.strip() == b"False"


def test_main_is_the_entry_point() -> None:
    assert cli.main is main
