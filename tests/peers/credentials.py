"""The certificates of a TLS frontend and of its clients, made afresh for each run."""

from __future__ import annotations

import ssl
from typing import NamedTuple

import trustme

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

SERVER_NAME = "frontend.example"
TRUSTED_CN = "Zoë of the tests"  # beyond ASCII: the header carries it in UTF-8
UNTRUSTED_CN = "Mallory"


class TLSClient(NamedTuple):
    """How a client connects: TLS version, the common name on its certificate, if it has one."""

    version: ssl.TLSVersion
    cn: str | None
    resumes: bool = False


class Credentials:
    """A frontend's certificate, and contexts for the clients that connect to it."""

    def __init__(self, directory: Path) -> None:
        ours, another = trustme.CA(), trustme.CA()
        self.certificate = directory / "frontend.pem"
        self.ca = directory / "ca.pem"
        frontend = ours.issue_cert(SERVER_NAME)
        frontend.private_key_and_cert_chain_pem.write_to_path(str(self.certificate))
        ours.cert_pem.write_to_path(str(self.ca))
        self._clients = {
            TRUSTED_CN: ours.issue_cert("client.example", common_name=TRUSTED_CN),
            UNTRUSTED_CN: another.issue_cert("client.example", common_name=UNTRUSTED_CN),
        }

    def context(self, client: TLSClient) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.minimum_version = context.maximum_version = client.version
        context.set_alpn_protocols(["h2"])
        if client.cn is not None:
            self._clients[client.cn].configure_cert(context)
        return context
