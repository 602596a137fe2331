"""Web servers that take a header, or do not: each answers with the client that it sees.

That is host:port; Apache says the host alone, for it keeps the port of who connected. A server here
is a context manager that is given a directory for its files, the port it is to listen on, and its
own option about PROXY.
"""

from __future__ import annotations

import sys
from contextlib import closing, contextmanager

from programs import Program
from servers import APACHE_MODULES, IPV4, apache, caddy, haproxy, nginx, varnish

HAPROXY = """\
frontend front
    mode http
    bind {host}:{port} {option}
    http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port]\\n"
"""
NGINX = """\
server {{
    listen {host}:{port} {option};
    set_real_ip_from {host};
    real_ip_header proxy_protocol;
    location / {{ return 200 "$remote_addr:$remote_port\\n"; }}
}}
"""
VARNISH = """\
vcl 4.1;
import std;
backend default none;
sub vcl_recv { return (synth(200)); }
sub vcl_synth {
    synthetic(client.ip + ":" + std.port(client.ip) + {"
"});
    return (deliver);
}
"""
APACHE = """\
LoadModule remoteip_module {modules}/mod_remoteip.so
ErrorDocument 404 "%{{REMOTE_ADDR}}\\n"
RemoteIPProxyProtocol {option}
"""
CADDY = """\
http://:{port} {{
    bind {host}
    respond "{{remote_host}}:{{remote_port}}
"
}}
"""
CADDY_WRAPPERS = """\
servers {{
        listener_wrappers {{
            proxy_protocol {{
                {option}
            }}
        }}
    }}
"""
# An application that knows nothing of PROXY, under uvicorn on our loop.
APPLICATION = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        client = "%s:%d\\n" % scope["client"]
        await send({"type": "http.response.body", "body": client.encode()})
"""


@contextmanager
def haproxy_on(directory, port, option):
    with haproxy(directory, HAPROXY.format(host=IPV4, port=port, option=option)):
        yield


@contextmanager
def nginx_on(directory, port, option):
    with nginx(directory, http=NGINX.format(host=IPV4, port=port, option=option)):
        yield


@contextmanager
def varnish_on(directory, port, option):
    with varnish(directory, VARNISH, [f"{IPV4}:{port},{option}"]):
        yield


@contextmanager
def apache_on(directory, port, option):
    section = APACHE.format(modules=APACHE_MODULES, option=option)
    with apache(directory, [(IPV4, port)], section):
        yield


@contextmanager
def caddy_on(directory, port, option):
    options = CADDY_WRAPPERS.format(option=option) if option else ""
    with caddy(directory, CADDY.format(host=IPV4, port=port), options):
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


OURS = {
    "fastppv2": f"FASTPPV2_TRUSTED={IPV4}",
    "fastppv2, `versions={2}`": f"FASTPPV2_TRUSTED={IPV4} FASTPPV2_VERSIONS=2",
    "fastppv2, `require_checksum=True`": f"FASTPPV2_TRUSTED={IPV4} FASTPPV2_REQUIRE_CHECKSUM=1",
    'fastppv2, `header="optional"`': (
        f"FASTPPV2_TRUSTED={IPV4} FASTPPV2_HEADER=optional FASTPPV2_WAIT=1"
    ),
    "fastppv2, from a peer that is not trusted": "FASTPPV2_TRUSTED=192.0.2.1",
    'the same, `untrusted="passthrough"`': (
        "FASTPPV2_TRUSTED=192.0.2.1 FASTPPV2_UNTRUSTED=passthrough"
    ),
}
THEIRS = {
    "HAProxy, `accept-proxy`": (haproxy_on, "accept-proxy"),
    "nginx, `proxy_protocol`": (nginx_on, "proxy_protocol"),
    "Varnish, `PROXY`": (varnish_on, "PROXY"),
    "Apache, `RemoteIPProxyProtocol`": (apache_on, "On"),
    "Caddy, `proxy_protocol`, `allow`": (caddy_on, f"allow {IPV4}/32"),
    "Caddy, `fallback_policy require`": (caddy_on, "fallback_policy require"),
}
WITHOUT = {
    "HAProxy": (haproxy_on, ""),
    "nginx": (nginx_on, ""),
    "Varnish": (varnish_on, "HTTP"),
    "Apache": (apache_on, "Off"),
    "Caddy": (caddy_on, ""),
}
RECEIVERS = {
    **{name: (ours_on, option) for name, option in OURS.items()},
    **THEIRS,
    **WITHOUT,
}
