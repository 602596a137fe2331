"""Headers made by hand, without the code under test."""

from __future__ import annotations

V2 = b"\r\n\r\n\0\r\nQUIT\n"
CRC = b"\3\0\4\0\0\0\0"


def tlv(type: int, value: bytes) -> bytes:
    return bytes([type]) + len(value).to_bytes(2, "big") + value


def crc32c(data: bytes) -> int:
    """RFC 4960 appendix B, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def v2(command: int, kind: int, block: bytes, checksum: bool = False) -> bytes:
    """``checksum`` fills the first ``CRC``."""
    data = V2 + bytes([command, kind]) + len(block).to_bytes(2, "big") + block
    if checksum:
        at = data.index(CRC) + 3
        data = data[:at] + crc32c(data).to_bytes(4, "big") + data[at + 4 :]
    return data
