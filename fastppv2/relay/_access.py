"""The access log: a line for each connection when it is over."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fastppv2._peer import text_of

if TYPE_CHECKING:
    from typing import Any

    from fastppv2._place import Place


def line(
    client: Any,
    balancer: Any,
    upstream: Place | None,
    *,
    sent: int,
    received: int,
    seconds: float,
    ending: str,
) -> str:
    """Who it was, by which balancer (None: directly), where it went, and what came of it.

    ``sent`` and ``received`` are bytes, as the client sees them; ``ending`` is "ok" or what went
    wrong. All of it is ASCII without control characters.
    """
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    by = "" if balancer is None else f" by {text_of(balancer)}"
    if balancer is not None and balancer == client:
        by = " with a header that names no client"
    to = "nowhere" if upstream is None else str(upstream)
    text = (
        f"{now} {text_of(client)}{by} to {to}: {sent} bytes sent, {received} received, "
        f"{seconds:.3f} s, {ending}"
    )
    return ascii(text)[1:-1]
