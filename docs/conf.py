"""The site, by Sphinx: ``sphinx-build -W docs build/docs``.

Pages read as well in the repository as on the site: their links are those of the repository, and
are changed here, as are the places of pages that live elsewhere in it.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import TYPE_CHECKING

import fastppv2

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "fastppv2"
author = "the fastppv2 developers"
release = version = fastppv2.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["examples"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # of haproxy's configuration

html_theme = "furo"
html_title = f"fastppv2 {release}"
html_show_copyright = False

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

_ROOT = Path(__file__).parent.parent
# Pages that live elsewhere; here each is a file without text.
_ELSEWHERE = {
    "readme": "README.md",
    "security": "SECURITY.md",
    "changelog": "CHANGELOG.md",
    "performance": "bench/README.md",
    "fuzzing": "tests/fuzz/README.md",
    "soak": "tests/soak/README.md",
    "assumptions": "csrc/proof/README.md",
}
_PAGES = {path: f"docs/{name}.md" for name, path in _ELSEWHERE.items()}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)]*)?\)")


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    path = _ELSEWHERE.get(page, f"docs/{page}.md")
    if page in _ELSEWHERE:
        source[0] = (_ROOT / path).read_text(encoding="utf-8")

    def move(link: re.Match[str]) -> str:
        target = normpath(join(dirname(path), link[3]))
        if (_ROOT / target).is_dir():
            return link[2]
        here = relpath(_PAGES.get(target, target), dirname(f"docs/{page}.md"))
        return f"{link[1]}[{link[2]}]({here}{link[4] or ''})"

    source[0] = _LINK.sub(move, source[0])


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("source-read", _read)
