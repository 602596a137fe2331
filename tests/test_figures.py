"""What README.md and the plots say is what bench/results holds. Nothing is timed here."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))  # behind the package under test, which may be an installed one

from bench import costs, figures, plots, ratios, report, results  # noqa: E402
from bench.costs import Cost  # noqa: E402
from bench.results import BOTH_ENDS, EMPTY, UNBOUND, Results, Row  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
MAX_SVG_SIZE = 30_000
README = f"before\n{report.START}old\n{report.STOP}after\n"


def made(python: str, *backends: str, peer_ratio: float = 40.0) -> Results:
    """Results as ``bench.ratios`` gives them, of two peers and one kind of header."""
    kind = "v2 TCP4"
    rows = [Row("calls", "Cython", UNBOUND, kind, EMPTY, 0.6)]
    for at, backend in enumerate(backends):
        rows.append(Row("calls", backend, "parse", kind, EMPTY, 1.5, floor=2.0))
        for peer, ratio in (("gunicorn", 20.0), ("other-peer", peer_ratio)):
            rows.append(Row("peers", backend, BOTH_ENDS, kind, peer, ratio / (1 + at), faster=True))
        if at > 0:
            rows.append(Row("backends", backends[0], BOTH_ENDS, kind, backend, 1.0 + at, True))
    where = {
        "date": "2026-01-02T03:04:05+00:00",
        "machine": "x86_64",
        "cpu": "CPU",
        "system": "Linux",
        "python": f"{python}.1",
        "versions": {"gunicorn": "27.0"},
    }
    return Results(where, [], [], [replace(row, sweeps=(row.ratio,)) for row in rows])


def stored() -> list[Results]:
    return results.load(ROOT / results.DIRECTORY)


def svg_texts(text: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(text).iter(f"{SVG}text")]


def test_readme_and_plots_are_what_the_results_give() -> None:
    for path, text in report.all_files().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, "run: python -m bench.report"


def test_results_are_as_they_were_saved(tmp_path: Path) -> None:
    for one in stored():
        path = ROOT / results.DIRECTORY / one.file_name
        assert results.save(one, tmp_path).read_bytes() == path.read_bytes()


def test_a_plot_stands_alone() -> None:
    every = stored()
    with_empty_call = [one for one in every if any(one.select(against=EMPTY))]
    for name, shown in ((report.PEERS_PLOT, every), (report.CALLS_PLOT, with_empty_call)):
        text = (ROOT / name).read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == "title description"
        described = {e.get("id"): e.text for e in root if e.tag in (f"{SVG}title", f"{SVG}desc")}
        assert described["title"]
        assert all(one.python in described["description"] for one in shown)
        assert "prefers-color-scheme: dark" in text
        assert "href" not in text
        assert "url(" not in text
        assert len(text.encode()) < MAX_SVG_SIZE


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    newer, older, other = (
        made(name, "python") for name in ("CPython 3.10", "CPython 3.9", "PyPy 3.9")
    )
    for one in (other, newer, older):
        results.save(one, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cpython-3.10.json",
        "cpython-3.9.json",
        "pypy-3.9.json",
    ]
    assert results.load(tmp_path) == [older, newer, other]


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="measure with `python -m bench`"):
        results.load(tmp_path)


def test_the_figures_of_the_results() -> None:
    readme = report.files([made("CPython 3.11", "cython", "python")], README)[report.README]
    assert readme.startswith("before\n" + report.START)
    assert readme.endswith(report.STOP + "after\n")
    assert "old" not in readme
    assert "gunicorn 27.0 and other-peer:" in readme
    assert "| CPython 3.11, C core |  |  | 20 to 40 |  |  |" in readme
    assert "| CPython 3.11, pure Python |  |  | 10 to 20 |  |  |" in readme
    assert "| CPython 3.11, C core |  |  | 1.5 |  |  |" in readme
    assert "0.6 of that on CPython 3.11:" in readme
    assert "Measured on CPU (x86_64, Linux): CPython 3.11.1 (2026-01-02)." in readme


def test_the_costs_of_servers(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    plain = Cost("a", "asyncio", 1, 0.9, "CPython 3.13", "2026-01-02", 0.95, 0.94)
    other = replace(plain, server="b", floor=None, python="CPython 3.9", ratio=0.5, bound=0.25)
    again = replace(plain, ratio=0.75, bound=0.5)
    for cost in (plain, other, again):
        costs.save(cost, tmp_path)
    assert costs.load(tmp_path) == [again, other]
    assert costs.table([again, other]).splitlines() == [
        "| server | loop | requests | floor | CPython 3.9 | CPython 3.13 |",
        "|---|---|---:|---:|---:|---:|",
        "| a | asyncio | 1 | 0.9 |  | 0.750 (0.500) |",
        "| b | asyncio | 1 |  | 0.500 (0.250) |  |",
    ]


def test_the_figures_of_a_command(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    figures.save("servers", "a", {"plain": 1000, "counted on": "CPython 3.9"}, tmp_path)
    figures.save("servers", "b", {"plain": 2}, tmp_path)
    figures.save("relay", "bytes", {"CPython 3.9": 0.5}, tmp_path)
    figures.save("relay", "bytes", {"CPython 3.13": 1.25}, tmp_path)
    figures.save("servers", "a", {"plain": 12345}, tmp_path)
    tables = figures.load(tmp_path)
    assert figures.markdown(tables["servers"]).splitlines() == [
        "| | plain | counted on |",
        "|---|---:|---:|",
        "| a | 12,345 | CPython 3.9 |",
        "| b | 2 |  |",
    ]
    assert figures.markdown(tables["relay"]).splitlines()[2:] == ["| bytes | 0.50 | 1.25 |"]


def test_tables_have_their_places_in_order(tmp_path: Path) -> None:
    one = made("PyPy 3.9", "cffi", "python")
    rows = [row for row in one.rows if row.against != EMPTY]  # there no call is empty
    for each in (made("CPython 3.11", "cython"), replace(one, rows=rows)):
        results.save(each, tmp_path / results.DIRECTORY)
    (tmp_path / report.README).write_text(README, encoding="utf-8")
    (tmp_path / report.METHOD).parent.mkdir(exist_ok=True)
    (tmp_path / report.METHOD).write_text(README * 4, encoding="utf-8")
    costs.save(Cost("a", "asyncio", 1, None, "CPython 3.13", "2026-01-02", 0.9, 0.8), tmp_path)
    figures.save("servers", "a on asyncio", {"plain": 1000}, tmp_path)
    figures.save("relay", "bytes", {"CPython 3.13": 1.25}, tmp_path)
    files = report.all_files(tmp_path)
    servers, counted, relay, gained = files[report.METHOD].split("after\nbefore\n")
    assert "| a | asyncio | 1 |  | 0.900 (0.800) |" in servers
    assert "| a on asyncio | 1,000 |" in counted
    assert "| bytes | 1.25 |" in relay
    assert "| PyPy 3.9, cffi |  |  | 2.0 |  |  |" in gained
    assert "old" not in files[report.METHOD]
    assert "PyPy 3.9" in svg_texts(files[report.PEERS_PLOT])
    assert "PyPy 3.9" not in svg_texts(files[report.CALLS_PLOT])


def test_unknown_backends_and_pythons_appear() -> None:
    every = [made("CPython 3.11", "cython", "python"), made("PyPy 3.12", "new", "python")]
    files = report.files(every, README)
    assert "| PyPy 3.12, new |  |  | 20 to 40 |  |  |" in files[report.README]
    assert "| PyPy 3.12, pure Python |  |  | 10 to 20 |  |  |" in files[report.README]
    texts = svg_texts(files[report.PEERS_PLOT])
    assert "PyPy 3.12" in texts
    at = texts.index("v2 TCP4")
    # Of each bar the name and a number for each Python.
    assert texts[at + 1 :][:15] == [
        *("fastppv2, C core", "1.0", "-"),
        *("fastppv2, new", "-", "1.0"),
        *("fastppv2, pure Python", "2.0", "2.0"),
        *("gunicorn", "20", "20"),
        *("other-peer", "40", "40"),
    ]
    assert "parse, new" in svg_texts(files[report.CALLS_PLOT])


def test_a_bar_is_as_long_as_its_number() -> None:
    bars = [plots.Bar("one", "first", [1.0]), plots.Bar("four", "other", [4.0], [2.0])]
    text = plots.svg(plots.Chart("title", "subtitle", ["column"], {"group": bars}))
    root = ElementTree.fromstring(text)
    one, four = (e for e in root.iter(f"{SVG}rect") if e.get("class") != "page")
    assert float(four.get("width", 0)) == pytest.approx(4 * float(one.get("width", 0)), abs=0.5)
    (floor,) = root.iter(f"{SVG}path")
    at = float(floor.get("d", "").split()[0][1:]) - float(four.get("x", 0))
    assert at == pytest.approx(float(four.get("width", 0)) / 2, abs=0.5)


def test_a_readme_without_a_place_for_the_figures() -> None:
    with pytest.raises(ValueError, match=r"README\.md: expected 1 times the lines "):
        report.files([made("CPython 3.11", "python")], "no markers\n")


def test_a_floor_that_does_not_hold_is_named() -> None:
    one = made("CPython 3.11", "cython")
    words, passed = ratios.verdict(one)
    assert passed
    assert words == "1 of 1 floors hold."
    rows = [replace(row, ratio=2.25) if row.floor else row for row in one.rows]
    words, passed = ratios.verdict(replace(one, rows=rows, missing=["twisted: not installed"]))
    assert not passed
    assert words.splitlines() == [
        "0 of 1 floors hold.",
        "FAILED: cython, parse, v2 TCP4: 2.25 times the cost of empty call, promised is ≤ 2.",
        "Not judged: twisted: not installed.",
    ]


def test_sweeps_become_their_median_and_tell_when_they_disagree() -> None:
    one = made("CPython 3.11", "cython")
    sweeps = [[replace(row, ratio=ratio, sweeps=()) for row in one.rows] for ratio in (1, 9, 2)]
    merged = results.merged(sweeps)
    assert {(row.ratio, row.sweeps) for row in merged} == {(2, (1, 9, 2))}
    words, _ = ratios.verdict(replace(one, rows=merged))
    count = len(merged)
    assert f"{count} of {count} ratios differ by more than 5% between the sweeps" in words
    with pytest.raises(ValueError, match="the sweeps measured different things"):
        results.merged([one.rows, one.rows[::-1]])
