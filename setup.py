"""Builds the C core with its binding for this Python, or nothing with FASTPPV2_NO_EXTENSIONS=1.

CPython gets the one in Cython, and what asyncio's connections take, with FASTPPV2_CFFI=1 the one by
cffi as well; PyPy the one by cffi.
"""

import os
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CCompilerError, ExecError, PlatformError

NO_COMPILER = """
fastppv2: the C core could not be compiled: {error}

Install a C compiler (Debian: gcc and {headers}), or install without the core, which is slower:

    FASTPPV2_NO_EXTENSIONS=1 pip install fastppv2
"""
CPYTHON = sys.implementation.name == "cpython"
EXTENSIONS = os.environ.get("FASTPPV2_NO_EXTENSIONS") != "1"
CFFI = EXTENSIONS and (not CPYTHON or os.environ.get("FASTPPV2_CFFI") == "1")
CORE = {
    "include_dirs": ["csrc"],
    "depends": sorted(glob("csrc/*.[ch]")),
    "define_macros": [("NDEBUG", None)],
}
PLUGIN = "fastppv2/twisted/plugins/fastppv2_endpoint.py"
PLUGINS = os.path.join("twisted", "plugins")
# Of each header of the core, what stands between this line and the next directive.
DECLARATIONS = "/* Declarations, up to the next directive; cffi reads them as they stand. */\n"


class CFFIExtension(Extension):
    """The core's own declarations for Python; its C source is written when it is built."""

    def write_source(self, directory):
        from cffi import FFI

        ffi = FFI()
        for header in ("csrc/spec.h", "csrc/fastppv2.h"):
            _, declarations = Path(header).read_text().split(DECLARATIONS)
            ffi.cdef(declarations.partition("\n#")[0])
        ffi.set_source(self.name, '#include "fastppv2_all.h"')
        Path(directory).mkdir(parents=True, exist_ok=True)
        self.sources = [str(Path(directory, f"{self.name}.c"))]
        ffi.emit_c_code(self.sources[0])


class BuildExt(build_ext):
    """Says how to do without the extensions where they cannot be built."""

    def build_extension(self, ext):
        if isinstance(ext, CFFIExtension):
            ext.write_source(self.build_temp)
        if self.compiler.compiler_type != "msvc":
            # Reading addresses is a sixth faster than at -O2, and what is without the core no
            # faster, but larger; where functions lie in the lines of the cache would make a call
            # some percent slower by luck; nothing but the module is exported; what Python was built
            # with may include -g, which doubles the wheel, and names of what is not exported are a
            # tenth.
            level = ["-O3", "-falign-functions=64"] if ext.depends else ["-O2"]
            ext.extra_compile_args = [*level, "-g0", "-fvisibility=hidden", "-fno-plt"]
            if sys.platform == "linux":
                ext.extra_link_args = ["-s"]
        super().build_extension(ext)

    def run(self):
        try:
            super().run()
        except (CCompilerError, ExecError, PlatformError) as error:
            headers = "python3-dev" if CPYTHON else "pypy3-dev"
            raise SystemExit(NO_COMPILER.format(error=error, headers=headers)) from error


class BuildPy(build_py):
    """Puts into every wheel what is found by its place alone.

    The C core beside the Python code, where get_include() finds it, and the plugin for Twisted,
    which looks for it in ``twisted/plugins`` of each directory in ``sys.path``.
    """

    def finalize_options(self):
        super().finalize_options()
        core = sorted(os.path.basename(path) for path in glob("csrc/*.[ch]"))
        include = os.path.join(self.build_lib, "fastppv2", "include")
        plugins = os.path.join(self.build_lib, PLUGINS)
        self.data_files = [
            *self.data_files,
            ("fastppv2", "csrc", include, core),
            ("fastppv2", os.path.dirname(PLUGIN), plugins, [os.path.basename(PLUGIN)]),
        ]

    def run(self):
        super().run()
        if self.editable_mode:
            # All else is in the tree, which has no place of that name.
            plugins = os.path.join(self.get_finalized_command("install").install_lib, PLUGINS)
            self.mkpath(plugins)
            self.copy_file(PLUGIN, plugins)


def extensions():
    found = []
    if EXTENSIONS and CPYTHON:
        from Cython.Build import cythonize

        core = Extension("fastppv2._cython", ["fastppv2/_cython.pyx"], **CORE)
        asyncio = Extension("fastppv2.asyncio._cython", ["fastppv2/asyncio/_cython.pyx"])
        found += cythonize([core, asyncio])
    if CFFI:
        found.append(CFFIExtension("fastppv2._cffi_core", [], **CORE))
    return found


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy},
    # PyPy has cffi of its own.
    setup_requires=["cffi>=1.15"] if CFFI and CPYTHON else [],
)
