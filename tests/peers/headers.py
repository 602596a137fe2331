"""What the tests build for HAProxy and nginx to read."""

from __future__ import annotations

import pytest

from fastppv2 import Command, TLVType

# Addresses of documentation, one of them with two runs of zeros, of which only the first is cut.
ENDS = [
    pytest.param(("192.0.2.1", 1), ("198.51.100.255", 65535), id="tcp4"),
    pytest.param(("2001:db8::1", 56324), ("2001:db8::1:0:0:2", 443), id="tcp6"),
    pytest.param(("::ffff:192.0.2.1", 56324), ("::ffff:198.51.100.1", 443), id="tcp6-mapped"),
]

TLVS = (
    (TLVType.AUTHORITY, b"client.example"),
    (TLVType.NOOP, b"\0\0"),
    (TLVType.UNIQUE_ID, b"id-0123456789"),
)

# Arguments of build for a header with addresses,
KINDS = {
    "v1": {"version": 1},
    "v2": {"version": 2},
    "v2-tlvs": {"tlvs": TLVS},
    "v2-checksum": {"checksum": True},
    "v2-tlvs-checksum": {"tlvs": TLVS, "checksum": True},
}

# and for one without, which leaves the real ones in force.
ADDRESSLESS = {
    "v1-unknown": {"version": 1},
    "v2-local": {},
    "v2-local-tlvs": {"tlvs": TLVS, "checksum": True},
    "v2-proxy-unspec": {"command": Command.PROXY},
}
