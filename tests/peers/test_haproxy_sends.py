"""HAProxy sends: ``send-proxy`` and all its options, TLS frontends, health checks."""

from __future__ import annotations

import ssl

import pytest
from credentials import SERVER_NAME, TRUSTED_CN, UNTRUSTED_CN, TLSClient
from senders import (
    CHECK_END,
    CHECK_OPTIONS,
    HOSTS,
    PLAIN_OPTIONS,
    TLS_OPTIONS,
    UNIX,
    V1,
    V2,
    V2_ALL,
    V2_CHECKSUM,
    V2_SSL,
    haproxy_check,
    haproxy_sender,
)

from fastppv2 import Command, Family, TLVType

VERSIONS = [
    pytest.param(ssl.TLSVersion.TLSv1_2, id="TLSv1.2"),
    pytest.param(ssl.TLSVersion.TLSv1_3, id="TLSv1.3"),
]


@pytest.fixture(scope="module")
def sender(tmp_path_factory):
    with haproxy_sender(tmp_path_factory.mktemp("haproxy")) as sender:
        yield sender


@pytest.mark.parametrize("option", PLAIN_OPTIONS, ids=["v1", "v2", "v2-checksum", "v2-ssl"])
@pytest.mark.parametrize("host", HOSTS)
def test_addresses(sender, read_client, option, host):
    header = read_client(sender.arrival(option, host))
    assert header.version == (1 if option == V1 else 2)
    assert header.command == Command.PROXY


@pytest.mark.parametrize("host", HOSTS)
def test_v2_becomes_the_v1_that_haproxy_sends(sender, read_client, host):
    """The same line, but for the client's port and the frontend's."""
    v2 = sender.arrival(V2, host)
    v1 = sender.arrival(V1, host)
    ports = f"{v2.client[1]} {v2.frontend[1]}".encode()
    other_ports = f"{v1.client[1]} {v1.frontend[1]}".encode()
    expected = read_client(v1).raw.replace(other_ports, ports)
    assert read_client(v2).encode(1) == expected


@pytest.mark.parametrize("host", HOSTS)
def test_checksum_and_unique_id(sender, read_client, host):
    arrival = sender.arrival(V2_CHECKSUM, host)
    header = read_client(arrival)
    (source, source_port), (destination, destination_port) = arrival.client, arrival.frontend
    unique_id = f"{source}:{source_port}-{destination}:{destination_port}"
    assert header.unique_id == unique_id.encode()
    assert header.get(TLVType.CRC32C) == header.checksum.to_bytes(4, "big")


def test_client_without_addresses(sender, read_client):
    """A UNIX client: UNKNOWN in v1; LOCAL in v2, although there is a client."""
    v1 = read_client(sender.arrival(V1, UNIX))
    assert v1.raw == b"PROXY UNKNOWN\r\n"
    v2 = read_client(sender.arrival(V2, UNIX))
    assert v2.is_local
    assert v2.family == Family.UNSPEC


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("option", TLS_OPTIONS, ids=["ssl-cn", "all"])
@pytest.mark.parametrize("host", HOSTS)
def test_tls_with_certificate(sender, read_client, option, host, version):
    arrival = sender.arrival(option, host, TLSClient(version, TRUSTED_CN))
    header = read_client(arrival)
    assert header.alpn == arrival.tls.alpn.encode()
    assert header.ssl.client == 1 | 2 | 4
    assert header.ssl.verify == 0
    assert header.ssl.verified
    assert header.ssl.version == arrival.tls.version
    assert header.ssl.cn == TRUSTED_CN


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("host", HOSTS)
def test_all_options(sender, read_client, host, version):
    arrival = sender.arrival(V2_ALL, host, TLSClient(version, TRUSTED_CN))
    header = read_client(arrival)
    assert header.authority == SERVER_NAME
    assert header.unique_id.startswith(f"{arrival.client[0]}:{arrival.client[1]}-".encode())
    assert header.get(TLVType.CRC32C) == header.checksum.to_bytes(4, "big")
    assert header.ssl.cipher == arrival.tls.cipher
    assert header.ssl.key_alg == "EC256"  # the frontend's key and signature, as trustme makes them
    assert header.ssl.sig_alg == "ecdsa-with-SHA256"


@pytest.mark.parametrize("version", VERSIONS)
def test_tls_without_certificate(sender, read_client, version):
    """HAProxy says verify 0 here as well: only ``client`` tells that nothing was verified."""
    arrival = sender.arrival(V2_ALL, HOSTS[0], TLSClient(version, None))
    header = read_client(arrival)
    assert header.ssl.client == 1
    assert header.ssl.verify == 0
    assert not header.ssl.verified
    assert header.ssl.cn is None
    assert header.ssl.cipher == arrival.tls.cipher


@pytest.mark.parametrize("version", VERSIONS)
def test_tls_with_a_certificate_of_another_ca(sender, read_client, version):
    """The name is there, and not to be believed."""
    header = read_client(sender.arrival(V2_ALL, HOSTS[0], TLSClient(version, UNTRUSTED_CN)))
    assert header.ssl.client == 1 | 2 | 4
    assert header.ssl.verify != 0
    assert not header.ssl.verified
    assert header.ssl.cn == UNTRUSTED_CN


def test_resumed_tls_session(sender, read_client):
    """The certificate came in an earlier connection of the session (2.2.6, CERT_SESS)."""
    client = TLSClient(ssl.TLSVersion.TLSv1_2, TRUSTED_CN, resumes=True)
    arrival = sender.arrival(V2_ALL, HOSTS[0], client)
    assert arrival.tls.resumed
    header = read_client(arrival)
    assert header.ssl.client == 1 | 4
    assert header.ssl.verified
    assert header.ssl.cn == TRUSTED_CN


def test_ssl_option_without_tls(sender, read_client):
    """HAProxy sends the TLV all the same; its client bits say that there is no TLS."""
    header = read_client(sender.arrival(V2_SSL, HOSTS[0]))
    assert header.ssl == (0, 0, ())
    assert not header.ssl.verified


@pytest.fixture(scope="module")
def checks(tmp_path_factory):
    return {
        option: haproxy_check(tmp_path_factory.mktemp("check"), option) for option in CHECK_OPTIONS
    }


def test_health_check_v1(checks, read):
    """HAProxy's own connection, in the only way in which v1 can say it."""
    arrival = checks[CHECK_OPTIONS[0]]
    header = read(arrival)
    assert header.version == 1
    assert not header.is_local
    assert (header.source, header.destination) == (arrival.client, arrival.frontend)
    assert arrival.received[header.size :].startswith(b"GET / HTTP/1.0\r\n")
    assert arrival.received.endswith(CHECK_END)


def test_health_check_v2(checks, read):
    arrival = checks[CHECK_OPTIONS[1]]
    header = read(arrival)
    assert header.version == 2
    assert header.is_local
    assert (header.source, header.destination, header.tlvs) == (None, None, ())
    assert arrival.received[header.size :].startswith(b"GET / HTTP/1.0\r\n")
