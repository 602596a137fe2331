"""A WSGI application that tells what it sees of its client."""

from __future__ import annotations

import json

import fastppv2


def seen(environ, remote_addr):
    header = environ["fastppv2.header"]
    assert header is None or isinstance(header, fastppv2.Header)
    assert type(remote_addr) is str
    return {
        "client": [remote_addr, int(environ.get("REMOTE_PORT", 0))],
        "header": None if header is None else header.raw.hex(),
        "scheme": environ["wsgi.url_scheme"],
    }


def app(environ, start_response):
    body = json.dumps(seen(environ, environ["REMOTE_ADDR"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
