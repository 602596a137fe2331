"""``fastppv2 send`` and ``probe`` against real servers; docs/probe.md has the table of verdicts."""

from __future__ import annotations

import re
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from programs import Program
from servers import IPV4, haproxy, nginx, reserved_port
from tools import require_tool

from fastppv2.cli import main
from fastppv2.cli.probe import CASES

DOCUMENT = Path(__file__).parents[2] / "docs" / "probe.md"

HAPROXY = """\
frontend {name}
    mode http
    bind {host}:{port} {option}
    http-request return status 200 content-type text/plain lf-string "%[src]\\n"
"""
NGINX = """\
server {{
    listen {host}:{port} {option};
    set_real_ip_from {host};
    real_ip_header proxy_protocol;
    location / {{ return 200 "$remote_addr\\n"; }}
}}
"""
VARNISH = """\
vcl 4.1;
backend default none;
sub vcl_recv { return (synth(200)); }
sub vcl_synth { synthetic(client.ip); return (deliver); }
"""
APACHE = """\
ServerRoot {directory}
ServerName localhost
PidFile {directory}/apache.pid
ErrorLog {directory}/error.log
Listen {host}:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule remoteip_module {modules}/mod_remoteip.so
ErrorDocument 404 "%{{REMOTE_ADDR}}\\n"
RemoteIPProxyProtocol {option}
"""
MODULES = Path("/usr/lib/apache2/modules")
# An application that knows nothing of PROXY, under uvicorn on our loop.
APPLICATION = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["client"][0].encode()})
"""


@contextmanager
def haproxy_on(directory, port, option):
    section = HAPROXY.format(name="front", host=IPV4, port=port, option=option)
    with haproxy(directory, section):
        yield


@contextmanager
def nginx_on(directory, port, option):
    with nginx(directory, http=NGINX.format(host=IPV4, port=port, option=option)):
        yield


@contextmanager
def varnish_on(directory, port, option):
    vcl = directory / "default.vcl"
    vcl.write_text(VARNISH)
    command = [
        # -j: as who started it, for nobody else may read the directory
        *(require_tool("varnishd"), "-j", "none", "-F", "-n", directory / "varnish", "-f", vcl),
        *("-a", f"{IPV4}:{port},{option}", "-s", "malloc,16m"),
    ]
    with closing(Program(command, directory / "varnish.log", port)) as program:
        program.connect().close()
        yield


@contextmanager
def apache_on(directory, port, option):
    config = directory / "apache.conf"
    config.write_text(
        APACHE.format(directory=directory, host=IPV4, port=port, modules=MODULES, option=option)
    )
    command = [require_tool("apache2"), "-f", config, "-DFOREGROUND"]
    with closing(Program(command, directory / "apache.log", port)) as program:
        program.connect().close()
        yield


@contextmanager
def ours_on(directory, port, option):
    (directory / "application.py").write_text(APPLICATION)
    command = [
        *(sys.executable, "-m", "uvicorn", "application:app", "--port", str(port)),
        *("--loop", "fastppv2.asyncio:loop_factory", "--lifespan", "off"),
    ]
    env = dict(setting.split("=") for setting in option.split())
    program = Program(command, directory / "uvicorn.log", port, env=env, cwd=directory)
    with closing(program):
        program.wait_until_said("Uvicorn running on")
        yield


SERVERS = {
    "fastppv2": (ours_on, f"FASTPPV2_TRUSTED={IPV4}"),
    "fastppv2, `versions={2}`": (ours_on, f"FASTPPV2_TRUSTED={IPV4} FASTPPV2_VERSIONS=2"),
    "fastppv2, `require_checksum=True`": (
        ours_on,
        f"FASTPPV2_TRUSTED={IPV4} FASTPPV2_REQUIRE_CHECKSUM=1",
    ),
    'fastppv2, `header="optional"`': (
        ours_on,
        f"FASTPPV2_TRUSTED={IPV4} FASTPPV2_HEADER=optional FASTPPV2_WAIT=1",
    ),
    "fastppv2, from a peer that is not trusted": (ours_on, "FASTPPV2_TRUSTED=192.0.2.1"),
    'the same, `untrusted="passthrough"`': (
        ours_on,
        "FASTPPV2_TRUSTED=192.0.2.1 FASTPPV2_UNTRUSTED=passthrough",
    ),
    "HAProxy, `accept-proxy`": (haproxy_on, "accept-proxy"),
    "nginx, `proxy_protocol`": (nginx_on, "proxy_protocol"),
    "Varnish, `PROXY`": (varnish_on, "PROXY"),
    "Apache, `RemoteIPProxyProtocol`": (apache_on, "On"),
    "HAProxy": (haproxy_on, ""),
    "nginx": (nginx_on, ""),
    "Varnish": (varnish_on, "HTTP"),
    "Apache": (apache_on, "Off"),
}


def table() -> dict[str, dict[str, str]]:
    """The verdicts as docs/probe.md has them, by server and case."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("| ")
    ]
    head, *rows = rows
    assert head[1:] == [case.name for case in CASES]
    return {row[0]: dict(zip(head[1:], row[1:])) for row in rows}


def test_the_table_is_whole():
    assert set(SERVERS) <= set(table())


@pytest.mark.parametrize("name", SERVERS)
def test_probe(tmp_path, capsys, name):
    run, option = SERVERS[name]
    with reserved_port() as port, run(tmp_path, port, option):
        assert main(["probe", f"{IPV4}:{port}"]) == 0
    rows = re.findall(r"^  (.{20})(\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert {case.rstrip(): verdict for case, verdict in rows} == table()[name]


@pytest.mark.parametrize(
    "name",
    [name for name in SERVERS if "`" in name and "fastppv2" not in name and "same" not in name],
)
@pytest.mark.parametrize("options", [[], ["--v1"], ["--crc32c", "--tlv", "AUTHORITY=example.org"]])
def test_send(tmp_path, capfd, name, options):
    """Each server names the client that the header names."""
    run, option = SERVERS[name]
    ends = "192.0.2.9:56324", "198.51.100.2:443"
    with reserved_port() as port, run(tmp_path, port, option):
        assert main(["send", f"{IPV4}:{port}", *ends, *options, "--get", "/"]) == 0
    assert re.search(r"^192\.0\.2\.9$", capfd.readouterr().out, re.MULTILINE)
