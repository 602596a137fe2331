"""What went wrong with the input or the output, in one line."""

from __future__ import annotations


class CommandError(Exception):
    """Ends the command with exit status 1; the text says what, where and what to do.

    Text from files and from the wire may only enter it escaped.
    """
