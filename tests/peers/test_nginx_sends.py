"""nginx's stream module sends: ``proxy_protocol on``."""

from __future__ import annotations

import pytest
from senders import HOSTS, NGINX_V1, NGINX_V2, UNIX, nginx_options, nginx_sender
from servers import IPV4, IPV6

from fastppv2 import Command


@pytest.fixture(scope="module")
def sender(tmp_path_factory):
    with nginx_sender(tmp_path_factory.mktemp("nginx")) as sender:
        yield sender


@pytest.mark.parametrize("host", HOSTS)
def test_v1(sender, read_client, host):
    assert read_client(sender.arrival(NGINX_V1, host)).version == 1


def test_v1_client_without_addresses(sender, read_client):
    header = read_client(sender.arrival(NGINX_V1, UNIX))
    assert header.raw == b"PROXY UNKNOWN\r\n"


@pytest.mark.parametrize("host", [IPV4, IPV6])
def test_v2(sender, read_client, host):
    if NGINX_V2 not in nginx_options():
        pytest.skip("this nginx does not send version 2")
    header = read_client(sender.arrival(NGINX_V2, host))
    assert header.version == 2
    assert header.command == Command.PROXY
