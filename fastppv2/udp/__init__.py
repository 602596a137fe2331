"""PROXY protocol on UDP: a header in front of every datagram::

    transport, protocol = await fastppv2.udp.create_datagram_endpoint(
        Echo, ("0.0.0.0", 5353), policy=Policy("10.0.0.7")
    )

The protocol's ``datagram_received(payload, client)`` sees the client, and the transport's
``sendto(reply, client)`` goes back through the balancer that the client came by.
"""

from fastppv2.udp._datagram import build_datagram, parse_datagram
from fastppv2.udp._endpoint import Client, Transport, create_datagram_endpoint

__all__ = [
    "Client",
    "Transport",
    "build_datagram",
    "create_datagram_endpoint",
    "parse_datagram",
]
