"""What ``fastppv2 relay`` runs: connections and datagrams that are handed on upstream."""

from fastppv2._place import Place
from fastppv2.relay._datagrams import DatagramRelay
from fastppv2.relay._headers import Sender
from fastppv2.relay._streams import StreamRelay
from fastppv2.relay._upstreams import TransparencyError, check_transparency

__all__ = [
    "DatagramRelay",
    "Place",
    "Sender",
    "StreamRelay",
    "TransparencyError",
    "check_transparency",
]
