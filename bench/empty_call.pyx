# cython: language_level=3
"""What a call from Python into compiled code costs, whatever it does there."""


def f(x):
    pass
