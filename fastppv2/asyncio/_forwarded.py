"""The warning where clients behind PROXY could choose their address after all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastppv2._log import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = "FORWARDED_ALLOW_IPS"
_LOOPBACK = ("127.0.0.1", "::1")  # where no client comes from


def warn_of_forwarding(environ: Mapping[str, str] = os.environ) -> None:
    """uvicorn believes X-Forwarded-For of the peers in this variable, and now they are clients."""
    value = environ.get(_VARIABLE, "")
    if any(peer.strip() not in ("", *_LOOPBACK) for peer in value.split(",")):
        logger.warning(
            "%s=%s: behind PROXY a client in there can choose its address by X-Forwarded-For: "
            "unset it, and start uvicorn with --no-proxy-headers",
            _VARIABLE,
            value,
        )
