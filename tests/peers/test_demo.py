"""``fastppv2 demo`` in a real browser: what the page shows comes out of the header.

``SCREENSHOT=docs/demo.png pytest tests/peers/test_demo.py`` makes README's picture.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from browser import browser
from programs import HOST, TIMEOUT, Program
from servers import reserved_port

from fastppv2 import build, cloud

REQUEST = b"GET /client HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"
SERVER = ("198.51.100.2", 443)
PHONE, DESK, PICTURE = (390, 844), (1100, 1400), (1000, 780)
HOSTILE = "<script>document.title='gone'</script><img src=x onerror=document.title='gone'>"


class Demo:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.page = "http://{}:{}/".format(*program.address)
        port = re.search(rf"takes headers on {HOST}:(\d+)", program.said())[1]
        self.backend = HOST, int(port)

    def send(self, address, header: bytes = b"") -> tuple[tuple[str, int], bytes]:
        """Our own name, and whom the page saw."""
        with socket.create_connection(address, TIMEOUT) as connection:
            connection.sendall(header + REQUEST)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            return connection.getsockname(), answer.rpartition(b"\r\n\r\n")[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with reserved_port() as port:
        command = [sys.executable, "-m", "fastppv2", "demo", "--port", str(port)]
        log = tmp_path_factory.mktemp("demo") / "log"
        with closing(Program(command, log, port)) as program:
            program.wait_until_said("takes headers on")
            yield Demo(program)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def page(demo, chromium):
    """The page as it is now, in a browser that runs scripts and complains of nothing."""
    chromium.resize(*DESK)
    chromium.open(demo.page)
    yield chromium
    assert chromium.complaints() == []


def test_the_visitors_own_address(demo, page):
    """As the terminal has it too; and the balancer's is another one."""
    client, balancer = page.text("#client"), page.text("#balancer")
    assert re.search(
        rf"^{re.escape(client)} \[.*\] {re.escape(balancer)} page \d+ 200 \d+ \"GET /\"$",
        demo.program.said(),
        re.MULTILINE,
    )
    host, _, port = client.partition(":")
    tree = page.text(".tree")
    assert f"Source Address: {host}" in tree
    assert f"Source Port: {port}" in tree
    assert "(correct)" in tree
    assert "vpce-0a1b2c3d4e5f60718" in tree
    assert int(port).to_bytes(2, "big").hex(" ") in tree


def test_other_connections(demo, page):
    """Through the balancer, and straight to the page with another endpoint and source."""
    through, saw = demo.send(demo.program.address)
    assert saw == "{}:{}".format(*through).encode()
    tlvs = [cloud.aws_vpce_id_tlv("vpce-0fedcba9876543210")]
    straight, saw = demo.send(
        demo.backend, build(("2001:db8::7", 4242), ("2001:db8::1", 1), tlvs=tlvs)
    )
    assert saw == b"[2001:db8::7]:4242"
    demo.send(demo.backend)
    page.open(demo.page)
    recent = page.text("#recent")
    for said in (
        "{}:{}".format(*through),
        "[2001:db8::7]:4242",
        "{}:{}".format(*straight),
        "endpoint vpce-0fedcba9876543210",
        "missing: not a PROXY header (looks like an HTTP request)",
    ):
        assert said in recent


def test_the_list_is_live(demo, page):
    """A connection that comes later is there without another look."""
    demo.send(demo.backend, build(("192.0.2.99", 9999), SERVER))
    deadline = time.monotonic() + TIMEOUT
    while "192.0.2.99:9999" not in page.text("#recent"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_health_checks_are_no_clients(demo, page):
    with socket.create_connection(demo.backend) as check:
        name = "{}:{}".format(*check.getsockname())
        check.sendall(build())
    with socket.create_connection(demo.backend):
        pass
    page.open(demo.page)
    assert int(page.text("#checks").split()[0]) >= 2
    assert name not in page.text("#recent table")


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("v1", "Accepted: the page saw 192.0.2.1:56324."),
        ("v2", "Accepted: the page saw 192.0.2.1:56324."),
        ("local", "Accepted, as a health check: the client is the balancer itself, 127.0.0.1:"),
        ("checksum", "Refused, reason checksum: invalid PROXY header at byte 31: "),
        ("none", "Refused, reason missing: not a PROXY header (looks like an HTTP request): "),
        ("twice", "Refused, reason nested: a second PROXY header directly behind the first: "),
    ],
)
def test_links(page, link, said):
    for _ in range(2):  # a second time it is told all the same
        page.run(f"document.querySelector('a[href$=\"/{link}\"]').click()")
        deadline = time.monotonic() + TIMEOUT
        while not page.run("return document.querySelector('#outcome') !== null"):
            assert time.monotonic() < deadline
        assert page.text("#outcome").startswith(said)
        page.run("document.querySelector('a[href=\"/\"]').click()")
        while not page.run("return document.querySelector('#client') !== null"):
            assert time.monotonic() < deadline


def test_markup_in_a_header_is_inert(demo, page):
    tlvs = [(2, HOSTILE.encode()), (5, HOSTILE.encode())]
    demo.send(demo.backend, build(("192.0.2.66", 6666), SERVER, tlvs=tlvs))
    page.open(demo.page)
    time.sleep(2.5)  # also when the list is made anew
    assert page.run("return document.title") == "fastppv2 demo"
    assert HOSTILE[:20] in page.text("#recent")
    assert page.run("return document.querySelectorAll('script, img').length") == 1
    assert page.run("return document.querySelector('#recent script, #recent img')") is None


def test_nothing_from_elsewhere(demo, page):
    """All that is loaded is the page's own; and its policy lets no script in but that one."""
    names = page.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert names
    assert all(name.startswith((demo.page, "data:")) for name in names)
    page.run(
        "const s = document.createElement('script'); s.textContent = 'document.title = 1';"
        "document.body.append(s);"
    )
    assert page.run("return document.title") == "fastppv2 demo"
    (complaint,) = page.complaints()
    assert "Content Security Policy" in complaint


@pytest.mark.parametrize("size", [PHONE, DESK])
def test_it_fits_the_screen(demo, page, size):
    page.resize(*size)
    for path in ("", "send/twice", "send/checksum"):
        page.open(demo.page + path)
        width = page.run("return document.documentElement.scrollWidth")
        assert width <= size[0], path


def test_without_scripts(demo, chromium):
    chromium.command("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.open(demo.page)
        # The driver's own scripts are run all the same.
        assert re.fullmatch(rf"{HOST}:\d+", chromium.text("#client"))
        assert "Source Port" in chromium.text(".tree")
        assert "health checks so far" in chromium.text("#checks")
    finally:
        chromium.command("Emulation.setScriptExecutionDisabled", {"value": False})


def test_screenshot(demo, page, tmp_path):
    page.resize(*PICTURE)
    picture = page.screenshot()
    assert picture.startswith(b"\x89PNG\r\n")
    Path(os.environ.get("SCREENSHOT") or tmp_path / "demo.png").write_bytes(picture)
