"""nginx's ``listen ... proxy_protocol`` takes what ``build`` makes, and reads it as we mean it."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from headers import ADDRESSLESS, ENDS, KINDS
from servers import (
    HTTP_REQUEST,
    IPV4,
    IPV6,
    ask,
    authority,
    has_loopback,
    nginx,
    require_loopback,
    reserved_port,
)

# The client as nginx sees it after its realip module, and what the header said, if anything.
VARIABLES = (
    "remote_addr",
    "remote_port",
    "proxy_protocol_addr",
    "proxy_protocol_port",
    "proxy_protocol_server_addr",
    "proxy_protocol_server_port",
)
REPLY = ",".join([f"${name}" for name in VARIABLES])
REQUEST = {"http": HTTP_REQUEST, "stream": b""}
HTTP_SERVER = """\
    server {{
        listen {address} proxy_protocol;
        real_ip_header proxy_protocol;
        set_real_ip_from {host};
        return 200 "{reply}";
    }}
"""
STREAM_SERVER = """\
    server {{
        listen {address} proxy_protocol;
        set_real_ip_from {host};
        return "{reply}";
    }}
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Addresses of nginx by module and host."""
    texts = {"http": "", "stream": ""}
    addresses = {}
    with ExitStack() as stack:
        for module, template in (("http", HTTP_SERVER), ("stream", STREAM_SERVER)):
            for host in filter(has_loopback, (IPV4, IPV6)):
                address = addresses[module, host] = host, stack.enter_context(reserved_port(host))
                texts[module] += template.format(
                    address=authority(*address), host=host, reply=REPLY
                )
        stack.enter_context(nginx(tmp_path_factory.mktemp("nginx"), **texts))
        yield addresses


def report(servers, module, host, header):
    """Our own address, and what nginx reports of the connection behind that header."""
    require_loopback(host)
    own, response = ask(servers[module, host], header + REQUEST[module])
    if module == "http":
        head, _, response = response.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
    return own, response.decode().split(",")


@pytest.mark.parametrize("module", ["http", "stream"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("source", "destination"), ENDS)
def test_addresses(api, servers, module, kind, source, destination):
    header = api.build(source, destination, **KINDS[kind])
    _, reported = report(servers, module, IPV4, header)
    client = [source[0], str(source[1])]
    assert reported == [*client, *client, destination[0], str(destination[1])]


@pytest.mark.parametrize("module", ["http", "stream"])
@pytest.mark.parametrize("host", [IPV4, IPV6])
@pytest.mark.parametrize("kind", ADDRESSLESS)
def test_without_addresses_the_real_ones_stand(api, servers, module, host, kind):
    own, reported = report(servers, module, host, api.build(**ADDRESSLESS[kind]))
    assert reported == [own[0], str(own[1]), "", "", "", ""]
