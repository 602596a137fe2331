"""gunicorn with its sync and gthread workers: the client and the header in the WSGI environ."""

from __future__ import annotations

import signal
import ssl
import time
from contextlib import ExitStack
from functools import partial

import pytest
from credentials import SERVER_NAME, Credentials
from quoted import adapted, quoted
from servers import IPV4
from serving import ELSEWHERE, HERE, behind_haproxy, get, read, serving, started, through
from sockets import (
    CLIENT,
    NAMELESS,
    NAMING,
    PAUSE,
    TIMEOUT,
    V2,
    connected,
    ended,
    single_bytes,
)

WSGI_WORKERS = {
    "SyncWorker": "fastppv2.servers.gunicorn.SyncWorker",
    "ThreadWorker": "fastppv2.servers.gunicorn.ThreadWorker",
}
WORKERS = {
    **WSGI_WORKERS,
    "UvicornWorker": "fastppv2.servers.uvicorn_worker.UvicornWorker",
    "UvloopWorker": "fastppv2.servers.uvicorn_worker.UvloopWorker",
}
KEEP_ALIVE = [name for name in WORKERS if name != "SyncWorker"]
PATIENCE = "0.3"  # seconds, where a test waits until they are over


def gunicorn(directory, worker, *options, app="", bind=IPV4 + ":{port}", **env):
    usual = "wsgi_applications:app" if worker in WSGI_WORKERS else "asgi_application:app"
    return serving(
        directory,
        "gunicorn",
        app or usual,
        *("--worker-class", WORKERS[worker], "--chdir", str(HERE), "--bind", bind),
        *("--access-logfile", "-", "--no-control-socket"),
        *options,
        **env,
    )


@pytest.fixture(scope="module", params=WORKERS)
def worker(request):
    return request.param


@pytest.fixture(scope="module")
def server(worker, tmp_path_factory):
    app = "wsgi_frameworks:app" if worker in WSGI_WORKERS else ""
    with gunicorn(tmp_path_factory.mktemp("gunicorn"), worker, app=app) as server:
        server.connect().close()
        yield server


@pytest.mark.parametrize("worker", WSGI_WORKERS, indirect=True)
@pytest.mark.parametrize("path", ["/", "/flask", "/django"])
def test_the_application_sees_the_client(server, path):
    for header, client, _ in NAMING.values():
        with connected(server.address, header) as sock:
            seen = get(sock, path)
        assert seen == {"client": list(client[:2]), "header": header.hex(), "scheme": "http"}


@pytest.mark.parametrize("worker", KEEP_ALIVE, indirect=True)
@pytest.mark.parametrize("name", NAMING)
def test_in_every_request_of_a_connection(server, name):
    header, client, _ = NAMING[name]
    with connected(server.address, header) as sock:
        for _ in range(3):
            seen = get(sock)
            assert seen["client"] == list(client[:2])
            assert seen["header"] == header.hex()
            time.sleep(PAUSE)  # the connection is with gunicorn's poller meanwhile


def test_the_access_log_shows_the_client(server):
    with connected(server.address, b"PROXY TCP4 192.0.2.77 203.0.113.1 77 443\r\n") as sock:
        get(sock)
    server.wait_until_said("192.0.2.77")


@pytest.mark.parametrize("name", NAMELESS)
def test_a_header_that_names_nobody_leaves_the_real_peer(server, name):
    with connected(server.address, NAMELESS[name]) as sock:
        real = list(sock.getsockname())
        assert get(sock) == {"client": real, "header": NAMELESS[name].hex(), "scheme": "http"}


def test_the_header_in_pieces_of_one_byte(server):
    with connected(server.address, *single_bytes(V2)) as sock:
        assert get(sock)["client"] == list(CLIENT)


def test_silent_peers_hold_up_nobody_and_are_ended(worker, tmp_path):
    with gunicorn(tmp_path, worker, FASTPPV2_TIMEOUT=PATIENCE) as server, ExitStack() as stack:
        starts = (b"", b"PROXY TCP4", V2[:15], b"", b"")
        server.connect().close()
        silent = [stack.enter_context(connected(server.address, start)) for start in starts]
        with connected(server.address, V2) as sock:
            assert get(sock)["client"] == list(CLIENT)
        assert all(map(ended, silent))
        server.wait_until_said("refused: nothing came within 0.3 s")


def test_who_is_not_trusted_is_not_believed(worker, tmp_path):
    with gunicorn(tmp_path, worker, FASTPPV2_TRUSTED="192.0.2.1") as server:
        server.connect().close()
        with connected(server.address, V2) as sock:
            assert ended(sock)
        server.wait_until_said("add 127.0.0.1 to trusted")


def test_who_is_not_trusted_is_let_through_as_itself(worker, tmp_path):
    passing = {"FASTPPV2_TRUSTED": "192.0.2.1", "FASTPPV2_UNTRUSTED": "passthrough"}
    with gunicorn(tmp_path, worker, **passing) as server:
        server.connect().close()
        with connected(server.address) as sock:
            real = list(sock.getsockname())
            assert get(sock) == {"client": real, "header": None, "scheme": "http"}


def test_tls_comes_after_the_header(worker, tmp_path):
    credentials = Credentials(tmp_path)
    trusting = ssl.create_default_context(cafile=str(credentials.ca))
    tls = partial(trusting.wrap_socket, server_hostname=SERVER_NAME)
    certificate = ("--certfile", str(credentials.certificate))
    key = ("--keyfile", str(credentials.certificate))
    # uvicorn's worker asks for ssl.PROTOCOL_TLS, which is deprecated.
    with gunicorn(tmp_path, worker, *certificate, *key, PYTHONWARNINGS="default") as server:
        server.connect().close()
        with connected(server.address, V2) as sock, tls(sock) as secure:
            for _ in range(2 if worker in KEEP_ALIVE else 1):
                seen = get(secure)
                assert seen == {"client": list(CLIENT), "header": V2.hex(), "scheme": "https"}
        with behind_haproxy(tmp_path, server.address) as frontends:
            for frontend in frontends:
                with through(frontend) as sock, tls(sock) as secure:
                    ask_as_often_as_it_goes(worker, secure)
        server.wait_until_said(ELSEWHERE, 2 * REQUESTS[worker])


REQUESTS = {name: 3 if name in KEEP_ALIVE else 1 for name in WORKERS}  # of a connection


def ask_as_often_as_it_goes(worker, sock, path="/"):
    client = list(sock.getsockname())
    assert client[0] == ELSEWHERE
    for _ in range(REQUESTS[worker]):
        assert get(sock, path)["client"] == client


@pytest.mark.parametrize("path", ["/", "/flask", "/django"])
def test_behind_haproxy(server, worker, path, tmp_path):
    before = server.said().count(ELSEWHERE)
    with behind_haproxy(tmp_path, server.address) as frontends:
        for frontend in frontends:
            with through(frontend) as sock:
                ask_as_often_as_it_goes(worker, sock, path)
    server.wait_until_said(ELSEWHERE, before + 2 * REQUESTS[worker])


def test_listeners_that_speak_proxy_and_others(worker, tmp_path):
    path = str(tmp_path / "socket")
    settings = {"FASTPPV2_LISTEN": path, "FASTPPV2_TRUSTED": "unix"}
    with gunicorn(tmp_path, worker, "--bind", f"unix:{path}", **settings) as server:
        server.wait_until_said("Booting worker")  # both are bound
        with connected(path, V2) as sock:
            assert get(sock)["client"] == list(CLIENT)
        with connected(path, NAMELESS["local"]) as sock:
            assert get(sock)["client"] == ["", 0]
        with connected(server.address) as sock:
            real = list(sock.getsockname())
            assert get(sock) == {"client": real, "header": None, "scheme": "http"}


def test_the_end_of_the_server(worker, tmp_path):
    """Silent peers do not put it off."""
    with gunicorn(tmp_path, worker, FASTPPV2_TIMEOUT="60") as server:
        server.connect().close()
        with connected(server.address) as silent, connected(server.address, V2) as sock:
            assert get(sock)["client"] == list(CLIENT)
            sock.close()
            server.process.send_signal(signal.SIGTERM)
            assert ended(silent)
            assert server.process.wait(TIMEOUT) == 0


@pytest.mark.parametrize(
    ("options", "env", "says"),
    [
        (["--proxy-protocol=auto"], {}, "proxy_protocol: switch it off, "),
        (["--proxy-protocol=v2"], {}, "proxy_protocol: switch it off, "),
        ([], {"FASTPPV2_TRUSTED": ""}, "FASTPPV2_TRUSTED: must name the load balancers"),
        ([], {"FASTPPV2_TRUST": "127.0.0.1"}, "FASTPPV2_TRUST: unknown variable, known are"),
    ],
)
def test_what_does_not_start(worker, tmp_path, options, env, says):
    with gunicorn(tmp_path, worker, *options, **env) as server:
        assert server.process.wait(TIMEOUT) == 1
        assert f"Error: {says}" in server.said()
        assert "Booting worker" not in server.said()


@pytest.mark.parametrize("worker", WSGI_WORKERS, indirect=True)
def test_a_header_inside_tls_is_not_for_gunicorns_own(worker, tmp_path):
    with gunicorn(tmp_path, worker, FASTPPV2_TLS="inside") as server:
        assert server.process.wait(TIMEOUT) == 1
        assert "Error: FASTPPV2_TLS: gunicorn's workers" in server.said()


PAGE = "servers/gunicorn-wsgi.md"
(APP,) = quoted(PAGE, "python")
(COMMAND,) = quoted(PAGE, "console")


def test_the_page(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    command = adapted(COMMAND, {"10.0.0.0/8": IPV4})
    with started(tmp_path, command + " --bind 127.0.0.1:{port} --no-control-socket") as server:
        server.connect().close()
        with connected(server.address, V2) as sock:
            assert read(sock) == b"198.51.100.1:56324 by version 2\n"
