"""The headers that HAProxy and nginx sent when recorded.json was written: no server needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text(encoding="utf-8"))


def name_of(entry):
    return f"{entry['sender']} {entry['option'].split()[-1][:30]} {entry['connection']}"


@pytest.mark.parametrize("entry", RECORDED, ids=name_of)
def test_recorded_header(api, entry):
    raw = bytes.fromhex(entry["hex"])
    header = api.parse(raw + b"payload")
    assert header.raw == raw
    expected = [entry[end] and tuple(entry[end]) for end in ("source", "destination")]
    assert [header.source, header.destination] == expected
    assert (header.ssl is not None and header.ssl.client != 0) == ("TLS" in entry["connection"])
    if header.ssl is not None:
        assert header.ssl.verified == ("verified" in entry["connection"])
