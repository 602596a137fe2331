"""The middleware, on scopes as uvicorn and hypercorn make them; tests/dropin has the servers."""

from __future__ import annotations

import asyncio

import pytest

from fastppv2 import Command, TLVType, build, parse
from fastppv2._endpoint import Host
from fastppv2.asgi import ProxyProtocolMiddleware
from fastppv2.cloud import aws_vpce_id_tlv

CLIENT, FRONTEND = ("192.0.2.1", 56324), ("198.51.100.2", 443)
BALANCER = ("10.0.0.7", 4123)
TLVS = [(TLVType.AUTHORITY, b"example.org"), aws_vpce_id_tlv("vpce-0a1b2c3d4e5f60718")]
OVER_TLS = (TLVType.SSL, b"\x01\0\0\0\0")
NO_TLS = (TLVType.SSL, b"\0\0\0\0\0")


def scope_of(header, **fields):
    host = Host("198.51.100.2", parse(header), BALANCER)
    return {
        "type": "http",
        "scheme": "http",
        "client": CLIENT,
        "server": (host, 443),
        **fields,
    }


def seen_by_application(scope, **options):
    """What the middleware hands on, and that it is handed on with its two companions."""
    calls = []

    async def application(*arguments):
        calls.append(arguments)

    async def receive():
        raise AssertionError("the middleware receives nothing")

    async def send(message):
        raise AssertionError("the middleware sends nothing")

    asyncio.run(ProxyProtocolMiddleware(application, **options)(scope, receive, send))
    ((seen, *companions),) = calls
    assert companions == [receive, send]
    return seen


def test_all_that_the_header_says():
    raw = build(CLIENT, FRONTEND, tlvs=[*TLVS, OVER_TLS], checksum=True)
    said = seen_by_application(scope_of(raw))["extensions"]["proxy_protocol"]
    header = parse(raw)
    cloud = said.pop("cloud")
    assert cloud.pop("aws_vpce_id") == "vpce-0a1b2c3d4e5f60718"
    assert set(cloud.values()) == {None}
    assert said == {
        "version": 2,
        "is_local": False,
        "source": CLIENT,
        "destination": FRONTEND,
        "tlvs": header.tlvs,
        "ssl": header.ssl,
        "peername": BALANCER,
        "header": header,
    }


def test_a_health_check_names_nobody():
    scope = scope_of(build(command=Command.LOCAL))
    said = seen_by_application(scope)["extensions"]["proxy_protocol"]
    assert said["is_local"]
    assert (said["source"], said["destination"]) == (None, None)


def test_the_application_gets_a_plain_host():
    host, port = seen_by_application(scope_of(build(CLIENT, FRONTEND)))["server"]
    assert type(host) is str
    assert (host, port) == FRONTEND


@pytest.mark.parametrize("extensions", [{}, {"extensions": None}, {"extensions": {"tls": {}}}])
def test_the_scope_of_the_server_stays_as_it_is(extensions):
    scope = scope_of(build(CLIENT, FRONTEND), **extensions)
    before = dict(scope)
    seen = seen_by_application(scope)
    assert scope == before
    assert set(seen["extensions"]) == {"proxy_protocol", *(before.get("extensions") or {})}


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "lifespan"},
        {"type": "http", "server": None, "client": None},
        {"type": "http", "server": ("/run/app.sock", None), "client": None},
        {"type": "http", "server": FRONTEND, "client": CLIENT, "extensions": {}},
    ],
)
def test_without_a_header_nothing_changes(scope):
    assert seen_by_application(scope) is scope


@pytest.mark.parametrize(
    ("tlvs", "scheme", "expected"),
    [
        ([OVER_TLS], "http", "https"),
        ([OVER_TLS], "ws", "wss"),
        ([OVER_TLS], "https", "https"),
        ([NO_TLS], "http", "http"),
        ([NO_TLS], "https", "https"),  # TLS that the balancer passed through
        ([], "http", "http"),
    ],
)
def test_the_scheme_only_where_it_is_asked_for(tlvs, scheme, expected):
    scope = scope_of(build(CLIENT, FRONTEND, tlvs=tlvs), scheme=scheme)
    assert seen_by_application(scope)["scheme"] == scheme
    assert seen_by_application(scope, scheme=True)["scheme"] == expected
