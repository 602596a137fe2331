"""What pages tell people to type, our own command takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import fastppv2.cli

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SPAN = re.compile(r"`(fastppv2 [^`]*)`")
BLOCK = re.compile(r"^```\S*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^(?:echo .* \| )?(fastppv2 .*)$", re.MULTILINE)


def commands():
    """Those in blocks, and in prose those that name an address; ``HOST:PORT`` is left open."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = "".join(BLOCK.findall(text))
        spans = [span for span in SPAN.findall(BLOCK.sub("", text)) if re.search(r":\d", span)]
        for command in [*LINE.findall(blocks), *spans]:
            yield str(page.relative_to(ROOT)), shlex.split(command, comments=True)[1:]


@pytest.mark.parametrize(("page", "arguments"), list(commands()))
def test_the_command_takes_it(page, arguments):
    assert fastppv2.cli._parser().parse_args(arguments).run
