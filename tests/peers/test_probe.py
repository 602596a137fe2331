"""``fastppv2 probe`` and ``send`` against real servers; docs/peers.md has the table of verdicts."""

from __future__ import annotations

import re
import shlex

import pytest
from pages import rows
from quoted import quoted
from receivers import OURS, RECEIVERS, THEIRS, WITHOUT
from servers import IPV4, reserved_port

from fastppv2.cli import main

(COMMANDS,) = quoted("probe.md", "console")
(SAID,) = quoted("probe.md", "")
PLAIN = [line for line in COMMANDS.splitlines() if "web:8080" in line]
NGINX = "nginx, `proxy_protocol`"


def test_the_table_is_whole():
    assert set(rows("receiver")) == set(RECEIVERS)


def test_they_are_told_apart():
    """By their verdicts alone; a peer that is let through as itself sees a plain HTTP server."""
    table = rows("receiver")
    names = [*OURS, "HAProxy, `accept-proxy`", "nginx, `proxy_protocol`", "Varnish, `PROXY`"]
    assert len({tuple(table[name].values()) for name in names}) == len(names)
    assert all(table[name] == table[names[len(OURS) - 1]] for name in WITHOUT)


@pytest.mark.parametrize("name", RECEIVERS)
def test_probe(tmp_path, capsys, name):
    run, option = RECEIVERS[name]
    with reserved_port() as port, run(tmp_path, port, option):
        assert main(["probe", f"{IPV4}:{port}"]) == 0
    verdicts = re.findall(r"^  (.{20})(\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert {case.rstrip(): verdict for case, verdict in verdicts} == rows("receiver")[name]


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("options", [[], ["--v1"], ["--crc32c", "--tlv", "AUTHORITY=example.org"]])
def test_send(tmp_path, capfd, name, options):
    """Each server names the client that the header names."""
    run, option = THEIRS[name]
    ends = "192.0.2.9:56324", "198.51.100.2:443"
    with reserved_port() as port, run(tmp_path, port, option):
        assert main(["send", f"{IPV4}:{port}", *ends, *options, "--get", "/"]) == 0
    assert re.search(r"^192\.0\.2\.9(:56324)?$", capfd.readouterr().out, re.MULTILINE)


def test_what_the_page_shows(tmp_path, capsys):
    run, option = RECEIVERS[NGINX]
    with reserved_port() as port, run(tmp_path, port, option):
        assert main(["probe", f"{IPV4}:{port}"]) == 0
    assert capsys.readouterr().out.replace(f":{port}", ":8080") == SAID


@pytest.mark.parametrize("command", PLAIN)
def test_what_the_page_sends(tmp_path, capfd, command):
    run, option = RECEIVERS[NGINX]
    _, *arguments = shlex.split(command, comments=True)
    with reserved_port() as port, run(tmp_path, port, option):
        there = f"{IPV4}:{port}"
        status = main([there if word == "web:8080" else word for word in arguments])
    refused = "--bytes" in command
    assert status == refused
    assert ("HTTP/1.1 " in capfd.readouterr().out) != refused
