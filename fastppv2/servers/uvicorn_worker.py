"""gunicorn with uvicorn's worker: ``gunicorn -k fastppv2.servers.uvicorn_worker.UvicornWorker``.

Settings come from the environment (``fastppv2.settings``). ``UvloopWorker`` is the same on uvloop.
"""

from __future__ import annotations

from typing import Any, ClassVar

import uvicorn_worker  # type: ignore[import-untyped]

from fastppv2.servers.gunicorn import check

__all__ = ["UvicornWorker", "UvloopWorker"]


class UvicornWorker(uvicorn_worker.UvicornWorker):  # type: ignore[misc]
    # The client's address does not come from X-Forwarded-For.
    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "fastppv2.asyncio:loop_factory",
        "proxy_headers": False,
    }

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """In the master, before there are workers."""
        check(cls, cfg)


class UvloopWorker(UvicornWorker):
    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        **UvicornWorker.CONFIG_KWARGS,
        "loop": "fastppv2.asyncio:uvloop_loop_factory",
    }
