"""An ASGI application that tells what it sees of its client."""

from __future__ import annotations

import json

from fastppv2.asgi import ProxyProtocolMiddleware


async def plain(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    said = (scope.get("extensions") or {}).get("proxy_protocol")
    seen = {
        "client": scope["client"] or ["", 0],
        "header": None if said is None else said["header"].raw.hex(),
        "scheme": scope["scheme"],
    }
    body = json.dumps(seen).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = ProxyProtocolMiddleware(plain)
