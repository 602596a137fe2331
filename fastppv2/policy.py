"""Who is believed, and within which limits: ``Policy`` and ``Networks``.

Everything here serves one property: no configuration short of ``Policy.trust_everyone()`` lets a
peer that was not named choose the address that the application sees.
"""

from __future__ import annotations

from math import isfinite

from fastppv2._backend import Members
from fastppv2._networks import format_network, read_network
from fastppv2._spec import SERVER_MAX_SIZE
from fastppv2.errors import check_max_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal, NoReturn

    from fastppv2._networks import Network

SETTINGS = (
    "trusted",
    "untrusted",
    "header",
    "wait",
    "source_preserved",
    "versions",
    "timeout",
    "max_size",
    "max_pending",
    "nested",
    "require_checksum",
)
TIMEOUT = 5.0  # seconds
MAX_PENDING = 1024  # connections
_SHOWN = 3  # networks in a message


class Networks(Members):
    """Peers by address: ``"10.1.2.3" in networks``, mapped or not, as ``getpeername()`` has it.

    ``entries`` are addresses and networks as text or ``ipaddress`` objects, and "unix" for the
    peers on UNIX sockets; one text may hold several, with commas or blanks between them.
    ``::ffff:10.0.0.0/104`` is the same as ``10.0.0.0/8``. Raises ValueError or TypeError that says
    what is wrong with which entry.
    """

    __slots__ = ("everyone", "networks", "unix")

    networks: tuple[Network, ...]
    """The packed first address and the number of bits of each, sorted."""
    unix: bool
    """Peers on UNIX sockets are among them."""
    everyone: bool
    """Every peer is."""

    def __init__(self, entries: str | Iterable[object]) -> None:
        texts = [_text(entry) for entry in _split(entries)]
        networks = {read_network(text) for text in texts if text != "unix"}
        self._fill(networks, unix="unix" in texts, everyone=False)

    @classmethod
    def of_everyone(cls) -> Networks:
        """Whoever connects; what ``Policy.trust_everyone()`` trusts."""
        networks = cls.__new__(cls)
        networks._fill((), unix=True, everyone=True)
        return networks

    def _fill(self, networks: Iterable[Network], unix: bool, everyone: bool) -> None:
        self.networks = tuple(sorted(networks, key=_order))
        self.unix = unix
        self.everyone = everyone
        super().__init__(self.networks, everyone)

    def _texts(self) -> list[str]:
        if self.everyone:
            return ["everyone"]
        return [format_network(network) for network in self.networks] + ["unix"] * self.unix

    def __str__(self) -> str:
        """The first few of them, for messages."""
        texts = self._texts()
        more = len(texts) - _SHOWN
        return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

    def __repr__(self) -> str:
        if self.everyone:
            return "Networks.of_everyone()"
        return f"Networks({', '.join(self._texts())!r})"

    def __eq__(self, other: object) -> bool:
        return self._texts() == other._texts() if isinstance(other, Networks) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._texts()))

    def __reduce__(self) -> tuple[Any, ...]:
        if self.everyone:
            return Networks.of_everyone, ()
        return Networks, (tuple(self._texts()),)


def _split(entries: str | Iterable[object]) -> list[object]:
    if isinstance(entries, str):
        return [*entries.replace(",", " ").split()]
    return list(entries)


def _text(entry: object) -> str:
    text = getattr(entry, "compressed", entry)  # ipaddress objects
    if not isinstance(text, str):
        raise TypeError(f"expected text or ipaddress objects, got {entry!r}")
    return text


def _order(network: Network) -> tuple[int, bytes, int]:
    address, prefix = network
    return len(address), address, prefix


class Policy:
    """Whose header is believed and what else must hold; immutable, one for any number of listeners.

    ``trusted``, which has no default: the peers whose header is believed, as ``Networks`` takes
    them. ``untrusted``: "refuse", or "passthrough" to let all others through as themselves, their
    bytes untouched. ``header``: "required", or "optional" to let trusted peers without header
    through as themselves, silent ones when ``wait`` (seconds) is over. ``source_preserved``: the
    balancer keeps the client's address, so a header is believed only if its source is the peer's.
    ``versions`` of the protocol that are taken. ``timeout`` (seconds) for the whole header, from
    accept on. ``max_size`` (bytes, 16 to 65551) of it. ``max_pending`` connections may wait for
    theirs; beyond it the one that has waited longest is ended. ``nested``: "refuse" a second
    header directly behind the first, or leave it to the application as "payload"; it is never
    believed. ``require_checksum``: a header without CRC32C is refused.

    Raises ValueError or TypeError that begins with the name of the setting.
    """

    __slots__ = SETTINGS

    trusted: Networks
    untrusted: Literal["refuse", "passthrough"]
    header: Literal["required", "optional"]
    wait: float | None
    source_preserved: bool
    versions: frozenset[int]
    timeout: float
    max_size: int
    max_pending: int
    nested: Literal["refuse", "payload"]
    require_checksum: bool

    def __init__(
        self,
        trusted: Networks | str | Iterable[object],
        *,
        untrusted: str = "refuse",
        header: str = "required",
        wait: float | None = None,
        source_preserved: bool = False,
        versions: Iterable[int] = (1, 2),
        timeout: float = TIMEOUT,
        max_size: int = SERVER_MAX_SIZE,
        max_pending: int = MAX_PENDING,
        nested: str = "refuse",
        require_checksum: bool = False,
    ) -> None:
        values: dict[str, Any] = {
            "trusted": _trusted(trusted),
            "untrusted": _choice("untrusted", untrusted, "refuse", "passthrough"),
            "header": _choice("header", header, "required", "optional"),
            "source_preserved": _flag("source_preserved", source_preserved),
            "versions": _versions(versions),
            "timeout": check_seconds("timeout", timeout),
            "max_size": check_max_size(max_size),
            "max_pending": check_count("max_pending", max_pending),
            "nested": _choice("nested", nested, "refuse", "payload"),
            "require_checksum": _flag("require_checksum", require_checksum),
        }
        values["wait"] = _wait(wait, header, values["timeout"])
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check_together()

    @classmethod
    def trust_everyone(cls, **settings: Any) -> Policy:
        """A policy that believes whoever connects: for ports that only the balancer can reach.

        Takes the other settings by name.
        """
        return cls(Networks.of_everyone(), **settings)

    def _check_together(self) -> None:
        if self.trusted.everyone and self.header == "optional":
            raise ValueError(
                "header: 'optional' with trust_everyone() lets each client choose its address: "
                "name the peers in trusted"
            )
        if self.require_checksum and self.versions == {1}:
            raise ValueError("require_checksum: version 1 has no checksum, add 2 to versions")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name}: a Policy cannot be changed, make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: a Policy cannot be changed, make another one")

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in SETTINGS])

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Policy) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        pairs = zip(SETTINGS, self._values())
        return f"Policy({', '.join([f'{name}={value!r}' for name, value in pairs])})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._values(),)


def policy_of(server: object) -> Policy:
    """The attribute of a server that a mixin reads; TypeError names the class that lacks it."""
    policy = getattr(server, "policy", None)
    if not isinstance(policy, Policy):
        raise TypeError(f"{type(server).__name__}.policy: expected a Policy, got {policy!r}")
    return policy


def _restore(values: tuple[Any, ...]) -> Policy:
    return Policy(**dict(zip(SETTINGS, values)))


def _trusted(entries: Networks | str | Iterable[object]) -> Networks:
    if isinstance(entries, Networks):
        return entries
    try:
        networks = Networks(entries)
    except (TypeError, ValueError) as error:
        raise type(error)(f"trusted: {error}") from None
    if not networks.networks and not networks.unix:
        raise ValueError("trusted: names nobody, so no header would ever be believed")
    return networks


def _choice(name: str, value: str, *known: str) -> str:
    if value not in known:
        raise ValueError(f"{name}: expected {' or '.join(map(repr, known))}, got {value!r}")
    return value


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return value


def check_count(name: str, value: int) -> int:
    """1 or more."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: expected an int, got {value!r}")
    if value < 1:
        raise ValueError(f"{name}: expected 1 or more, got {value}")
    return value


def check_seconds(name: str, value: float) -> float:
    """More than 0, and an end to them."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name}: expected seconds as a number, got {value!r}")
    if not isfinite(value) or value <= 0:
        raise ValueError(f"{name}: expected seconds, more than 0, got {value}")
    return float(value)


def _wait(value: float | None, header: str, timeout: float) -> float | None:
    if header == "required":
        if value is not None:
            raise ValueError("wait: only header='optional' waits for silent peers")
        return None
    if value is None:
        raise ValueError(
            "wait: header='optional' needs the seconds after which a silent peer is let through"
        )
    seconds = check_seconds("wait", value)
    if seconds > timeout:
        raise ValueError(f"wait: expected at most timeout ({timeout:g} s), got {seconds:g}")
    return seconds


def _versions(value: Iterable[int]) -> frozenset[int]:
    try:
        versions = frozenset(value)
    except TypeError:
        raise TypeError(f"versions: expected 1, 2 or both, as {{1, 2}}, got {value!r}") from None
    if not versions or not versions <= {1, 2}:
        raise ValueError(f"versions: expected 1, 2 or both, got {value!r}")
    return versions
