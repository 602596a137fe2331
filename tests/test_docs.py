"""README.md and docs/: links lead somewhere, settings are taken, and tests run what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastppv2
from fastppv2 import handshake
from fastppv2.settings import from_environment

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/**/*.md")])
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")
SETTING = re.compile(r"\b(FASTPPV2_[A-Z_]+)=([^\s`'\")]+)")
BUILD = {"FASTPPV2_NO_EXTENSIONS", "FASTPPV2_CFFI"}
BLOCK = re.compile(r"^```(\w+)\n.*?^```$", re.MULTILINE | re.DOTALL)
# What no test runs: a page, the language of its block, and why.
NOT_RUN = {
    ("docs/contributing.md", "console"): "these are the tests themselves; .ci/run runs them so",
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The headings as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor}"


def test_settings() -> None:
    """Each as it stands on a page is taken, and together with the others of its line."""
    taken = 0
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            given = {name: value for name, value in SETTING.findall(line) if name not in BUILD}
            if given:
                from_environment({"FASTPPV2_TRUSTED": "192.0.2.1", **given})
                taken += 1
    assert taken


def test_the_api_has_every_public_name() -> None:
    """Of the modules that it lists by name; of others it takes all that is public."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for module in (fastppv2, handshake):
        assert [name for name in module.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_what_is_shown_is_run() -> None:
    """By a test that reads it from its page; how many blocks there are, that test knows."""
    files = set((ROOT / "tests").rglob("*.py")) - {Path(__file__)}
    tests = [path.read_text(encoding="utf-8") for path in files]
    names = {
        (name_of(page), language)
        for page in PAGES
        for language in BLOCK.findall(page.read_text(encoding="utf-8"))
    }
    run = {
        (page, language)
        for page, language in names
        for text in tests
        if page.replace("docs/", "", 1) in text and f'"{language}"' in text and "quoted(" in text
    }
    assert names - run == NOT_RUN.keys()
