"""What is told to the operator: warnings, at most one a minute per reason and peer network."""

from __future__ import annotations

import logging
from collections import OrderedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("fastppv2")

INTERVAL = 60.0  # seconds
# So many networks are kept apart, the rest share a line for each reason.
NETWORKS = 256
OTHERS = "other networks"


class _Entry:
    """A line was logged, and until ``end`` none like it is."""

    __slots__ = ("end", "suppressed")

    def __init__(self, end: float) -> None:
        self.end = end
        self.suppressed = 0


class OperatorLog:
    """The warnings of one listener."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def warn(self, reason: str, network: str, message: str) -> None:
        """Logs the message, or counts it where one like it was logged within the minute."""
        now = self._clock()
        key = reason, network
        entry = self._entries.get(key)
        if entry is None and len(self._entries) >= NETWORKS:
            self.flush()
            if len(self._entries) >= NETWORKS:
                key = reason, OTHERS
                entry = self._entries.get(key)
        if entry is not None and now < entry.end:
            entry.suppressed += 1
            return
        kept_back = 0 if entry is None else entry.suppressed
        self._entries[key] = _Entry(now + INTERVAL)
        self._entries.move_to_end(key)
        logger.warning("%s%s", message, f" (and {kept_back:,} like it)" if kept_back else "")

    @property
    def due(self) -> float | None:
        """When the next number that was not told yet is to be told, by the clock."""
        if not self._entries:
            return None
        ends = [entry.end for entry in self._entries.values() if entry.suppressed]
        return min(ends, default=None)

    def flush(self, everything: bool = False) -> None:
        """Tells how many were suppressed in the minutes that are over, or in all."""
        now = self._clock()
        for key, entry in list(self._entries.items()):
            if now < entry.end and not everything:
                break
            del self._entries[key]
            if entry.suppressed:
                self._entries[key] = _Entry(now + INTERVAL)
                reason, network = key
                logger.warning("%s: refused %s more (%s)", network, f"{entry.suppressed:,}", reason)
