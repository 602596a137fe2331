"""What proxies say of a client, held against the truth and the table of docs/peers.md."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from pages import rows
from senders import (
    APACHE_OPTION,
    CADDY_OPTIONS,
    NGINX_V1,
    RELAY_OPTIONS,
    UNIX,
    V1,
    V2,
    V2_CHECKSUM,
    V2_SSL,
    VARNISH_OPTIONS,
    apache_sender,
    caddy_sender,
    haproxy_sender,
    nginx_sender,
    relay_sender,
    varnish_sender,
)
from servers import IPV4, IPV6, require_loopback

from fastppv2 import Detected, TLVType, detect
from fastppv2._peer import text_of

SENDERS = {
    **{f"HAProxy, `{option}`": (haproxy_sender, option) for option in (V1, V2, V2_CHECKSUM)},
    f"HAProxy, `{V2_SSL}`": (haproxy_sender, V2_SSL),
    f"nginx, `{NGINX_V1}`": (nginx_sender, NGINX_V1),
    **{f"Varnish, `{option}`": (varnish_sender, option) for option in VARNISH_OPTIONS},
    **{f"Caddy, `{option}`": (caddy_sender, option) for option in CADDY_OPTIONS},
    f"Apache, `{APACHE_OPTION}`": (apache_sender, APACHE_OPTION),
    **{f"fastppv2 relay, `{option}`": (relay_sender, option) for option in RELAY_OPTIONS},
}
NOTHING = "-"
CLIENTS = {IPV4: "client over IPv4", IPV6: "over IPv6", UNIX: "on a UNIX socket"}
COLUMNS = ("version", *CLIENTS.values(), "destination", "TLVs")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Each proxy, started once."""
    with ExitStack() as stack:
        started = {}

        def running(factory):
            if factory not in started:
                directory = tmp_path_factory.mktemp(factory.__name__)
                started[factory] = stack.enter_context(factory(directory))
            return started[factory]

        yield running


def client_of(header, arrival) -> str:
    """What the header says of the client, in the table's words."""
    if header.source is None:
        return "LOCAL" if header.is_local else "UNKNOWN"
    if header.source == arrival.client:
        return "right"
    if arrival.client is not None and header.source == (arrival.client[0], 0):
        return "address alone"
    return text_of(header.source)


def row(arrivals, read) -> dict[str, str]:
    """What that table says, by column; ``arrivals`` by host."""
    cells = dict.fromkeys(COLUMNS, NOTHING)
    destinations = []
    for host, arrival in arrivals.items():
        if detect(arrival.received) not in (Detected.V1, Detected.V2):
            cells[CLIENTS[host]] = "no header"
            continue
        header = read(arrival)
        cells[CLIENTS[host]] = client_of(header, arrival)
        if host != UNIX:
            is_right = header.destination == arrival.frontend
            destinations.append("right" if is_right else text_of(header.destination))
            cells["version"] = str(header.version)
            cells["TLVs"] = ", ".join([TLVType(tlv.type).name for tlv in header.tlvs]) or NOTHING
    cells["destination"] = ", ".join(dict.fromkeys(destinations)) or NOTHING
    return cells


@pytest.mark.parametrize("name", SENDERS)
def test_the_table(running, read, name):
    require_loopback(IPV6)
    factory, option = SENDERS[name]
    sender = running(factory)
    arrivals = {host: sender.arrival(option, host) for host in CLIENTS if (option, host) in sender}
    assert rows("sender")[name] == row(arrivals, read)


def test_the_table_is_whole():
    assert set(rows("sender")) == set(SENDERS)
