# Made by cffi: what ffi and lib hold is declared in csrc/fastppv2.h and csrc/spec.h.
from typing import Any

ffi: Any
lib: Any
