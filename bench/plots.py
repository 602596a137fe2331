"""Bars as SVG: a column for each Python, a bar below the other for what is compared.

Drawn here and not by a plotting library: CI compares the files byte by byte, on every Python and
without the packages that measuring needs, and what a library draws changes with its version.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from xml.etree import ElementTree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

WIDTH, MARGIN = 840, 20
NAMES, NUMBER, GAP = 170, 40, 24  # the widths of the names, of a number, and between columns
TITLE, SUBTITLE, HEADING, BAR, BETWEEN = 26, 24, 30, 12, 5  # heights

# A background of its own: the text stays readable on whatever page, if that has other colours than
# the system asks for.
STYLE = """
text { font: 12px -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.page { fill: #ffffff; stroke: #d1d9e0 }
.title { font-size: 16px; font-weight: 600 }
.heading { font-weight: 600 }
.quiet { fill: #59636e }
.number { font-size: 11px }
.first { fill: #0969da }
.second { fill: #6ea8e8 }
.other { fill: #afb8c1 }
.floor { stroke: #cf222e; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .page { fill: #0d1117; stroke: #3d444d }
  .quiet { fill: #9198a1 }
  .first { fill: #4493f8 }
  .second { fill: #2c5d9e }
  .other { fill: #656c76 }
  .floor { stroke: #f85149 }
}
"""


@dataclass(frozen=True)
class Bar:
    """A name at the left, and a value for each column; None where nothing was measured.

    ``style`` is "first", "second" or "other"; ``floors``, of each column, are drawn as marks.
    """

    name: str
    style: str
    values: Sequence[float | None]
    floors: Sequence[float | None] = ()


@dataclass(frozen=True)
class Chart:
    title: str
    subtitle: str
    columns: Sequence[str]
    groups: dict[str, list[Bar]]


def number(value: float) -> str:
    return f"{value:.{1 if value < 9.95 else 0}f}"


def _add(parent: Element, tag: str, text: str = "", **attributes: object) -> Element:
    names = {name.rstrip("_"): str(value) for name, value in attributes.items()}
    element = ElementTree.SubElement(parent, tag, names)
    element.text = text
    return element


def _description(chart: Chart) -> str:
    """The figures, for those who do not see the bars."""
    return " ".join(
        f"{column}, {heading}: "
        + ", ".join(
            f"{bar.name} {number(value)}"
            for bar in bars
            if (value := bar.values[index]) is not None
        )
        + "."
        for index, column in enumerate(chart.columns)
        for heading, bars in chart.groups.items()
    )


def _height(chart: Chart) -> int:
    bars = sum(len(bars) for bars in chart.groups.values())
    head = MARGIN + TITLE + SUBTITLE + BAR
    return head + len(chart.groups) * HEADING + bars * (BAR + BETWEEN) + MARGIN - BETWEEN


def svg(chart: Chart) -> str:
    height = _height(chart)
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {height}",
            "role": "img",
            "aria-labelledby": "title description",
        },
    )
    _add(root, "title", chart.title, id="title")
    _add(root, "desc", f"{chart.subtitle}. {_description(chart)}", id="description")
    _add(root, "style", STYLE)
    _add(root, "rect", class_="page", x=0.5, y=0.5, width=WIDTH - 1, height=height - 1, rx=6)
    y = MARGIN + BAR
    _add(root, "text", chart.title, class_="title", x=MARGIN, y=y)
    _add(root, "text", chart.subtitle, class_="quiet", x=MARGIN, y=y + SUBTITLE)
    _draw_columns(root, chart, y + SUBTITLE + TITLE)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _draw_columns(root: Element, chart: Chart, y: int) -> None:
    count = len(chart.columns)
    room = (WIDTH - 2 * MARGIN - NAMES - (count - 1) * GAP) // count
    lefts = [MARGIN + NAMES + index * (room + GAP) for index in range(count)]
    values = [v for bars in chart.groups.values() for bar in bars for v in bar.values]
    scale = (room - NUMBER) / max((value for value in values if value is not None), default=1.0)
    for left, column in zip(lefts, chart.columns):
        _add(root, "text", column, class_="heading", x=left, y=y)
    for heading, bars in chart.groups.items():
        y += HEADING
        _add(root, "text", heading, class_="heading", x=MARGIN, y=y - BETWEEN)
        for bar in bars:
            _draw_bar(root, bar, y, lefts, scale)
            y += BAR + BETWEEN


def _draw_bar(root: Element, bar: Bar, y: int, lefts: Sequence[int], scale: float) -> None:
    baseline = y + BAR - 2
    _add(root, "text", bar.name, x=MARGIN + 10, y=baseline)
    for left, value, floor in zip_longest(lefts, bar.values, bar.floors):
        if value is None:
            _add(root, "text", "-", class_="quiet", x=left, y=baseline)
            continue
        width = round(value * scale, 1)
        _add(root, "rect", class_=bar.style, x=left, y=y, width=width, height=BAR)
        end = left + width
        if floor is not None:
            x = round(left + floor * scale, 1)
            _add(root, "path", class_="floor", d=f"M{x} {y - 1}v{BAR + 2}")
            end = max(end, x + 2)
        _add(root, "text", number(value), class_="number", x=round(end + 4, 1), y=baseline)
