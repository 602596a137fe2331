"""Peers that are gone before the loop looks: who they were is known all the same."""

from __future__ import annotations

import socket
import sys

import pytest
from application import CLIENT, HEADER, HOST, SERVER, Client, serve

from fastppv2 import Command, Policy, build
from fastppv2.asyncio._reset import peername_of_reset

CHECK = build(command=Command.LOCAL)
HOSTS = [(HOST, socket.AF_INET), ("::1", socket.AF_INET6)]

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def send_and_reset(address, sent, family=socket.AF_INET):
    """Before the loop accepts the connection; gives the peer's own address."""
    client = Client(address, family)
    client.socket.send(sent)
    name = client.socket.getsockname()
    client.reset()
    return name


@linux
@pytest.mark.parametrize(("host", "family"), HOSTS)
async def test_a_health_check_that_resets(host, family):
    """HAProxy's."""
    async with serve(policy=Policy(host), host=host) as served:
        name = send_and_reset(served.address, CHECK, family)
        await served.until(local=1)
        connection = await served.connection()
        assert connection.info("peername") == connection.info("proxy_peername") == name


@linux
async def test_a_client_that_resets():
    async with serve() as served:
        name = send_and_reset(served.address, HEADER)
        await served.until(accepted=1)
        connection = await served.connection()
        assert connection.info("peername") == CLIENT
        assert connection.info("sockname") == SERVER
        assert connection.info("proxy_peername") == name


@linux
async def test_one_that_is_not_trusted():
    async with serve(policy=Policy("192.0.2.1")) as served:
        send_and_reset(served.address, CHECK)
        await served.until(untrusted=1)


class Deaf:
    family = socket.AF_INET

    def getsockopt(self, *_):
        raise OSError


def test_where_the_system_does_not_tell(monkeypatch):
    assert peername_of_reset(Deaf()) is None
    with socket.socket() as sock:
        assert peername_of_reset(sock) is None  # never connected
        monkeypatch.setattr(sys, "platform", "darwin")
        assert peername_of_reset(sock) is None
    with socket.socket(socket.AF_UNIX) as sock:
        assert peername_of_reset(sock) is None
