"""Which peers are named: networks as text, and membership, against the standard library's."""

from __future__ import annotations

import copy
import ipaddress
import pickle
import random
from typing import Any

import pytest
from backends import Api
from hypothesis import given, settings
from hypothesis import strategies as st

from fastppv2._networks import format_network, read_network
from fastppv2.policy import Networks

EVERYONE = "is everyone: if that is meant, say Policy.trust_everyone()"
LIKE = "write it like 10.0.0.0/8, 192.0.2.7, 2001:db8::/32 or unix"
NO_ADDRESS = f"is no IP address or network (names are not resolved): {LIKE}"


def networks(api: Api, *entries: Any) -> Networks:
    made: Networks = api.policy.Networks(entries)
    return made


GOOD = {
    "10.0.0.0/8": "10.0.0.0/8",
    "192.0.2.7": "192.0.2.7",
    "192.0.2.7/32": "192.0.2.7",
    "128.0.0.0/1": "128.0.0.0/1",
    "2001:db8::/32": "2001:db8::/32",
    "2001:DB8:0::/32": "2001:db8::/32",
    "::1": "::1",
    "::/8": "::/8",
    "fe80::/10": "fe80::/10",
    "::ffff:10.0.0.0/104": "10.0.0.0/8",
    "::ffff:a00:0/104": "10.0.0.0/8",
    "::ffff:192.0.2.7": "192.0.2.7",
    "::ffff:128.0.0.0/97": "128.0.0.0/1",
}


@pytest.mark.parametrize("text", GOOD)
def test_networks_as_text(text: str) -> None:
    assert format_network(read_network(text)) == GOOD[text]


BAD = {
    "": NO_ADDRESS,
    "10": NO_ADDRESS,
    "10.0.0": NO_ADDRESS,
    "10.0.0.0.0": NO_ADDRESS,
    "010.0.0.0/8": NO_ADDRESS,
    "/8": NO_ADDRESS,
    "localhost": NO_ADDRESS,
    "*": NO_ADDRESS,
    "everyone": NO_ADDRESS,
    "UNIX": NO_ADDRESS,
    "fe80::1%eth0": NO_ADDRESS,
    "[::1]": NO_ADDRESS,
    "\u0661.2.3.4": NO_ADDRESS,
    "10.0.0.0/": "expected 0 to 32 in plain digits behind the slash",
    "10.0.0.0/33": "expected 0 to 32 in plain digits behind the slash",
    "10.0.0.0/08": "expected 0 to 32 in plain digits behind the slash",
    "10.0.0.0/+8": "expected 0 to 32 in plain digits behind the slash",
    "10.0.0.0/8/8": "expected 0 to 32 in plain digits behind the slash",
    "10.0.0.0/0000000000000008": "expected 0 to 32 in plain digits behind the slash",
    "10.0.0.0/\u0668": "expected 0 to 32 in plain digits behind the slash",
    "10.0.0.0/255.0.0.0": "expected 0 to 32 in plain digits behind the slash",
    "::/129": "expected 0 to 128 in plain digits behind the slash",
    "::1/999": "expected 0 to 128 in plain digits behind the slash",
    "10.1.2.3/8": "has bits set behind its prefix: write 10.0.0.0/8 or 10.1.2.3",
    "2001:db8::1/64": "has bits set behind its prefix: write 2001:db8::/64 or 2001:db8::1",
    "::ffff:10.1.2.3/104": "has bits set behind its prefix: write 10.0.0.0/8 or 10.1.2.3",
    "::ffff:10.0.0.0/8": "has a prefix of 8 bits of 128: write 10.0.0.0/8 or ::ffff:10.0.0.0/104",
    "::ffff:10.0.0.0/32": "has a prefix of 32 bits of 128: write 10.0.0.0/32 or "
    "::ffff:10.0.0.0/128",
    "::ffff:0:0/0": "has a prefix of 0 bits of 128: write 0.0.0.0/0 or ::ffff:0.0.0.0/96",
    "::ffff:10.0.0.0/33": f"reaches beyond the IPv4 addresses in IPv6: {LIKE}",
    "::ffff:0:0/95": f"reaches beyond the IPv4 addresses in IPv6: {LIKE}",
    "0.0.0.0/0": EVERYONE,
    "::/0": EVERYONE,
    "::ffff:0:0/96": EVERYONE,
}


@pytest.mark.parametrize("text", BAD)
def test_text_that_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|expected|everyone") as caught:
        read_network(text)
    message = str(caught.value)
    assert message.isascii()
    assert message.startswith((text, ascii(text)))
    assert message.endswith(BAD[text])


@pytest.mark.parametrize("host", ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:a01:203"])
def test_mapped_addresses(api: Api, host: str) -> None:
    for entry in ("10.0.0.0/8", "::ffff:10.0.0.0/104", "10.1.2.3", "::ffff:10.1.2.3"):
        assert host in networks(api, entry)
    for entry in ("11.0.0.0/8", "::ffff:11.0.0.0/104", "::/8", "::/1", "::a01:203", "::1"):
        assert host not in networks(api, entry)


def test_a_mapped_network_is_its_range(api: Api) -> None:
    within = networks(api, "::ffff:10.0.0.0/104")
    for host in ("10.0.0.0", "10.255.255.255", "::ffff:10.0.0.0", "::ffff:10.255.255.255"):
        assert host in within
    for host in ("9.255.255.255", "11.0.0.0", "::ffff:9.255.255.255", "::ffff:11.0.0.0"):
        assert host not in within
    for host in ("::", "::fffe:ffff:ffff", "::1:0:0:0", "a00::"):
        assert host not in within


def test_zones_of_peers(api: Api) -> None:
    within = networks(api, "fe80::/64", "10.0.0.0/8")
    assert "fe80::1%eth0" in within
    assert "fe80:0:0:1::1%eth0" not in within
    assert "fe80::1%" not in within
    assert "10.0.0.1%eth0" not in within
    assert "%eth0" not in within


class Host(str):
    """A host that is more than its text, and says something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return "192.0.2.1"


def test_hosts_of_another_class(api: Api) -> None:
    assert Host("10.1.2.3") in networks(api, "10.0.0.0/8")
    assert Host("::1") in networks(api, "::1")
    assert Host("11.1.2.3") not in networks(api, "10.0.0.0/8", "192.0.2.1")


NO_HOSTS = ["", "10.0.0", "10.0.0.01", "10.0.0.1 ", "10.0.0.1\0", "::1::", "x", "\xe9", "\udc80:"]


@pytest.mark.parametrize("host", [*NO_HOSTS, None, 10, b"10.0.0.1", ("10.0.0.1", 1)])
def test_what_is_no_host_is_in_no_network(api: Api, host: object) -> None:
    assert host not in networks(api, "10.0.0.0/8", "::1", "unix")
    assert host not in api.policy.Networks.of_everyone()


def test_everyone(api: Api) -> None:
    everyone = api.policy.Networks.of_everyone()
    assert everyone.everyone is True
    assert everyone.unix is True
    assert "203.0.113.9" in everyone
    assert "2001:db8::1" in everyone
    assert "::ffff:1.2.3.4" in everyone
    assert str(everyone) == "everyone"
    assert repr(everyone) == "Networks.of_everyone()"


def test_entries(api: Api) -> None:
    network = ipaddress.ip_network
    same = [
        networks(api, "10.0.0.0/8", "unix", "::1", "192.0.2.7"),
        networks(api, "192.0.2.7", "::ffff:10.0.0.0/104", "0::1", "10.0.0.0/8", "unix"),
        networks(api, network("10.0.0.0/8"), ipaddress.ip_address("192.0.2.7"), "::1", "unix"),
        api.policy.Networks("10.0.0.0/8, unix ::1,192.0.2.7"),
        api.policy.Networks(iter(["10.0.0.0/8", "unix", "::1", "192.0.2.7"])),
    ]
    for each in same:
        assert each == same[0]
        assert hash(each) == hash(same[0])
        assert each.unix is True
        assert each.everyone is False
        assert repr(each) == "Networks('10.0.0.0/8, 192.0.2.7, ::1, unix')"
        assert str(each) == "10.0.0.0/8, 192.0.2.7, ::1 and 1 more"
    other = networks(api, "10.0.0.0/8", "192.0.2.7", "::1")
    assert other != same[0]
    assert other.unix is False
    assert str(other) == "10.0.0.0/8, 192.0.2.7, ::1"
    assert same[0] != "10.0.0.0/8"
    assert networks(api).networks == ()
    assert str(networks(api, "unix")) == "unix"


@pytest.mark.parametrize("entry", [10, None, b"10.0.0.0/8", ("10.0.0.0", 8)])
def test_entries_that_are_no_text(api: Api, entry: object) -> None:
    with pytest.raises(TypeError, match=r"^expected text or ipaddress objects, got "):
        networks(api, entry)


def test_copies() -> None:
    for original in (Networks("10.0.0.0/8, ::1, unix"), Networks.of_everyone()):
        for twin in (pickle.loads(pickle.dumps(original)), copy.copy(original)):
            assert twin == original
            assert "10.1.2.3" in twin


def random_network(draw: random.Random, size: int) -> ipaddress.IPv4Network:
    bits = 8 * size
    prefix = draw.randint(1, bits)
    number = draw.getrandbits(bits) >> (bits - prefix) << (bits - prefix)
    kind: Any = ipaddress.IPv4Network if size == 4 else ipaddress.IPv6Network
    network: ipaddress.IPv4Network = kind((number, prefix))
    return network


def is_mapped(network: Any) -> bool:
    return network.version == 6 and network.network_address.ipv4_mapped is not None


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 120))
def test_membership_against_ipaddress(apis: list[Api], seed: int, count: int) -> None:
    draw = random.Random(seed)
    nets: list[Any] = [random_network(draw, draw.choice((4, 16))) for _ in range(count)]
    nets = [net for net in nets if not is_mapped(net)]
    under_test = [networks(api, *nets) for api in apis]
    hosts: list[Any] = [ipaddress.ip_address(draw.randbytes(draw.choice((4, 16))))]
    for net in nets:
        first, last = net[0], net[-1]
        hosts += [first, last, *_neighbours(first, last)]
    for host in hosts:
        mapped = getattr(host, "ipv4_mapped", None)
        expected = any((mapped or host) in net for net in nets)
        for each in under_test:
            assert (str(host) in each) is expected, (host, each)
            if host.version == 4:
                assert (f"::ffff:{host}" in each) is expected


def _neighbours(first: Any, last: Any) -> list[Any]:
    found = []
    for address, step in ((first, -1), (last, 1)):
        try:
            found.append(address + step)
        except ipaddress.AddressValueError:  # the end of all addresses
            continue
    return found


@settings(max_examples=500, deadline=None)
@given(host=st.text(alphabet="0123456789abcdefABCDEF:.%/x ", max_size=24))
def test_any_text_as_host(apis: list[Api], host: str) -> None:
    entries = ("128.0.0.0/1", "0.0.0.0/2", "::/1", "10.0.0.0/8", "fe80::/10")
    found = [host in networks(api, *entries) for api in apis]
    assert len(set(found)) == 1
    everyone = [host in api.policy.Networks.of_everyone() for api in apis]
    assert len(set(everyone)) == 1
    assert everyone[0] or not found[0]
