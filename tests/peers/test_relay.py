"""``fastppv2 relay`` in chains of real processes: HAProxy and nginx in front, behind, and between.

Scenario by scenario: the balancer is HAProxy, its own address is 127.0.0.1, and clients connect
from 127.0.0.9.
"""

from __future__ import annotations

import re
import socket
import sys
from contextlib import ExitStack, closing, contextmanager

import pytest
from programs import HOST, Program
from receivers import THEIRS
from scripted import scripted, until_request
from servers import haproxy, nginx, reserved_port

from fastppv2 import parse

CLIENT = "127.0.0.9"
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
SENDER = """\
listen sender
    bind {host}:{port}
    server relay {host}:{to} {options}
"""
NGINX = """\
server {{
    listen {host}:{port} proxy_protocol;
    set_real_ip_from {host};
    real_ip_header proxy_protocol;
    location / {{ return 200 "$remote_addr:$remote_port\\n"; }}
}}
"""
ALL_TLVS = "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"


@contextmanager
def relay(directory, name: str, *options: str):
    with reserved_port() as port:
        command = (sys.executable, "-m", "fastppv2", "relay", "--listen", f"{HOST}:{port}")
        log = directory / f"{name}.log"
        with closing(Program([*command, *options], log, port)) as program:
            program.wait_until_said("listening on ")
            yield program


@contextmanager
def balancer(directory, to: int, options: str):
    """HAProxy in front of that port; where it listens."""
    with reserved_port() as port:
        section = SENDER.format(host=HOST, port=port, to=to, options=options)
        with haproxy(directory, section):
            yield HOST, port


def ask(address) -> tuple[tuple[str, int], bytes]:
    """What the client is called, and the answer."""
    with socket.create_connection(address, 10, source_address=(CLIENT, 0)) as connection:
        connection.sendall(REQUEST)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return connection.getsockname(), answer


def answering(body: bytes):
    def serve(connection: socket.socket) -> bytes:
        received = until_request(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)
        return received

    return serve


TRUSTED = ("--accept-proxy", "--trusted", HOST)


def test_in_haproxys_place(tmp_path):
    """A balancer with PPv2, the relay, two web servers (scenario 1)."""
    with scripted(answering(b"1")) as first, scripted(answering(b"2")) as second:
        upstreams = ("--to", first.target, "--to", second.target)
        with relay(tmp_path, "relay", *upstreams, *TRUSTED) as program:
            with balancer(tmp_path, program.address[1], "send-proxy-v2") as front:
                answers = [ask(front) for _ in range(4)]
                program.wait_until_said(", ok\n", 4)
            assert [answer[-1:] for _, answer in answers] == [b"1", b"2", b"1", b"2"]
            for (_, port), _ in answers:
                assert re.search(rf" {CLIENT}:{port} by {HOST}:\d+ to ", program.said())
            # A scanner, and a TCP health check.
            with program.connect() as scanner:
                scanner.sendall(REQUEST)
                assert scanner.recv(100) == b""
            program.connect().close()
            program.wait_until_said(
                "refused: not a PROXY header (looks like an HTTP request): is send-proxy enabled "
                "on the load balancer?"
            )
            assert program.said().count("refused") == 1
    assert first.received == second.received == [REQUEST, REQUEST]


def test_without_ppv2_the_log_shows_the_balancer(tmp_path):
    with ExitStack() as stack:
        upstream = stack.enter_context(scripted(answering(b"1")))
        program = stack.enter_context(relay(tmp_path, "relay", "--to", upstream.target))
        ask(stack.enter_context(balancer(tmp_path, program.address[1], "")))
        program.wait_until_said(", ok\n")
    assert re.search(rf" {HOST}:\d+ to {upstream.target}: ", program.said())
    assert CLIENT not in program.said()


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2", ALL_TLVS])
def test_through_a_second_relay(tmp_path, option):
    """Across regions (scenario 2): what left HAProxy arrives, TLVs and all, by two relays."""
    version = "v1" if option == "send-proxy" else "v2"
    sending = (*TRUSTED, "--send-proxy", version)
    with ExitStack() as stack:
        upstream = stack.enter_context(scripted(answering(b"1")))
        far = stack.enter_context(relay(tmp_path, "far", "--to", upstream.target, *sending))
        far_target = "{}:{}".format(*far.address)
        near = stack.enter_context(relay(tmp_path, "near", "--to", far_target, *sending))
        front = stack.enter_context(balancer(tmp_path, near.address[1], option))
        client, _ = ask(front)
        for program in (near, far):
            program.wait_until_said(", ok\n")
    (received,) = upstream.received
    header = parse(received)  # which verifies the checksum
    assert (header.source, header.destination) == (client, front)
    assert received[header.size :] == REQUEST
    if option == ALL_TLVS:
        assert header.checksum is not None
        assert header.unique_id is not None
    for program in (near, far):
        assert f" {CLIENT}:{client[1]} by {HOST}:" in program.said()


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("name", THEIRS)
def test_towards_real_servers(tmp_path, version, name):
    run, option = THEIRS[name]
    with reserved_port() as port, run(tmp_path, port, option):
        options = ("--to", f"{HOST}:{port}", "--send-proxy", version)
        with relay(tmp_path, "relay", *options) as program:
            (host, number), answer = ask(program.address)
    assert re.search(rf"^{host}(:{number})?$", answer.decode(), re.MULTILINE)


def test_between_haproxy_and_nginx_on_a_unix_socket(tmp_path):
    """The relay takes from one and sends to the other; its own listener is a UNIX socket."""
    with reserved_port() as port:
        section = NGINX.format(host=HOST, port=port)
        with nginx(tmp_path, http=section), reserved_port() as front:
            path = tmp_path / "socket"
            command = (sys.executable, "-m", "fastppv2", "relay", "--listen", path, "--to",
                       f"{HOST}:{port}", "--accept-proxy", "--trusted", "unix", "--send-proxy",
                       "v2", "--crc32c")  # fmt: skip
            with closing(Program(command, tmp_path / "relay.log", 0)) as program:
                program.wait_until_said("listening on ")
                sending = f"""\
listen sender
    bind {HOST}:{front}
    server relay unix@{path} send-proxy-v2
"""
                with haproxy(tmp_path, sending):
                    (host, number), answer = ask((HOST, front))
    assert answer.endswith(f"{host}:{number}\n".encode())


APPLICATION = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%s:%d" % (
            scope["client"][0].encode(), scope["client"][1])})
"""


@contextmanager
def uvicorn(directory, *options: str, **env: str):
    (directory / "application.py").write_text(APPLICATION)
    with reserved_port() as port:
        command = [sys.executable, "-m", "uvicorn", "application:app", "--port", str(port)]
        log = directory / "uvicorn.log"
        program = Program(
            [*command, "--lifespan", "off", *options], log, port, env=env, cwd=directory
        )
        with closing(program):
            program.wait_until_said("Uvicorn running on")
            yield program


def test_to_uvicorn_by_two_relays(tmp_path):
    """Scenario 2, to an application that knows nothing of it: it sees the client, and logs it."""
    sending = (*TRUSTED, "--send-proxy", "v2")
    loop = ("--loop", "fastppv2.asyncio:loop_factory")
    with ExitStack() as stack:
        server = stack.enter_context(uvicorn(tmp_path, *loop, FASTPPV2_TRUSTED=HOST))
        target = "{}:{}".format(*server.address)
        far = stack.enter_context(relay(tmp_path, "far", "--to", target, *sending))
        far_target = "{}:{}".format(*far.address)
        near = stack.enter_context(relay(tmp_path, "near", "--to", far_target, *sending))
        front = stack.enter_context(balancer(tmp_path, near.address[1], ALL_TLVS))
        (host, port), answer = ask(front)
        assert f"\r\n{host}:{port}\r\n".encode() in answer
        server.wait_until_said(f'{host}:{port} - "GET / HTTP/1.0" 200')


def test_to_uvicorn_without_headers(tmp_path):
    """All that it sees and logs is the relay."""
    with ExitStack() as stack:
        server = stack.enter_context(uvicorn(tmp_path))
        target = "{}:{}".format(*server.address)
        program = stack.enter_context(relay(tmp_path, "relay", "--to", target, *TRUSTED))
        front = stack.enter_context(balancer(tmp_path, program.address[1], "send-proxy-v2"))
        _, answer = ask(front)
        assert f"\r\n{HOST}:".encode() in answer
        server.wait_until_said('"GET / HTTP/1.0" 200')
        assert CLIENT not in server.said()
