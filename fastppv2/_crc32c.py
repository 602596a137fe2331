"""CRC32C (RFC 4960 appendix B) in Python: by the ``crc32c`` package where it is installed.

The twin of ``csrc/crc32c.c``.
"""

from __future__ import annotations

from fastppv2._spec import crc32c_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def by_table(data: bytes, crc: int = 0) -> int:
    """The CRC32C of ``data``, continued from ``crc``."""
    table = _table()
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


_tables: list[tuple[int, ...]] = []


def _table() -> tuple[int, ...]:
    # Made when it is first needed: most processes never see a checksum without the package.
    if not _tables:
        _tables.append(crc32c_table())
    return _tables[0]


def _choose() -> tuple[str, Callable[..., int]]:
    try:
        from crc32c import crc32c as by_package
    except ModuleNotFoundError:
        return "python", by_table
    return "crc32c", by_package


kind, crc32c = _choose()
