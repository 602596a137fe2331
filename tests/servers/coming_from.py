"""The pages of docs/coming-from: what a row of their tables says, a test of that name shows."""

from __future__ import annotations

from quoted import rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def check_that_all_is_shown(page: str, module: dict[str, Any]) -> None:
    """Each row of three cells begins with the docstring of one of the module's tests."""
    tests = [test for name, test in module.items() if name.startswith("test_row_")]
    assert [row[0] for row in rows(page) if len(row) == 3] == [test.__doc__ for test in tests]
