"""What came to the page's own port lately: clients, health checks, and what was refused."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastppv2.handshake import Listener

if TYPE_CHECKING:
    from fastppv2._queue import Handshake
    from fastppv2.header import Header
    from fastppv2.policy import Policy

KEPT = 50


class Visit:
    """A connection to the page."""

    def __init__(self, kind: str, client: Any, balancer: Any, header: Header | None) -> None:
        self.when = datetime.now()
        self.kind = kind  # "client", "health check" or "refused"
        self.client = client
        self.balancer = balancer
        self.header = header
        self.reason = ""  # of a refusal
        self.message = ""
        self.requests = 0


class Visits:
    """The last ``KEPT`` clients and refusals; health checks are counted apart."""

    def __init__(self) -> None:
        self.recent: deque[Visit] = deque(maxlen=KEPT)
        self.checks = 0
        self.last_check: Visit | None = None

    def add(self, visit: Visit) -> None:
        if visit.kind == "health check":
            self.checks += 1
            self.last_check = visit
        else:
            self.recent.appendleft(visit)

    def refusal_of(self, name: Any) -> Visit | None:
        """What was refused to the connection whose own end has that name."""
        for visit in self.recent:
            if visit.kind == "refused" and visit.balancer == name:
                return visit
        return None


class Recording(Listener):
    """A listener that remembers each refusal with its message."""

    def __init__(self, policy: Policy, visits: Visits) -> None:
        super().__init__(policy)
        self._visits = visits

    def _refuse(self, handshake: Handshake, reason: str, text: str) -> None:
        super()._refuse(handshake, reason, text)
        kind = "health check" if reason == "empty" else "refused"
        visit = Visit(kind, None, handshake.peername, None)
        visit.reason, visit.message = reason, text
        self._visits.add(visit)
