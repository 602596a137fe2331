"""Where Twisted looks for the endpoint ``fastppv2:``; installed as a module of twisted.plugins."""

from fastppv2.twisted import ServerParser

parser = ServerParser()
