"""What docs/metrics.md shows, under an unchanged uvicorn."""

from __future__ import annotations

import pytest
from clients import HTTP1, connection
from clouds import NLB, NLB_CHECK
from programs import HOST
from quoted import adapted, quoted

COLLECTOR, CALLBACK = quoted("metrics.md", "python")
APP = """

import prometheus_client

app = prometheus_client.make_asgi_app()
"""


@pytest.mark.parametrize(
    ("shown", "loop"),
    [(COLLECTOR, "fastppv2.asyncio:loop_factory"), (CALLBACK, "app:loop_factory")],
    ids=["collector", "callback"],
)
def test_prometheus(started, shown, loop):
    directory, port = started.directory(), started.port()
    if shown is CALLBACK:
        shown = adapted(shown, {"10.0.0.0/8": HOST})
    (directory / "app.py").write_text(shown + APP)
    command = ["uvicorn", "app:app", "--port", str(port), "--loop", loop]
    program = started.program(command, port, cwd=directory)
    for header in (NLB, NLB, NLB_CHECK):
        with connection(program, header) as sock:
            told = HTTP1(sock).read("/").decode()
    assert 'fastppv2_connections_total{outcome="accepted"} 2.0' in told
    assert 'fastppv2_connections_total{outcome="local"} 1.0' in told
    if "Collector" in shown or "collect" in shown:
        assert 'fastppv2_connections_total{outcome="nested"} 0.0' in told
        assert "fastppv2_pending 0.0" in told
