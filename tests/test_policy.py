"""Each setting of a Policy: its default, its other values and its errors (design, section 7)."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from backends import Api
from quoted import quoted

from fastppv2 import Policy
from fastppv2.policy import SETTINGS, Networks, policy_of

LIKE = "write it like 10.0.0.0/8, 192.0.2.7, 2001:db8::/32 or unix"

DEFAULTS = {
    "untrusted": "refuse",
    "header": "required",
    "wait": None,
    "source_preserved": False,
    "versions": {1, 2},
    "timeout": 5.0,
    "max_size": 4096,
    "max_pending": 1024,
    "nested": "refuse",
    "require_checksum": False,
}


def policy(api: Api, **settings: Any) -> Policy:
    made: Policy = api.policy.Policy(**{"trusted": "10.0.0.0/8", **settings})
    return made


def test_defaults(api: Api) -> None:
    made = policy(api)
    assert {name: getattr(made, name) for name in SETTINGS[1:]} == DEFAULTS
    assert type(made.versions) is frozenset
    assert made.trusted == api.policy.Networks("10.0.0.0/8")
    assert ("trusted", *DEFAULTS) == SETTINGS


def test_trusted_must_be_given(api: Api) -> None:
    with pytest.raises(TypeError, match=r"'trusted'"):
        api.policy.Policy()


OTHER_VALUES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"untrusted": "passthrough"}, {}),
    ({"untrusted": "refuse"}, {}),
    ({"header": "optional", "wait": 0.5}, {}),
    ({"header": "optional", "wait": 5}, {"wait": 5.0}),
    ({"header": "required"}, {}),
    ({"source_preserved": True}, {}),
    ({"versions": [2]}, {"versions": {2}}),
    ({"versions": {1}}, {}),
    ({"versions": (2, 1, 1)}, {"versions": {1, 2}}),
    ({"timeout": 0.25}, {}),
    ({"timeout": 30}, {}),
    ({"max_size": 16}, {}),
    ({"max_size": 65551}, {}),
    ({"max_pending": 1}, {}),
    ({"max_pending": 10**6}, {}),
    ({"nested": "payload"}, {}),
    ({"require_checksum": True}, {}),
    ({"require_checksum": True, "versions": {2}}, {}),
]


@pytest.mark.parametrize(("given", "read"), OTHER_VALUES)
def test_other_values(api: Api, given: dict[str, Any], read: dict[str, Any]) -> None:
    made = policy(api, **given)
    expected = {**DEFAULTS, **given, **read}
    assert {name: getattr(made, name) for name in SETTINGS[1:]} == expected
    assert type(made.timeout) is float
    assert made.wait is None or type(made.wait) is float
    everyone = api.policy.Policy.trust_everyone
    if "wait" not in given:
        assert {name: getattr(everyone(**given), name) for name in SETTINGS[1:]} == expected


CHOICE = "expected 'refuse' or 'passthrough', got"
SECONDS = "expected seconds"
VALUE_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"trusted": []}, "trusted: names nobody, so no header would ever be believed"),
    ({"trusted": " , "}, "trusted: names nobody, so no header would ever be believed"),
    (
        {"trusted": "::ffff:10.0.0.0/8"},
        "trusted: ::ffff:10.0.0.0/8 has a prefix of 8 bits of 128: "
        "write 10.0.0.0/8 or ::ffff:10.0.0.0/104",
    ),
    (
        {"trusted": ["lb.example.org"]},
        f"trusted: 'lb.example.org' is no IP address or network (names are not resolved): {LIKE}",
    ),
    ({"untrusted": "pass"}, f"untrusted: {CHOICE} 'pass'"),
    ({"untrusted": None}, f"untrusted: {CHOICE} None"),
    ({"header": "maybe"}, "header: expected 'required' or 'optional', got 'maybe'"),
    (
        {"header": "optional"},
        "wait: header='optional' needs the seconds after which a silent peer is let through",
    ),
    ({"wait": 1.0}, "wait: only header='optional' waits for silent peers"),
    ({"header": "optional", "wait": 0}, "wait: expected seconds, more than 0, got 0"),
    ({"header": "optional", "wait": -1}, "wait: expected seconds, more than 0, got -1"),
    (
        {"header": "optional", "wait": 5.5},
        "wait: expected at most timeout (5 s), got 5.5",
    ),
    (
        {"header": "optional", "wait": 2, "timeout": 1.5},
        "wait: expected at most timeout (1.5 s), got 2",
    ),
    ({"versions": ()}, "versions: expected 1, 2 or both, got ()"),
    ({"versions": {3}}, "versions: expected 1, 2 or both, got {3}"),
    ({"versions": (1, 2, 3)}, "versions: expected 1, 2 or both, got (1, 2, 3)"),
    ({"versions": "12"}, "versions: expected 1, 2 or both, got '12'"),
    ({"timeout": 0}, "timeout: expected seconds, more than 0, got 0"),
    ({"timeout": -5.0}, "timeout: expected seconds, more than 0, got -5.0"),
    ({"timeout": float("inf")}, "timeout: expected seconds, more than 0, got inf"),
    ({"timeout": float("nan")}, "timeout: expected seconds, more than 0, got nan"),
    ({"max_size": 15}, "max_size: expected 16 to 65551, got 15"),
    ({"max_size": 65552}, "max_size: expected 16 to 65551, got 65552"),
    ({"max_pending": 0}, "max_pending: expected 1 or more, got 0"),
    ({"max_pending": -1}, "max_pending: expected 1 or more, got -1"),
    ({"nested": "allow"}, "nested: expected 'refuse' or 'payload', got 'allow'"),
    (
        {"require_checksum": True, "versions": {1}},
        "require_checksum: version 1 has no checksum, add 2 to versions",
    ),
]
TYPE_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"trusted": [8]}, "trusted: expected text or ipaddress objects, got 8"),
    ({"trusted": None}, "trusted: 'NoneType' object is not iterable"),
    ({"header": "optional", "wait": "1"}, "wait: expected seconds as a number, got '1'"),
    ({"header": "optional", "wait": True}, "wait: expected seconds as a number, got True"),
    ({"source_preserved": 1}, "source_preserved: expected True or False, got 1"),
    ({"source_preserved": None}, "source_preserved: expected True or False, got None"),
    ({"versions": 2}, "versions: expected 1, 2 or both, as {1, 2}, got 2"),
    ({"timeout": None}, "timeout: expected seconds as a number, got None"),
    ({"timeout": "5"}, "timeout: expected seconds as a number, got '5'"),
    ({"timeout": True}, "timeout: expected seconds as a number, got True"),
    ({"max_size": 4096.0}, "max_size: expected an int, got float"),
    ({"max_pending": 10.0}, "max_pending: expected an int, got 10.0"),
    ({"max_pending": True}, "max_pending: expected an int, got True"),
    ({"require_checksum": "no"}, "require_checksum: expected True or False, got 'no'"),
]


@pytest.mark.parametrize(("settings", "message"), VALUE_ERRORS)
def test_value_errors(api: Api, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^\w+: ") as caught:
        policy(api, **settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(("settings", "message"), TYPE_ERRORS)
def test_type_errors(api: Api, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        policy(api, **settings)
    assert str(caught.value) == message


def test_trust_everyone(api: Api) -> None:
    everyone = api.policy.Policy.trust_everyone(timeout=2.0)
    assert everyone.trusted == api.policy.Networks.of_everyone()
    assert everyone.timeout == 2.0
    with pytest.raises(ValueError, match=r"^header: ") as caught:
        api.policy.Policy.trust_everyone(header="optional", wait=1.0)
    assert str(caught.value) == (
        "header: 'optional' with trust_everyone() lets each client choose its address: "
        "name the peers in trusted"
    )


def test_networks_are_taken_as_they_are(api: Api) -> None:
    networks = api.policy.Networks("10.0.0.0/8")
    assert policy(api, trusted=networks).trusted is networks


def test_a_policy_does_not_change(api: Api) -> None:
    made = policy(api)
    for name in ("timeout", "trusted", "new"):
        with pytest.raises(AttributeError, match=f"^{name}: a Policy cannot be changed"):
            setattr(made, name, 1)
    with pytest.raises(AttributeError, match=r"^timeout: a Policy cannot be changed"):
        del made.timeout
    assert made == policy(api)


def test_equality() -> None:
    made = Policy("10.0.0.0/8", timeout=5, versions=[2, 1])
    assert made == Policy("10.0.0.0/8")
    assert hash(made) == hash(Policy("10.0.0.0/8"))
    assert made != Policy("10.0.0.0/9")
    assert made != Policy("10.0.0.0/8", timeout=4)
    assert made != "10.0.0.0/8"
    for twin in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert twin == made
        assert type(twin.trusted) is Networks


def test_repr() -> None:
    assert repr(Policy("10.0.0.0/8", versions={2})) == (
        "Policy(trusted=Networks('10.0.0.0/8'), untrusted='refuse', header='required', wait=None, "
        "source_preserved=False, versions=frozenset({2}), timeout=5.0, max_size=4096, "
        "max_pending=1024, nested='refuse', require_checksum=False)"
    )


def test_the_page() -> None:
    """docs/policy.md's example."""
    (code,) = quoted("policy.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    expected = Policy(["10.0.0.0/8", "2001:db8::/32", "unix"], timeout=3.0)
    assert names["policy"] == expected


def test_policy_of_a_server() -> None:
    class Server:
        policy: object = Policy("10.0.0.0/8")

    assert policy_of(Server()) is Server.policy
    Server.policy = "all"
    with pytest.raises(TypeError, match=r"^Server\.policy: expected a Policy, got 'all'$"):
        policy_of(Server())
    with pytest.raises(TypeError, match=r"^object\.policy: expected a Policy, got None$"):
        policy_of(object())
