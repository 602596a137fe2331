"""The HTML. All that comes from the wire passes ``_text``, so nothing of it is ever markup."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from fastppv2 import ProxyProtocolError, cloud, parse
from fastppv2._peer import text_of
from fastppv2.cli.demo.trials import TRIALS
from fastppv2.cli.describe import SHOWN_SIZE, describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastppv2.cli.demo.trials import Result, Trial
    from fastppv2.cli.demo.visits import Visit, Visits
    from fastppv2.header import Header

_SHELL = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
<script src="/script.js" defer></script>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _text(value: object) -> str:
    """Inert, and in ASCII that is all to be seen: no control characters, no other direction."""
    return escape(ascii(str(value))[1:-1])


def home(client: Any, balancer: Any, header: Header | None, visits: Visits) -> str:
    """What the visitor sees of the connection that asks."""
    if header is None or header.source is None:
        who = "<p>This connection's header names no client.</p>"
    else:
        who = (
            f"<p>That is out of the PROXY header. The connection itself came from the balancer, "
            f'<b id="balancer">{_text(text_of(balancer))}</b>, and without the header that is all '
            "that this page would know.</p>"
        )
    links = "".join(
        [
            f'<li><a href="/send/{trial.name}">{_text(trial.title)}</a> {_text(trial.why)}</li>'
            for trial in TRIALS.values()
        ]
    )
    body = f"""\
<h1>You are <span id="client">{_text(text_of(client))}</span></h1>
{who}
<h2>Your header</h2>
{_header(header)}
<h2>Try another one</h2>
<p>Each of these opens a connection to this page's own port, as a balancer would.</p>
<ul>{links}</ul>
<h2>Recent connections</h2>
<div id="recent" data-live>
{recent(visits)}
</div>"""
    return _SHELL.format(title="fastppv2 demo", body=body)


def sent(trial: Trial, result: Result) -> str:
    """What was sent, and what became of it."""
    refusal = result.refusal
    if refusal is not None:
        outcome = (
            f'<p id="outcome" class="refused">Refused, reason <b>{_text(refusal.reason)}</b>: '
            f"{_text(refusal.message)}</p>"
        )
    elif trial.name == "local":
        outcome = (
            f'<p id="outcome">Accepted, as a health check: the client is the balancer itself, '
            f"<b>{_text(result.saw)}</b>.</p>"
        )
    else:
        outcome = f'<p id="outcome">Accepted: the page saw <b>{_text(result.saw)}</b>.</p>'
    body = f"""\
<p><a href="/">back</a></p>
<h1>Sent: {_text(trial.title)}</h1>
<p>{_text(trial.why)}</p>
{outcome}
<h2>The bytes</h2>
{_bytes(trial.header)}"""
    return _SHELL.format(title=f"fastppv2 demo: {_text(trial.title)}", body=body)


def recent(visits: Visits) -> str:
    """The live part of the page."""
    rows = "".join([_row(visit) for visit in visits.recent])
    last = visits.last_check
    checks = f"{_count(visits.checks, 'health check')} so far"
    if last is not None:
        by = _text(text_of(last.balancer))
        checks += f", the last one at {last.when:%H:%M:%S} by {by}"
    return (
        f'<p id="checks">{checks}; they are no clients, and not in this list.</p>\n'
        f"<table><thead><tr><th>time</th><th>client</th><th>by</th><th></th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _row(visit: Visit) -> str:
    if visit.header is None:
        client, what = "refused", f"<b>{_text(visit.reason)}</b>: {_text(visit.message)}"
    else:
        client = _text(text_of(visit.client))
        what = f"{_said(visit.header)}, {_count(visit.requests, 'request')}"
    cells = f"{visit.when:%H:%M:%S}", client, _text(text_of(visit.balancer)), what
    columns = zip(("time", "client", "by", ""), cells)
    shown = "".join([f'<td data-name="{name}">{cell}</td>' for name, cell in columns])
    return f'<tr class="{_text(visit.kind)}">{shown}</tr>'


def _said(header: Header) -> str:
    """What it says beside the addresses."""
    said = [f"v{header.version}"]
    if header.checksum is not None:
        said.append("CRC32C")
    for name, value in (("for", header.authority), ("endpoint", cloud.aws_vpce_id(header))):
        if value is not None:
            said.append(f"{name} {_text(value[:SHOWN_SIZE])}")
    return ", ".join(said)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _header(header: Header | None) -> str:
    return "<p>None.</p>" if header is None else _tree(header)


def _bytes(data: bytes) -> str:
    """Headers one after another; what is none, or is wrong, as bytes alone."""
    if not data:
        return "<p>None: the request alone.</p>"
    parts, at = [], 0
    while at < len(data):
        try:
            header = parse(data[at:])
        except ProxyProtocolError as error:
            parts.append(f"<pre>{data[at:].hex(' ')}</pre><p>{_text(error)}</p>")
            break
        parts.append(_tree(header))
        at += header.size
    return "".join(parts)


def _tree(header: Header) -> str:
    """Field by field, beside the bytes."""
    lines = describe(header)
    rows = []
    for at, line in enumerate(lines):
        inner = at + 1 < len(lines) and lines[at + 1].depth > line.depth
        rows.append(_line(header.raw, line.start, line.end, line.depth, line.text, inner))
    return (
        '<table class="tree"><thead><tr><th>byte</th><th>bytes</th><th>meaning</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _line(raw: bytes, start: int, end: int, depth: int, text: str, inner: bool) -> str:
    """A row; the bytes of a field that has fields of its own stand beside those."""
    where = "" if start == end else str(start) if end - start == 1 else f"{start}-{end - 1}"
    shown = "" if inner else raw[start:end].hex(" ")
    return (
        f'<tr class="depth{min(depth, 4)}"><td>{where}</td><td><code>{shown}</code></td>'
        f"<td>{_text(text)}</td></tr>"
    )


def problem(lines: Iterable[str]) -> str:
    """What an error of HTTP says."""
    body = "".join([f"<p>{_text(line)}</p>" for line in lines])
    return _SHELL.format(title="fastppv2 demo", body=f'{body}<p><a href="/">back</a></p>')
