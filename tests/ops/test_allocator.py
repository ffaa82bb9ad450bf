"""What the C library holds, asked of itself in a process of its own."""

import platform
import subprocess
import sys

import pytest

ASKED = """
import ctypes, sys, threading
from app.ops.allocator import ARENAS, hold_little
if "held" in sys.argv:
    assert hold_little()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc.mallinfo2.restype = Info
libc.free(libc.malloc(8_000_000))
piece = libc.malloc(4_000_000)
by_itself = libc.mallinfo2().hblkhd >= 4_000_000
barrier = threading.Barrier(12)
def work():
    barrier.wait()
    small = [libc.malloc(2_000) for _ in range(200)]
    barrier.wait()
    for one in small:
        libc.free(one)
threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
out = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, out)
libc.fclose(out)
print(by_itself, open(sys.argv[1]).read().count("<heap nr="))
"""


def _seen(path: object, *words: str) -> tuple[bool, int]:
    asked = [sys.executable, "-c", ASKED, str(path), *words]
    by_itself, arenas = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    return by_itself == "True", int(arenas)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such settings")
def test_threads_share_few_arenas_and_large_pieces_go_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("allocator") / "info.xml"
    assert _seen(path)[0] is False, "by default a freed large piece makes the library keep the next"
    large_by_itself, arenas = _seen(path, "held")
    assert large_by_itself
    assert arenas <= 2


FRAGMENTED = """
import ctypes, os, sys, time
from app.ops.allocator import GivingBack
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
giving_back = GivingBack(every_seconds=float(sys.argv[1]))
giving_back.start()
pieces = [bytes(50_000) for _ in range(1_000)]
full = resident()
pieces = pieces[::10]
time.sleep(1)
print(full - resident())
giving_back.stop()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such settings")
@pytest.mark.parametrize(("every_seconds", "least", "most"), [(0.1, 40_000_000, 46_000_000), (60, -500_000, 8_000_000)])
def test_what_is_free_between_pieces_in_use_goes_back(every_seconds: float, least: int, most: int) -> None:
    asked = [sys.executable, "-c", FRAGMENTED, str(every_seconds)]
    given_back = int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    assert least <= given_back <= most
