"""The warning about X-Forwarded-For, at the start."""

from __future__ import annotations

import logging

import pytest

from fastppv2 import Policy
from fastppv2.asyncio import loop_factory_for


@pytest.fixture
def warned(monkeypatch, caplog):
    """What a loop's making warns of with that value of the variable."""

    def warned(value):
        if value is None:
            monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
        else:
            monkeypatch.setenv("FORWARDED_ALLOW_IPS", value)
        with caplog.at_level(logging.WARNING, "fastppv2"):
            loop_factory_for(Policy("192.0.2.1"))().close()
        return caplog.messages

    return warned


@pytest.mark.parametrize("value", ["10.0.0.0/8", "*", "127.0.0.1, 10.0.0.7"])
def test_networks_of_clients(warned, value):
    (message,) = warned(value)
    assert f"FORWARDED_ALLOW_IPS={value}:" in message
    assert "--no-proxy-headers" in message


@pytest.mark.parametrize("value", [None, "", "127.0.0.1", "127.0.0.1, ::1"])
def test_where_no_client_comes_from(warned, value):
    assert warned(value) == []
