"""Twisted servers behind headers, each a port of one process; what they say is JSON in lines.

python twisted_server.py REACTOR DIRECTORY CERTIFICATE

The first line on standard output is where each listens. The port "control" speaks no PROXY.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

_, REACTOR, DIRECTORY, CERTIFICATE = sys.argv
HOST = "127.0.0.1"
# As systemd hands it over, the last of the descriptors from 3 on; it is looked for in an import.
ADOPTED = socket.create_server((HOST, 0))
COUNT = ADOPTED.fileno() - 2
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(COUNT))
os.environ["LISTEN_FDNAMES"] = ":".join("a" * COUNT)

from twisted.application.reactors import installReactor  # noqa: E402

installReactor(REACTOR)

from twisted.internet import reactor, ssl  # noqa: E402
from twisted.internet.address import UNIXAddress  # noqa: E402
from twisted.internet.defer import inlineCallbacks  # noqa: E402
from twisted.internet.endpoints import (  # noqa: E402
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    UNIXServerEndpoint,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.interfaces import (  # noqa: E402
    IHalfCloseableProtocol,
    IHandshakeListener,
    ISSLTransport,
    ITLSTransport,
)
from twisted.internet.protocol import Factory, Protocol  # noqa: E402
from twisted.protocols.basic import FileSender, LineReceiver  # noqa: E402
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory  # noqa: E402
from twisted.protocols.tls import TLSMemoryBIOFactory  # noqa: E402
from twisted.python import log  # noqa: E402
from zope.interface import implementer  # noqa: E402

from fastppv2 import Policy  # noqa: E402
from fastppv2.twisted import (  # noqa: E402
    ProxyProtocolFactory,
    client_endpoint,
    server_endpoint,
)

PAUSE = 0.1
CERTIFICATES = ssl.PrivateCertificate.loadPEM(Path(CERTIFICATE).read_text())
TLS = CERTIFICATES.options()
TLS_WITH_ALPN = ssl.CertificateOptions(
    privateKey=CERTIFICATES.privateKey.original,
    certificate=CERTIFICATES.original,
    acceptableProtocols=[b"h2", b"http/1.1"],
)


def plain(address):
    if isinstance(address, UNIXAddress):
        return ["UNIX", (address.name or b"").decode()]
    return [type(address).__name__, address.host, address.port]


def lowest(transport):
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def layers(transport):
    """What handles each byte from the socket to the application, and what was put in its way."""
    transport = lowest(transport)
    found = [transport.protocol]
    while isinstance(found[-1], ProtocolWrapper):
        found.append(found[-1].wrappedProtocol)
    methods = {"write", "doRead", "dataReceived", "stopReading", "startReading"}
    return [type(protocol).__name__ for protocol in found] + sorted(methods & {*vars(transport)})


class Teller(Protocol):
    """Tells what it sees, and sends back what comes."""

    handshakes = 0

    def tell(self, **more):
        transport = self.transport
        header = transport.proxy_header
        host = getattr(transport.getHost(), "host", None)
        seen = {
            "peer": plain(transport.getPeer()),
            "host": plain(transport.getHost()),
            "built": plain(self.address),
            "balancer": plain(transport.proxy_peername),
            "header": header and header.raw.hex(),
            "carried": getattr(host, "proxy_header", None) == header,
            "log": lowest(transport).logstr,
            "starts_tls": ITLSTransport.providedBy(transport),
            "tls": ISSLTransport.providedBy(transport),
            "alpn": (getattr(transport, "negotiatedProtocol", None) or b"").decode(),
            "handshakes": self.handshakes,
            "layers": layers(transport),
        }
        self.transport.write(json.dumps({**seen, **more}).encode() + b"\n")

    def connectionMade(self):  # noqa: N802
        self.tell()

    def dataReceived(self, data):  # noqa: N802
        self.transport.write(data)

    def connectionLost(self, reason):  # noqa: N802
        log.msg(f"{type(self).__name__} lost its connection: {reason.type.__name__}")


@implementer(IHandshakeListener)
class Obedient(LineReceiver, Teller):
    """Does what each line says."""

    delimiter = b"\n"

    def connectionMade(self):  # noqa: N802
        log.msg("Obedient is connected")

    def handshakeCompleted(self):  # noqa: N802
        self.handshakes += 1

    def lineReceived(self, line):  # noqa: N802
        command, *arguments = line.decode().split()
        getattr(self, command)(*arguments)

    dataReceived = LineReceiver.dataReceived  # noqa: N815

    def say(self, word):
        log.msg(word)
        self.sendLine(word.encode())

    def close(self):
        self.sendLine(b"goodbye")
        self.transport.loseConnection()

    def abort(self):
        self.transport.abortConnection()

    def half_close(self):
        self.sendLine(b"goodbye")
        self.transport.loseWriteConnection()

    def start_tls(self):
        self.sendLine(b"go ahead")
        self.transport.startTLS(TLS)

    def send(self, path):
        """By a pull producer."""
        file = open(path, "rb")  # noqa: SIM115 -- closed when all is sent
        done = FileSender().beginFileTransfer(file, self.transport)
        done.addBoth(lambda _: (file.close(), self.transport.loseConnection()))

    def push(self, count):
        """By a push producer."""
        Pusher(self.transport, int(count)).resumeProducing()


class Pusher:
    """Writes blocks until it is paused, and tells at the end how often it was."""

    def __init__(self, transport, count):
        self.transport, self.left, self.pauses, self.paused = transport, count, 0, True
        transport.registerProducer(self, True)

    def pauseProducing(self):  # noqa: N802
        self.pauses, self.paused = self.pauses + 1, True

    def resumeProducing(self):  # noqa: N802
        self.paused = False
        while self.left and not self.paused:
            self.left -= 1
            self.transport.write(bytes(65536))
        if not self.left and not self.paused:
            self.transport.unregisterProducer()
            self.transport.write(b"%d\n" % self.pauses)
            self.transport.loseConnection()

    def stopProducing(self):  # noqa: N802
        self.left = 0


class Pausing(Teller):
    """Reads nothing for a while, and then twice nothing at the same time."""

    def connectionMade(self):  # noqa: N802
        self.transport.pauseProducing()
        reactor.callLater(PAUSE, self.read)

    def read(self):
        self.transport.resumeProducing()
        self.transport.pauseProducing()
        self.transport.write(b"now\n")
        reactor.callLater(0, self.transport.resumeProducing)

    def dataReceived(self, data):  # noqa: N802
        log.msg(f"Pausing received {data!r}")
        self.transport.write(data)


class Leaving(Teller):
    def connectionMade(self):  # noqa: N802
        self.transport.write(b"goodbye\n")
        self.transport.loseConnection()

    def dataReceived(self, data):  # noqa: N802
        log.msg("Leaving received bytes after the end")


class Aborting(Leaving):
    def connectionMade(self):  # noqa: N802
        self.transport.abortConnection()


class SecureAtOnce(Obedient):
    """TLS begins with the connection, but behind the header."""

    def connectionMade(self):  # noqa: N802
        self.transport.startTLS(TLS)


@implementer(IHalfCloseableProtocol)
class Counting(Teller):
    """Says at the end of what comes how much that was."""

    received = 0

    def connectionMade(self):  # noqa: N802
        pass

    def dataReceived(self, data):  # noqa: N802
        self.received += len(data)

    def readConnectionLost(self):  # noqa: N802
        self.transport.write(b"%d\n" % self.received)
        self.transport.loseConnection()

    def writeConnectionLost(self):  # noqa: N802
        pass


class Failing(Teller):
    def connectionMade(self):  # noqa: N802
        raise ValueError("as planned")


class Serving(Factory):
    noisy = False
    running = 0

    def __init__(self, protocol):
        self.protocol = protocol

    def startFactory(self):  # noqa: N802
        self.running += 1

    def stopFactory(self):  # noqa: N802
        self.running -= 1

    def buildProtocol(self, address):  # noqa: N802
        protocol = self.protocol and super().buildProtocol(address)
        if protocol:
            protocol.address = address
        return protocol


class Control(Obedient):
    """Speaks no PROXY."""

    def lineReceived(self, line):  # noqa: N802
        request = json.loads(line)
        name = request.pop("do")
        answer = getattr(self, name)(**request)
        if name != "connect":
            self.sendLine(json.dumps(answer).encode())

    def counters(self, port):
        counters = LISTENERS[port].counters
        refused = {reason: count for reason, count in counters.refused.items() if count}
        return {**counters._asdict(), "refused": refused}

    def stop(self, port):
        PORTS[port].stopListening()
        return {}

    def started(self, port):
        return FACTORIES[port].running

    @inlineCallbacks
    def connect(self, port, header, tls):
        """From here to ``port``, where it says hello and sends back what comes.

        The answer is what is the protocol's own, and not its class's.
        """
        endpoint = TCP4ClientEndpoint(reactor, HOST, port)
        ca = ssl.Certificate.loadPEM(Path(DIRECTORY, "ca.pem").read_text())
        options = ssl.optionsForClientTLS("localhost", trustRoot=ca)
        if tls == "inside":
            endpoint = wrapClientTLS(options, endpoint)
        endpoint = client_endpoint(endpoint, header=bytes.fromhex(header))
        if tls == "outside":
            endpoint = wrapClientTLS(options, endpoint)
        protocol = yield endpoint.connect(Factory.forProtocol(Hello))
        self.sendLine(json.dumps(sorted(vars(protocol))).encode())


class Hello(Teller):
    def connectionMade(self):  # noqa: N802
        self.transport.write(b"hello")


LISTENERS = {}
FACTORIES = {}
PORTS = {}


class Watched(ProxyProtocolFactory):
    """Its listener can be asked by the name of the port."""

    def __init__(self, name, factory, policy):
        super().__init__(factory, policy=policy)
        self._name = name

    def startFactory(self):  # noqa: N802
        super().startFactory()
        LISTENERS[self._name] = self.listener


@inlineCallbacks
def listen(name, endpoint, factory):
    PORTS[name] = port = yield endpoint.listen(factory)
    FACTORIES[name] = factory
    return port


@inlineCallbacks
def listen_all():
    tcp4 = TCP4ServerEndpoint(reactor, 0, interface=HOST)
    for name, protocol, policy in [
        ("teller", Teller, Policy(HOST)),
        ("obedient", Obedient, Policy(HOST)),
        ("pausing", Pausing, Policy(HOST)),
        ("leaving", Leaving, Policy(HOST)),
        ("aborting", Aborting, Policy(HOST)),
        ("secure at once", SecureAtOnce, Policy(HOST)),
        ("counting", Counting, Policy(HOST)),
        ("failing", Failing, Policy(HOST)),
        ("failing late", Failing, Policy(HOST, header="optional", wait=PAUSE)),
        ("none", None, Policy(HOST)),
        ("untrusted", Teller, Policy("192.0.2.0/24")),
        ("passthrough", Teller, Policy("192.0.2.0/24", untrusted="passthrough")),
        ("optional", Teller, Policy(HOST, header="optional", wait=PAUSE)),
        ("optional pausing", Pausing, Policy(HOST, header="optional", wait=5)),
        ("optional counting", Counting, Policy(HOST, header="optional", wait=5)),
        ("hasty", Teller, Policy(HOST, timeout=PAUSE)),
        ("crowded", Teller, Policy(HOST, max_pending=2)),
        ("stopped", Teller, Policy(HOST)),
    ]:
        factory = Serving(protocol)
        yield listen(name, tcp4, Watched(name, factory, policy))
        FACTORIES[name] = factory
    policy = Policy([HOST, "::1", "unix"])
    obedient = Serving(Obedient)
    inside = SSL4ServerEndpoint(reactor, 0, TLS_WITH_ALPN, interface=HOST)
    yield listen("inside", server_endpoint(inside, policy=policy), obedient)
    behind = TLSMemoryBIOFactory(TLS_WITH_ALPN, False, obedient)
    yield listen("behind", server_endpoint(tcp4, policy=policy), behind)
    around = WrappingFactory(ProxyProtocolFactory(Serving(Teller), policy=policy))
    yield listen("wrapped", tcp4, around)
    files = f"privateKey={CERTIFICATE}:certKey={CERTIFICATE}:interface={HOST}"
    ours = f"fastppv2:ssl:0:{files}:trusted={HOST}"
    yield listen("string", serverFromString(reactor, ours), obedient)
    yield listen("string inside", serverFromString(reactor, f"{ours}:tls=inside"), obedient)
    path = str(Path(DIRECTORY, "socket"))
    unix = UNIXServerEndpoint(reactor, path)
    yield listen("unix", server_endpoint(unix, policy=policy), Serving(Teller))
    path = str(Path(DIRECTORY, "a=b"))
    ours = "fastppv2:unix:" + path.replace("=", "\\=") + ":trusted=unix"
    yield listen("unix string", serverFromString(reactor, ours), Serving(Teller))
    if has_inet6():
        tcp6 = TCP6ServerEndpoint(reactor, 0)  # of both families
        yield listen("inet6", server_endpoint(tcp6, policy=policy), Serving(Teller))
    ours = f"fastppv2:systemd:INET:name=a:trusted={HOST}:max_size=4096"
    yield listen("adopted", serverFromString(reactor, ours), Serving(Teller))
    yield listen("control", tcp4, Serving(Control))


def has_inet6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def say_where(_):
    where = {}
    for name, port in PORTS.items():
        address = port.getHost()
        where[name] = address.name.decode() if isinstance(address, UNIXAddress) else address.port
    print(json.dumps(where), flush=True)
    log.startLogging(sys.stdout, setStdout=False)


def give_up(failure):
    log.err(failure)
    reactor.stop()


reactor.callWhenRunning(lambda: listen_all().addCallback(say_where).addErrback(give_up))
reactor.run()
