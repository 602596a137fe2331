"""Compiles clients.pyx, and the core into it: python setup.py build_ext --inplace"""

from Cython.Build import cythonize
from setuptools import Extension, setup

import fastppv2

clients = Extension(
    "clients",
    ["clients.pyx"],
    include_dirs=[fastppv2.get_include()],
    extra_compile_args=["-fvisibility=hidden"],  # the core is this module's own
)
setup(name="clients", ext_modules=cythonize([clients]))
