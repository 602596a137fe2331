"""What docs/senders shows for clouds, by their own programs and schemas: no account is needed."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qsl

import pytest
from quoted import quoted
from tools import require_module, require_tool

TIMEOUT = 60  # seconds


class AWS(HTTPServer):
    """An endpoint of AWS's query API: it keeps what it is asked for, and says yes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests = []


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = dict(parse_qsl(body, strict_parsing=True))
        self.server.requests.append(asked)
        name = asked["Action"]
        answer = f"<{name}Response><{name}Result/></{name}Response>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@contextmanager
def aws():
    with AWS() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked_for(page, directory):
    """What the commands of the page ask AWS for; whatever AWS would refuse by itself, they do."""
    program = require_tool("aws")
    environment = {
        **os.environ,
        "HOME": str(directory),
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    (block,) = quoted(page, "console")
    with aws() as server:
        options = ["--no-sign-request", "--endpoint-url", f"http://127.0.0.1:{server.server_port}"]
        for line in block.replace("\\\n", "").splitlines():
            name, *words = shlex.split(line)
            assert name == "aws"
            command = [program, *words, *options]
            subprocess.run(command, env=environment, check=True, timeout=TIMEOUT)
    for request in server.requests:
        del request["Version"]
    return server.requests


def test_network_load_balancer(tmp_path):
    assert asked_for("senders/aws-nlb.md", tmp_path) == [
        {
            "Action": "ModifyTargetGroupAttributes",
            "TargetGroupArn": "ARN",
            "Attributes.member.1.Key": "proxy_protocol_v2.enabled",
            "Attributes.member.1.Value": "true",
            "Attributes.member.2.Key": "preserve_client_ip.enabled",
            "Attributes.member.2.Value": "false",
        }
    ]


def test_classic_load_balancer(tmp_path):
    assert asked_for("senders/aws-classic.md", tmp_path) == [
        {
            "Action": "CreateLoadBalancerPolicy",
            "LoadBalancerName": "NAME",
            "PolicyName": "proxy",
            "PolicyTypeName": "ProxyProtocolPolicyType",
            "PolicyAttributes.member.1.AttributeName": "ProxyProtocol",
            "PolicyAttributes.member.1.AttributeValue": "true",
        },
        {
            "Action": "SetLoadBalancerPoliciesForBackendServer",
            "LoadBalancerName": "NAME",
            "InstancePort": "8000",
            "PolicyNames.member.1": "proxy",
        },
    ]


def test_kubernetes():
    """By Kubernetes's own schema, which knows each field."""
    require_module("kubernetes_validate")
    import yaml
    from kubernetes_validate import ValidationError, latest_version, validate

    (block,) = quoted("senders/kubernetes.md", "yaml")
    service = yaml.safe_load(block)
    validate(service, latest_version(), strict=True)
    service["spec"]["ports"][0]["targetport"] = 1
    with pytest.raises(ValidationError, match="targetport"):
        validate(service, latest_version(), strict=True)
