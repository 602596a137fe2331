"""Builds the C core with its Cython binding, or nothing with FASTPPV2_NO_EXTENSIONS=1."""

import os
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CCompilerError, ExecError, PlatformError

NO_COMPILER = """
fastppv2: the C core could not be compiled: {error}

Install a C compiler (Debian: gcc and python3-dev), or install without the core, which is slower:

    FASTPPV2_NO_EXTENSIONS=1 pip install fastppv2
"""


class BuildExt(build_ext):
    """Says how to do without the extension where it cannot be built."""

    def build_extension(self, ext):
        if self.compiler.compiler_type != "msvc":
            # Reading addresses is a sixth faster than at -O2; nothing but the module is exported;
            # what Python was built with may include -g, which doubles the wheel.
            ext.extra_compile_args = ["-O3", "-g0", "-fvisibility=hidden"]
        super().build_extension(ext)

    def run(self):
        try:
            super().run()
        except (CCompilerError, ExecError, PlatformError) as error:
            raise SystemExit(NO_COMPILER.format(error=error)) from error


class BuildPy(build_py):
    """Puts the C core beside the Python code, where get_include() finds it: both wheels have it."""

    def finalize_options(self):
        super().finalize_options()
        core = sorted(os.path.basename(path) for path in glob("csrc/*.[ch]"))
        include = os.path.join(self.build_lib, "fastppv2", "include")
        self.data_files = [*self.data_files, ("fastppv2", "csrc", include, core)]


def extensions():
    if os.environ.get("FASTPPV2_NO_EXTENSIONS") == "1":
        return []
    from Cython.Build import cythonize

    core = Extension(
        "fastppv2._cython",
        ["fastppv2/_cython.pyx"],
        include_dirs=["csrc"],
        depends=sorted(glob("csrc/*.[ch]")),
        define_macros=[("NDEBUG", None)],
    )
    return cythonize([core])


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt, "build_py": BuildPy})
