# cython: language_level=3
"""What a call from Python into compiled code costs, whatever it does there."""

cimport cython


def f(x):
    pass


@cython.binding(False)
def unbound(x):
    """Not Cython's default, but how fastppv2 is compiled: a plain built-in function."""
    pass
