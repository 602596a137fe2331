"""Settings from the environment, for servers that are not configured in Python.

One variable per setting of ``Policy``, and two that are the server's own: ``FASTPPV2_TLS`` and
``FASTPPV2_LISTEN``.
"""

from __future__ import annotations

import os

from fastppv2._networks import read_host
from fastppv2._peer import host_and_port
from fastppv2.policy import SETTINGS, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal, NamedTuple

    class _Settings(NamedTuple):
        policy: Policy
        tls: Literal["outside", "inside"]
        listen: tuple[Listen, ...] | None

    # A port, alone or of one address (packed), or the path of a UNIX socket.
    Listen = tuple[bytes | None, int] | str

else:
    from collections import namedtuple

    _Settings = namedtuple("_Settings", "policy tls listen")

PREFIX = "FASTPPV2_"
EVERYONE = "everyone"
_OTHERS = ("TLS", "LISTEN", "BACKEND", "NO_EXTENSIONS", "CFFI")
KNOWN = tuple([PREFIX + name for name in (*map(str.upper, SETTINGS), *_OTHERS)])
_FLAGS = {"1": True, "true": True, "0": False, "false": False}


class Settings(_Settings):
    """What the environment says: ``policy``; ``tls``: where the TLS handshake finds the header,
    "outside" (before it) or "inside"; ``listen``: the listeners that speak PROXY, None for all.
    """

    __slots__ = ()

    def speaks_proxy(self, sockname: object) -> bool:
        """The listener of that ``getsockname()`` takes PROXY headers."""
        if self.listen is None:
            return True
        if isinstance(sockname, tuple):
            host, port = read_host(sockname[0]), sockname[1]
            return (None, port) in self.listen or (host, port) in self.listen
        return sockname in self.listen


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in the ``FASTPPV2_*`` variables; one that is empty counts as unset.

    ``FASTPPV2_TRUSTED`` must be there: networks with commas or blanks between them, "unix", or the
    word "everyone". Raises ValueError that names the variable; for an unknown one, all known ones.
    """
    given = {name: text for name, text in environ.items() if name.startswith(PREFIX) and text}
    for name in given:
        if name not in KNOWN:
            raise ValueError(f"{name}: unknown variable, known are {', '.join(KNOWN)}")
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        name = PREFIX + setting.upper()
        if name in given:
            values[setting] = _READ.get(setting, _plain)(name, given[name])
    tls: Any = given.get(PREFIX + "TLS", "outside")
    if tls not in ("outside", "inside"):
        raise ValueError(f"{PREFIX}TLS: expected 'outside' or 'inside', got {tls!r}")
    listen = given.get(PREFIX + "LISTEN")
    return Settings(_policy(values), tls, None if listen is None else _listen(listen))


def _policy(values: dict[str, Any]) -> Policy:
    trusted = values.pop("trusted", None)
    if trusted is None:
        raise ValueError(
            f"{PREFIX}TRUSTED: must name the load balancers whose headers are believed, "
            "for example 10.0.0.0/8 or unix"
        )
    try:
        if trusted == EVERYONE:
            return Policy.trust_everyone(**values)
        return Policy(trusted, **values)
    except ValueError as error:
        setting, _, message = str(error).partition(": ")
        raise ValueError(f"{PREFIX}{setting.upper()}: {message}") from None


def _plain(name: str, text: str) -> str:
    return text


def _flag(name: str, text: str) -> bool:
    if text not in _FLAGS:
        raise ValueError(f"{name}: expected {', '.join(_FLAGS)}, got {text!r}")
    return _FLAGS[text]


def _whole(name: str, text: str) -> int:
    # int() takes signs, underscores and digits of other scripts.
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name}: expected plain digits, got {text!r}")
    return int(text)


def _seconds(name: str, text: str) -> float:
    before, _, behind = text.partition(".")
    if not (text.isascii() and (before + behind).isdigit()):
        raise ValueError(f"{name}: expected seconds in plain digits, got {text!r}")
    return float(text)


def _versions(name: str, text: str) -> list[int]:
    return [_whole(name, version) for version in text.replace(",", " ").split()]


_READ = {
    "wait": _seconds,
    "source_preserved": _flag,
    "versions": _versions,
    "timeout": _seconds,
    "max_size": _whole,
    "max_pending": _whole,
    "require_checksum": _flag,
}


def _listen(text: str) -> tuple[Listen, ...]:
    entries = text.replace(",", " ").split()
    if not entries:
        raise ValueError(f"{PREFIX}LISTEN: expected {_LISTEN_LIKE}, got {text!r}")
    return tuple([_listener(entry) for entry in entries])


_LISTEN_LIKE = ":8080, 192.0.2.1:8080, [::1]:9000 or the path of a UNIX socket"


def _listener(entry: str) -> Listen:
    if "/" in entry:
        return entry
    host, digits = host_and_port(entry) or ("", "")
    address = read_host(host) if host else None
    named = ":" in entry and (not host or address is not None)
    if not named or not (digits.isascii() and digits.isdigit()) or int(digits) > 0xFFFF:
        raise ValueError(f"{PREFIX}LISTEN: expected {_LISTEN_LIKE}, got {entry!r}")
    return address, int(digits)
