"""Writes recorded.json: the headers that the installed HAProxy and nginx send.

    python tests/peers/record.py

Each entry: the sender and its version, the option it was configured with, what the connection
was, the true client (source) and frontend (destination) where there is one, the header in hex.
"""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

PEERS = Path(__file__).parent
sys.path.insert(0, str(PEERS.parent))  # where pytest finds the tests' own modules, too

from credentials import TRUSTED_CN, UNTRUSTED_CN, TLSClient  # noqa: E402
from senders import (  # noqa: E402
    CHECK_OPTIONS,
    HOSTS,
    IPV4,
    IPV6,
    NGINX_V2,
    UNIX,
    V1,
    V2,
    V2_ALL,
    V2_CHECKSUM,
    V2_SSL,
    V2_SSL_CN,
    haproxy_check,
    haproxy_sender,
    nginx_options,
    nginx_sender,
)
from servers import version_of  # noqa: E402

from fastppv2 import parse  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from senders import Arrival

RECORDED = PEERS / "recorded.json"
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def entry(tool: str, option: str, connection: str, arrival: Arrival) -> dict[str, Any]:
    return {
        "sender": f"{tool} {'.'.join(map(str, version_of(tool.lower())))}",
        "option": option,
        "connection": connection,
        "source": arrival.client,
        "destination": arrival.frontend,
        "hex": parse(arrival.received).raw.hex(),
    }


def subdirectory(parent: Path) -> Path:
    """One for each server: HAProxy leaves its UNIX sockets behind."""
    return Path(mkdtemp(dir=parent))


def from_haproxy(parent: Path) -> Iterator[dict[str, Any]]:
    with haproxy_sender(subdirectory(parent)) as sender:
        for option in (V1, V2):
            for host in (*HOSTS, UNIX):
                yield entry("HAProxy", option, host, sender.arrival(option, host))
        for option, host in ((V2_CHECKSUM, IPV4), (V2_CHECKSUM, IPV6), (V2_SSL, IPV4)):
            yield entry("HAProxy", option, host, sender.arrival(option, host))
        for option, what, client in (
            (V2_SSL_CN, "TLSv1.3, verified certificate", TLSClient(TLS_1_3, TRUSTED_CN)),
            (V2_ALL, "TLSv1.2, verified certificate", TLSClient(TLS_1_2, TRUSTED_CN)),
            (
                V2_ALL,
                "TLSv1.2, session resumed, verified certificate",
                TLSClient(TLS_1_2, TRUSTED_CN, resumes=True),
            ),
            (V2_ALL, "TLSv1.3, verified certificate", TLSClient(TLS_1_3, TRUSTED_CN)),
            (V2_ALL, "TLSv1.3, no certificate", TLSClient(TLS_1_3, None)),
            (V2_ALL, "TLSv1.3, certificate of another CA", TLSClient(TLS_1_3, UNTRUSTED_CN)),
        ):
            yield entry("HAProxy", option, what, sender.arrival(option, IPV4, client))
    for option in CHECK_OPTIONS:
        arrival = haproxy_check(subdirectory(parent), option)
        if parse(arrival.received).is_local:
            arrival = arrival._replace(client=None, frontend=None)
        yield entry("HAProxy", option, "health check", arrival)


def from_nginx(parent: Path) -> Iterator[dict[str, Any]]:
    with nginx_sender(subdirectory(parent)) as sender:
        for option in nginx_options():
            hosts = (IPV4, IPV6) if option == NGINX_V2 else (*HOSTS, UNIX)
            for host in hosts:
                yield entry("nginx", option, host, sender.arrival(option, host))


def main() -> None:
    with TemporaryDirectory() as directory:
        entries = [*from_haproxy(Path(directory)), *from_nginx(Path(directory))]
    lines = ",\n".join([json.dumps(item, ensure_ascii=False) for item in entries])
    RECORDED.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
