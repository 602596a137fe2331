"""The balancer, and the web server behind it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from fastppv2 import Policy, TLVType, cloud
from fastppv2._peer import text_of
from fastppv2.asyncio import Acceptor
from fastppv2.cli.demo import page
from fastppv2.cli.demo.trials import AUTHORITY, ENDPOINT, TRIALS, check, send
from fastppv2.cli.demo.visits import Recording, Visit, Visits
from fastppv2.relay import Place, Sender, StreamRelay

if TYPE_CHECKING:
    from collections.abc import Callable

_HERE = "127.0.0.1"
_CHECK_INTERVAL = 5.0  # seconds
_IDLE = 30.0  # seconds that a browser's connection may wait for the next request
_HEAD_SIZE = 16384
_ASSETS = Path(__file__).parent
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HTML = "text/html; charset=utf-8"
_STATUS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


class Answer(NamedTuple):
    status: int
    type: str
    body: bytes


class Request(NamedTuple):
    method: str
    path: str
    keeps: bool  # the connection, for the next request


class Site:
    """Both of them, and the balancer's health checks. ``log`` takes a line for each request."""

    def __init__(self, log: Callable[[str], object]) -> None:
        self.visits = Visits()
        self.address: Any = None
        self.backend: Any = None
        self._log = log
        self._acceptor = Acceptor(self._protocol, Policy(_HERE))
        self._acceptor.listener = Recording(Policy(_HERE), self.visits)
        self._relay: StreamRelay | None = None
        self._server: asyncio.AbstractServer | None = None
        self._checking: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """The page on any port of this machine alone, the balancer where it is told."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._acceptor, _HERE, 0)
        self._server, self.backend = server, server.sockets[0].getsockname()
        added = (TLVType.AUTHORITY, AUTHORITY.encode()), cloud.aws_vpce_id_tlv(ENDPOINT)
        self._relay = StreamRelay(
            [Place(*self.backend)], sender=Sender(2, added=added, checksum=True), access=_nothing
        )
        self.address = (await self._relay.listen(Place(host, port)))[0]
        self._checking = loop.create_task(self._check())

    async def close(self) -> None:
        """Ends all of it at once."""
        if self._checking is not None:
            self._checking.cancel()
        if self._server is not None and self._relay is not None:
            await self._relay.close(0)
            self._server.close()
        self._acceptor.close()
        for task in self._answering:
            task.cancel()
        if self._answering:
            await asyncio.wait(self._answering)

    async def _check(self) -> None:
        while True:
            await check(self.backend)
            await asyncio.sleep(_CHECK_INTERVAL)

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_HEAD_SIZE, loop=loop)
        return asyncio.StreamReaderProtocol(reader, self._connected, loop=loop)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = writer.get_extra_info("proxy_header")
        kind = "health check" if header.is_local else "client"
        names = writer.get_extra_info("peername"), writer.get_extra_info("proxy_peername")
        visit = Visit(kind, *names, header)
        self.visits.add(visit)
        try:
            while await self._exchange(reader, writer, visit):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass  # a browser goes away when it likes
        finally:
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, visit: Visit
    ) -> bool:
        """One request and its answer; whether the connection goes on."""
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _IDLE)
        except asyncio.LimitOverrunError:
            head = b""
        began = monotonic()
        visit.requests += 1
        request = _parse(head)
        if request is None:
            answer = _problem(400, "That is no HTTP request.")
        elif request.method not in ("GET", "HEAD"):
            answer = _problem(405, "This page is there to be looked at: GET.")
        else:
            answer = await self._answer(request.path, visit)
        keeps = request is not None and request.keeps and answer.status == 200
        writer.write(_response(answer, keeps, request is None or request.method != "HEAD"))
        await writer.drain()
        self._log(_line(visit, request, answer, monotonic() - began))
        return keeps

    async def _answer(self, path: str, visit: Visit) -> Answer:
        if path == "/":
            html = page.home(visit.client, visit.balancer, visit.header, self.visits)
            return Answer(200, _HTML, html.encode())
        if path == "/recent":
            return Answer(200, _HTML, page.recent(self.visits).encode())
        if path == "/client":
            return Answer(200, "text/plain; charset=utf-8", text_of(visit.client).encode())
        if path in ("/style.css", "/script.js"):
            kind = "text/css" if path.endswith(".css") else "text/javascript"
            return Answer(200, f"{kind}; charset=utf-8", (_ASSETS / path[1:]).read_bytes())
        trial = TRIALS.get(path.removeprefix("/send/")) if path.startswith("/send/") else None
        if trial is not None:
            result = await send(trial, self.backend, self.visits)
            return Answer(200, _HTML, page.sent(trial, result).encode())
        return _problem(404, "There is no such page.")


def _parse(head: bytes) -> Request | None:
    """RFC 9112, as far as browsers and curl go: no bodies."""
    line, *fields = head.decode("latin-1").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
        return None
    connection = [f.partition(":")[2] for f in fields if f.lower().startswith("connection:")]
    closes = any("close" in value.lower() for value in connection)
    return Request(words[0], words[1].partition("?")[0], words[2] == "HTTP/1.1" and not closes)


def _problem(status: int, line: str) -> Answer:
    return Answer(status, _HTML, page.problem([f"{status}: {line}"]).encode())


def _response(answer: Answer, keeps: bool, with_body: bool) -> bytes:
    fields = {
        "Content-Type": answer.type,
        "Content-Length": str(len(answer.body)),
        **_SECURITY,
        "Connection": "keep-alive" if keeps else "close",
    }
    head = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    status = f"HTTP/1.1 {answer.status} {_STATUS[answer.status]}\r\n"
    return f"{status}{head}\r\n".encode() + (answer.body if with_body else b"")


def _line(visit: Visit, request: Request | None, answer: Answer, seconds: float) -> str:
    """In HAProxy's manner: client [time] balancer page milliseconds status bytes "request"."""
    now = datetime.now()
    when = f"{now:%d/%b/%Y:%H:%M:%S}.{now.microsecond // 1000:03d}"
    asked = "<BADREQ>" if request is None else f"{request.method} {request.path}"
    shown = ascii(asked[:80])[1:-1]
    return (
        f"{text_of(visit.client)} [{when}] {text_of(visit.balancer)} page {seconds * 1000:.0f} "
        f'{answer.status} {len(answer.body)} "{shown}"'
    )


def _nothing(line: str) -> None:
    """The balancer's own log would say it all again."""
