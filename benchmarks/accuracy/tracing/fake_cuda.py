"""Load PyTorch so that fake CUDA tensors work in autograd; every module of the harness takes `torch` from here.

A device guard can only be registered while PyTorch's libraries are being loaded, so this module loads them by hand,
then the guard, and imports PyTorch last. Importing `torch` before this module is an error.
"""

import ctypes
import hashlib
import importlib.util
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

__all__ = ["torch"]

_SOURCE = Path(__file__).with_name("cuda_guard.cpp")
# The order of PyTorch's own __init__: each library needs the symbols of those before it.
_TORCH_LIBRARIES = ("libtorch_global_deps.so", "libgomp.so.1", "libc10.so", "libtorch_cpu.so")


def _torch_folder() -> Path:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("tracing needs the packages of requirements-trace.txt (PyTorch's CPU build)")
    return Path(spec.origin).parent


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "vram-fit" / "tracing"


def _built_guard(torch_folder: Path) -> Path:
    """Path of the compiled guard, built at first use and once per PyTorch version and source text."""
    fingerprint = hashlib.sha256(_SOURCE.read_bytes() + version("torch").encode()).hexdigest()[:16]
    library = _cache_folder() / f"cuda_guard_{fingerprint}.so"
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    unfinished = library.with_suffix(f".{os.getpid()}.tmp")
    subprocess.run(
        ["g++", "-std=c++20", "-O1", "-fPIC", "-shared", f"-I{torch_folder / 'include'}", "-o", str(unfinished),
         str(_SOURCE), f"-L{torch_folder / 'lib'}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{torch_folder / 'lib'}"],
        check=True,
    )  # fmt: skip
    unfinished.replace(library)
    return library


def _load() -> None:
    if "torch" in sys.modules:
        raise ImportError("import benchmarks.accuracy.tracing.fake_cuda before torch")
    folder = _torch_folder()
    guard = _built_guard(folder)
    for name in _TORCH_LIBRARIES:
        library = folder / "lib" / name
        if library.exists():
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(guard), mode=ctypes.RTLD_GLOBAL)


_load()

import torch  # noqa: E402
