"""PROXY protocol v1 and v2: parse, build, receive and send headers."""

from fastppv2._backend import backend, build, detect, parse
from fastppv2._include import get_include
from fastppv2._spec import Command, Detected, Family, TLVType, Transport
from fastppv2.errors import (
    ChecksumError,
    HeaderTooLargeError,
    IncompleteHeaderError,
    InvalidHeaderError,
    MissingHeaderError,
    ProxyProtocolError,
)
from fastppv2.header import SSL, TLV, Header
from fastppv2.parser import Parser
from fastppv2.policy import Policy

__version__ = "0.1.0"

__all__ = [
    "SSL",
    "TLV",
    "ChecksumError",
    "Command",
    "Detected",
    "Family",
    "Header",
    "HeaderTooLargeError",
    "IncompleteHeaderError",
    "InvalidHeaderError",
    "MissingHeaderError",
    "Parser",
    "Policy",
    "ProxyProtocolError",
    "TLVType",
    "Transport",
    "backend",
    "build",
    "detect",
    "get_include",
    "parse",
]
