"""The plots, and the figures in README.md and bench/README.md, from what is stored:
``python -m bench.report``."""

from __future__ import annotations

from pathlib import Path

from bench import costs, figures, results
from bench.plots import Bar, Chart, number, svg
from bench.results import BOTH_ENDS, EMPTY, UNBOUND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.results import Results

ROOT = Path(__file__).resolve().parent.parent
README = Path("README.md")
METHOD = Path("bench/README.md")
PEERS_PLOT = Path("docs/speed-peers.svg")
CALLS_PLOT = Path("docs/speed-calls.svg")
START = "<!-- figures: by `python -m bench.report` -->\n"
STOP = "<!-- end of figures -->\n"

PURE = "python"
BACKENDS = {"cython": "C core", PURE: "pure Python"}  # any other has its own name
PLOTTED = ("v1 TCP4", "v1 TCP6", "v2 TCP4", "v2 TCP6")
KINDS = {**{kind: kind for kind in PLOTTED}, "v2 AWS": "v2 from AWS, checksum verified"}
CALLS = ("parse", "parse memoryview", "parse bytearray", "detect")


def _backend(name: str) -> str:
    return BACKENDS.get(name, name)


def _united(lists: Iterable[Sequence[str]]) -> list[str]:
    """Each name once, in the order in which they come."""
    return list(dict.fromkeys(name for names in lists for name in names))


def _backends(every: Sequence[Results]) -> list[str]:
    united = _united(one.backends for one in every)
    return sorted(united, key=lambda name: name == PURE)


def _peers(every: Sequence[Results]) -> list[str]:
    return _united(one.peers for one in every)


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


# The plots.


def _relative(one: Results, kind: str, name: str) -> float | None:
    """The time of a backend or a peer, where that of the quickest backend is 1."""
    first = one.backends[0]
    if name == first:
        return 1.0
    row = one.find(subject=first, operation=BOTH_ENDS, input=kind, against=name)
    return row.ratio if row else None


def _peers_chart(every: Sequence[Results]) -> Chart:
    names = [(name, f"fastppv2, {_backend(name)}") for name in _backends(every)]
    styles = ["first", *["second"] * (len(names) - 1)]
    names += [(peer, peer) for peer in _peers(every)]
    styles += ["other"] * len(_peers(every))
    groups = {
        kind: [
            Bar(shown, style, [_relative(one, kind, name) for one in every])
            for (name, shown), style in zip(names, styles)
        ]
        for kind in PLOTTED
    }
    return Chart(
        "Header parsed and both addresses read",
        "Time for a header, as a multiple of what fastppv2 takes: shorter is better",
        [one.python for one in every],
        groups,
    )


def _calls_chart(every: Sequence[Results]) -> Chart:
    every = [one for one in every if any(one.select(against=EMPTY))]  # on PyPy no call is empty
    groups = {}
    for backend in _backends(every):
        if backend == PURE:
            continue
        for operation in CALLS:
            of = {"subject": backend, "operation": operation, "against": EMPTY}
            inputs = _united([row.input for row in one.select(**of)] for one in every)
            bars = [_call(every, input=name, **of) for name in inputs]
            if bars:
                groups[f"{operation}, {_backend(backend)}"] = bars
    return Chart(
        "What a call costs",
        "Time for a header in empty calls, with the most that is promised: shorter is better",
        [one.python for one in every],
        groups,
    )


def _call(every: Sequence[Results], **of: str) -> Bar:
    rows = [one.find(**of) for one in every]
    ratios = [row.ratio if row else None for row in rows]
    return Bar(of["input"], "first", ratios, [row.floor if row else None for row in rows])


# README.md.


def _table(every: Sequence[Results], cell: Callable[[Results, str, str], str]) -> str:
    """A row for each Python and backend of which something is known."""
    lines = [f"| | {' | '.join(KINDS.values())} |", f"|---|{'---:|' * len(KINDS)}"]
    for one in every:
        for backend in one.backends:
            cells = [cell(one, backend, kind) for kind in KINDS]
            if any(cells):
                lines.append(f"| {one.python}, {_backend(backend)} | {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def _times_as_fast(one: Results, backend: str, kind: str) -> str:
    rows = one.select(section="peers", subject=backend, operation=BOTH_ENDS, input=kind)
    ratios = sorted(row.ratio for row in rows)
    return " to ".join(dict.fromkeys(number(ratio) for ratio in (ratios[:1] + ratios[-1:])))


def _empty_calls(one: Results, backend: str, kind: str) -> str:
    if backend == PURE:
        return ""
    row = one.find(subject=backend, operation="parse", input=kind, against=EMPTY)
    return number(row.ratio) if row else ""


def _over_pure(one: Results, backend: str, kind: str) -> str:
    row = one.find(subject=backend, operation=BOTH_ENDS, input=kind, against=PURE)
    return number(row.ratio) if row else ""


def _versions(every: Sequence[Results], package: str) -> str:
    versions = _united([one.where["versions"].get(package) or ""] for one in every)
    return f"{package} {' or '.join(filter(None, versions))}".rstrip()


def _where(every: Sequence[Results]) -> str:
    """A line for each machine."""
    machines: dict[str, list[str]] = {}
    for one in every:
        machine = "{cpu} ({machine}, {system})".format_map(one.where)
        machines.setdefault(machine, []).append("{python} ({date:.10})".format_map(one.where))
    return "".join(f"Measured on {name}: {_and(runs)}.\n" for name, runs in machines.items())


def _unbound(every: Sequence[Results]) -> str:
    rows = [(one.python, one.find(operation=UNBOUND, against=EMPTY)) for one in every]
    return _and([f"{number(row.ratio)} of that on {python}" for python, row in rows if row])


def _figures(every: Sequence[Results]) -> str:
    fast = _table(every, _times_as_fast)
    calls = _table(every, _empty_calls)
    return f"""\
![Time for a header, fastppv2 beside other packages]({PEERS_PLOT.as_posix()})

Header parsed and both addresses read: how many times as fast as the quickest and the slowest of
{_and([_versions(every, peer) for peer in _peers(every)])}:

{fast}
A parse in empty calls; addresses of v2 become text when they are read. An empty call is
`def f(x): pass`, compiled with Cython's defaults; without `binding`, as fastppv2 is compiled, it
costs {_unbound(every)}:

{calls}
{_where(every)}"""


def _with_figures(path: Path, text: str, *figures: str) -> str:
    """In the order of their places; the rest of ``text`` stays."""
    before, *places = text.split(START)
    if len(places) != len(figures) or any(place.count(STOP) != 1 for place in places):
        raise ValueError(f"{path}: expected {len(figures)} times the lines {START!r} and {STOP!r}")
    parts = [START + new + STOP + old.partition(STOP)[2] for new, old in zip(figures, places)]
    return "".join([before, *parts])


def files(every: Sequence[Results], readme: str) -> dict[Path, str]:
    """What the results give, by the path below the root; the rest of ``readme`` stays."""
    return {
        PEERS_PLOT: svg(_peers_chart(every)),
        CALLS_PLOT: svg(_calls_chart(every)),
        README: _with_figures(README, readme, _figures(every)),
    }


def all_files(root: Path = ROOT) -> dict[Path, str]:
    """What all that is stored gives, the servers' costs with it."""
    every = results.load(root / results.DIRECTORY)
    method = (root / METHOD).read_text(encoding="utf-8")
    kept = figures.load(root)
    tables = [costs.table(costs.load(root))]
    tables += [figures.markdown(kept[name]) for name in ("servers", "relay")]
    tables.append(_table(every, _over_pure))
    return {
        **files(every, (root / README).read_text(encoding="utf-8")),
        METHOD: _with_figures(METHOD, method, *tables),
    }


def write(root: Path = ROOT) -> None:
    for path, text in all_files(root).items():
        (root / path).write_text(text, encoding="utf-8")
        print(f"{path}: from what is stored")


if __name__ == "__main__":
    write()
