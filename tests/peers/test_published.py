"""What the tests of Envoy and Traefik say that these send and take, for neither can be run here.

``published.json``: each header that such a test holds, where it stands, what the program makes of
it there ("right": it sends that), and the arguments of ``build`` that say the same. Traefik reads
and writes headers by go-proxyproto, as Caddy does, whose real answers test_probe.py and
test_senders.py have.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pages import rows

from fastppv2 import Detected, Transport

PUBLISHED = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))


def name_of(entry) -> str:
    return f"{entry['row']} {entry['case']}"


def options_of(entry):
    """Of ``build``."""
    options = dict(entry["options"])
    if "tlvs" in options:
        options["tlvs"] = [(type, bytes.fromhex(value)) for type, value in options["tlvs"]]
    if "transport" in options:
        options["transport"] = Transport[options["transport"]]
    return options


@pytest.mark.parametrize("entry", PUBLISHED, ids=name_of)
def test_published_header(api, entry):
    """We read what they mean, and write the same bytes."""
    raw = bytes.fromhex(entry["hex"])
    if entry["case"] == "no header":
        assert api.detect(raw) == Detected.MISSING
        return
    ends = [entry[end] and tuple(entry[end]) for end in ("source", "destination")]
    header = api.parse(raw)
    assert [header.source, header.destination] == ends
    assert api.build(*ends, **options_of(entry)) == raw


def test_the_table():
    expected = {}
    for entry in PUBLISHED:
        expected.setdefault(entry["row"], {})[entry["case"]] = entry["verdict"]
    table = {
        row: {case: cell for case, cell in cells.items() if cell != "-"}
        for row, cells in rows("by their tests").items()
    }
    assert table == expected
