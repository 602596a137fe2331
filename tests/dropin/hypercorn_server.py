"""Hypercorn as docs/servers/hypercorn.md serves it, plain and over TLS.

python hypercorn_server.py LOOP_FACTORY PLAIN_PORT TLS_PORT CERTIFICATE
"""

from __future__ import annotations

import sys
from importlib import import_module

from applications import app
from hypercorn.asyncio import serve
from hypercorn.config import Config


def main() -> None:
    loop_factory, plain, tls, certificate = sys.argv[1:]
    module, _, name = loop_factory.partition(":")
    config = Config()
    config.insecure_bind = [f"127.0.0.1:{plain}"]
    config.bind = [f"127.0.0.1:{tls}"]
    config.certfile = config.keyfile = certificate
    config.accesslog = "-"
    config.graceful_timeout = 0.5
    loop = getattr(import_module(module), name)()
    try:
        loop.run_until_complete(serve(app, config))
    finally:
        loop.close()


if __name__ == "__main__":
    main()
