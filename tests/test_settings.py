"""Settings from the environment."""

from __future__ import annotations

import os
from typing import Any

import pytest
from quoted import rows

from fastppv2 import Policy
from fastppv2.settings import KNOWN, Settings, from_environment

TRUSTED = {"FASTPPV2_TRUSTED": "10.0.0.0/8"}


def read(**variables: str) -> Settings:
    named = {f"FASTPPV2_{name}": text for name, text in variables.items()}
    return from_environment({**TRUSTED, **named, "PATH": "/bin", "HOME": ""})


def test_defaults() -> None:
    assert read() == (Policy("10.0.0.0/8"), "outside", None)
    assert read(TIMEOUT="", TLS="", LISTEN="", UNTRUSTED="") == read()


# fmt: off
VALUES: list[tuple[str, str, dict[str, Any]]] = [
    ("TRUSTED", "10.0.0.0/8,::1 unix", {"trusted": ["10.0.0.0/8", "::1", "unix"]}),
    ("UNTRUSTED", "passthrough", {"untrusted": "passthrough"}),
    ("SOURCE_PRESERVED", "1", {"source_preserved": True}),
    ("SOURCE_PRESERVED", "true", {"source_preserved": True}),
    ("SOURCE_PRESERVED", "0", {}),
    ("SOURCE_PRESERVED", "false", {}),
    ("VERSIONS", "2", {"versions": {2}}),
    ("VERSIONS", "1,2", {}),
    ("VERSIONS", "1 2", {}),
    ("TIMEOUT", "2", {"timeout": 2}),
    ("TIMEOUT", "0.25", {"timeout": 0.25}),
    ("MAX_SIZE", "65551", {"max_size": 65551}),
    ("MAX_PENDING", "10", {"max_pending": 10}),
    ("NESTED", "payload", {"nested": "payload"}),
    ("REQUIRE_CHECKSUM", "1", {"require_checksum": True}),
]
# fmt: on


@pytest.mark.parametrize(("name", "text", "values"), VALUES)
def test_one_variable_for_each_setting(name: str, text: str, values: dict[str, Any]) -> None:
    assert read(**{name: text}).policy == Policy(**{"trusted": "10.0.0.0/8", **values})


def test_optional_and_its_wait() -> None:
    settings = read(HEADER="optional", WAIT="0.5")
    assert settings.policy == Policy("10.0.0.0/8", header="optional", wait=0.5)


def test_everyone() -> None:
    assert read(TRUSTED="everyone").policy == Policy.trust_everyone()
    assert read(TRUSTED="everyone", TIMEOUT="2").policy == Policy.trust_everyone(timeout=2)


def test_tls() -> None:
    assert read(TLS="outside").tls == "outside"
    assert read(TLS="inside").tls == "inside"


PORT = "expected :8080, 192.0.2.1:8080, [::1]:9000 or the path of a UNIX socket, got"
DIGITS = "expected plain digits, got"
FLAG = "expected 1, true, 0, false, got"
ERRORS = [
    ("TRUSTED", "", "must name the load balancers whose headers are believed, "
     "for example 10.0.0.0/8 or unix"),
    ("TRUSTED", "10.0.0.1/8", "10.0.0.1/8 has bits set behind its prefix: "
     "write 10.0.0.0/8 or 10.0.0.1"),
    ("TRUSTED", ",", "names nobody, so no header would ever be believed"),
    ("UNTRUSTED", "accept", "expected 'refuse' or 'passthrough', got 'accept'"),
    ("WAIT", "1", "only header='optional' waits for silent peers"),
    ("WAIT", "soon", "expected seconds in plain digits, got 'soon'"),
    ("SOURCE_PRESERVED", "yes", f"{FLAG} 'yes'"),
    ("VERSIONS", "3", "expected 1, 2 or both, got [3]"),
    ("VERSIONS", "v1", f"{DIGITS} 'v1'"),
    ("TIMEOUT", "0", "expected seconds, more than 0, got 0.0"),
    ("TIMEOUT", "-1", "expected seconds in plain digits, got '-1'"),
    ("TIMEOUT", "1e3", "expected seconds in plain digits, got '1e3'"),
    ("TIMEOUT", "\u0661", "expected seconds in plain digits, got '\u0661'"),
    ("TIMEOUT", "1_0", "expected seconds in plain digits, got '1_0'"),
    ("TIMEOUT", ".", "expected seconds in plain digits, got '.'"),
    ("TIMEOUT", "1.2.3", "expected seconds in plain digits, got '1.2.3'"),
    ("MAX_SIZE", "4k", f"{DIGITS} '4k'"),
    ("MAX_SIZE", "+4096", f"{DIGITS} '+4096'"),
    ("MAX_SIZE", "70000", "expected 16 to 65551, got 70000"),
    ("MAX_PENDING", "0", "expected 1 or more, got 0"),
    ("MAX_PENDING", "\u0661", f"{DIGITS} '\u0661'"),
    ("NESTED", "ok", "expected 'refuse' or 'payload', got 'ok'"),
    ("REQUIRE_CHECKSUM", "", None),
    ("REQUIRE_CHECKSUM", "True", f"{FLAG} 'True'"),
    ("TLS", "both", "expected 'outside' or 'inside', got 'both'"),
    ("LISTEN", ",", f"{PORT} ','"),
    ("LISTEN", "8080", f"{PORT} '8080'"),
    ("LISTEN", ":", f"{PORT} ':'"),
    ("LISTEN", ":65536", f"{PORT} ':65536'"),
    ("LISTEN", ":+80", f"{PORT} ':+80'"),
    ("LISTEN", ":\u0668", f"{PORT} ':\u0668'"),
    ("LISTEN", "localhost:80", f"{PORT} 'localhost:80'"),
    ("LISTEN", "::1:80", f"{PORT} '::1:80'"),
    ("LISTEN", "[10.0.0.1]:80", f"{PORT} '[10.0.0.1]:80'"),
    ("LISTEN", "[::1:80", f"{PORT} '[::1:80'"),
    ("LISTEN", "::1]:80", f"{PORT} '::1]:80'"),
    ("LISTEN", ":8080, x", f"{PORT} 'x'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), ERRORS)
def test_errors(name: str, text: str, message: str | None) -> None:
    if message is None:
        assert read(**{name: text}) == read()
        return
    with pytest.raises(ValueError, match=r"^FASTPPV2_") as caught:
        read(**{name: text})
    assert str(caught.value) == f"FASTPPV2_{name}: {message}"


def test_without_trusted() -> None:
    with pytest.raises(ValueError, match=r"^FASTPPV2_TRUSTED: must name the load balancers"):
        from_environment({})


def test_wait_is_missing() -> None:
    with pytest.raises(ValueError, match=r"^FASTPPV2_WAIT: header='optional' needs the seconds"):
        read(HEADER="optional")


def test_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FASTPPV2_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FASTPPV2_TRUSTED", "192.0.2.7")
    assert from_environment() == (Policy("192.0.2.7"), "outside", None)


def test_an_unknown_variable() -> None:
    known = (
        "FASTPPV2_TRUSTED, FASTPPV2_UNTRUSTED, FASTPPV2_HEADER, FASTPPV2_WAIT, "
        "FASTPPV2_SOURCE_PRESERVED, FASTPPV2_VERSIONS, FASTPPV2_TIMEOUT, FASTPPV2_MAX_SIZE, "
        "FASTPPV2_MAX_PENDING, FASTPPV2_NESTED, FASTPPV2_REQUIRE_CHECKSUM, FASTPPV2_TLS, "
        "FASTPPV2_LISTEN, FASTPPV2_BACKEND, FASTPPV2_NO_EXTENSIONS, FASTPPV2_CFFI"
    )
    with pytest.raises(ValueError, match=r"^FASTPPV2_TRUSTEED: ") as caught:
        read(TRUSTEED="10.0.0.0/8")
    assert str(caught.value) == f"FASTPPV2_TRUSTEED: unknown variable, known are {known}"
    assert read(BACKEND="python", NO_EXTENSIONS="1", CFFI="1") == read()
    assert len(KNOWN) == len(set(KNOWN))


LISTEN = ":8080,192.0.2.1:80 [::1]:9000, 10.0.0.1:0 /run/app.sock"


def test_which_listeners() -> None:
    settings = read(LISTEN=LISTEN)
    assert settings.listen == (
        (None, 8080),
        (b"\xc0\0\2\1", 80),
        (bytes(15) + b"\1", 9000),
        (b"\x0a\0\0\1", 0),
        "/run/app.sock",
    )


@pytest.mark.parametrize(
    ("sockname", "speaks"),
    [
        (("0.0.0.0", 8080), True),
        (("::", 8080, 0, 0), True),
        (("192.0.2.1", 80), True),
        (("::ffff:192.0.2.1", 80, 0, 0), True),
        (("192.0.2.2", 80), False),
        (("192.0.2.1", 81), False),
        (("::1", 9000, 0, 0), True),
        (("::2", 9000, 0, 0), False),
        (("0.0.0.0", 80), False),
        ("/run/app.sock", True),
        ("/run/other.sock", False),
        ("", False),
    ],
)
def test_speaks_proxy(sockname: object, speaks: bool) -> None:
    assert read(LISTEN=LISTEN).speaks_proxy(sockname) is speaks
    assert read().speaks_proxy(sockname) is True


def test_the_page_has_each_variable() -> None:
    """docs/policy.md: setting, variable, default, meaning; what a build takes stands elsewhere."""
    named = [cells[1].strip("`") for cells in rows("policy.md") if len(cells) == 4]
    building = ["FASTPPV2_BACKEND", "FASTPPV2_NO_EXTENSIONS", "FASTPPV2_CFFI"]
    assert [*named, *building] == list(KNOWN)
