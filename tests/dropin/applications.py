"""The applications that the servers under test serve: each tells what it sees of its client."""

from __future__ import annotations

import asyncio
import json
from functools import cache

from fastppv2.asgi import ProxyProtocolMiddleware
from fastppv2.asyncio import counters


def seen(scope):
    """What of the scope matters here, for JSON."""
    said = (scope.get("extensions") or {}).get("proxy_protocol")
    if said is not None:
        said = {
            **said,
            "header": said["header"].raw.hex(),
            "ssl": said["ssl"] and said["ssl"].as_dict(),
            "tlvs": [(type, value.hex()) for type, value in said["tlvs"]],
        }
    return {
        "client": scope["client"],
        "server": scope["server"],
        "plain": all(type(host) is str for host, _ in (scope["client"], scope["server"])),
        "scheme": scope["scheme"],
        "http_version": scope.get("http_version"),
        "proxy_protocol": said,
    }


async def answer(send, value):
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def http(scope, receive, send):
    """Reads slowly, so that the server stops reading from the connection and starts again."""
    size = 0
    more = True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        await asyncio.sleep(0.001)
    await answer(send, {**seen(scope), "received": size})


async def count(scope, receive, send):
    await answer(send, counters()._asdict())


async def websocket(scope, receive, send):
    """Says what it sees once for each message."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": json.dumps(seen(scope))})


@cache
def starlette():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def home(request):
        assert request.client.host == request.scope["client"][0]
        return JSONResponse(seen(request.scope))

    app = Starlette(routes=[Route("/starlette", home)])
    app.add_middleware(ProxyProtocolMiddleware)
    return app


@cache
def fastapi():
    from fastapi import FastAPI, Request

    app = FastAPI()
    app.add_middleware(ProxyProtocolMiddleware)

    async def home(request):
        assert request.client.host == request.scope["client"][0]
        return seen(request.scope)

    home.__annotations__ = {"request": Request}
    app.get("/fastapi")(home)
    return app


@cache
def django():
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import JsonResponse
    from django.urls import path

    def home(request):
        assert request.META["REMOTE_ADDR"] == request.scope["client"][0]
        return JsonResponse(seen(request.scope))

    settings.configure(
        ALLOWED_HOSTS=["*"], ROOT_URLCONF=(path("django", home),), SECRET_KEY="of the tests"
    )
    return ProxyProtocolMiddleware(get_asgi_application())


async def tell(scope, receive, send):
    await (websocket if scope["type"] == "websocket" else http)(scope, receive, send)


FRAMEWORKS = {"/starlette": starlette, "/fastapi": fastapi, "/django": django}
APPLICATIONS = {
    "/": ProxyProtocolMiddleware(tell),
    "/secure": ProxyProtocolMiddleware(tell, scheme=True),
    "/counters": count,
}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    path = scope["path"]
    application = FRAMEWORKS[path]() if path in FRAMEWORKS else APPLICATIONS[path]
    await application(scope, receive, send)
