"""Units used throughout: bytes are ``int``; GB is 10⁹ bytes and GiB is 2³⁰ bytes."""

from typing import Final

KIB: Final = 2**10
MIB: Final = 2**20
GIB: Final = 2**30
GB: Final = 10**9

ALLOCATION_BLOCK_BYTES: Final = 512
"""PyTorch's CUDA caching allocator rounds each allocation up to this
(``kMinBlockSize`` in ``c10/cuda/CUDACachingAllocator.h``)."""


def round_to_block(size_bytes: int) -> int:
    """Round a tensor's size in bytes up to the allocator's 512-byte block."""
    return -(-size_bytes // ALLOCATION_BLOCK_BYTES) * ALLOCATION_BLOCK_BYTES
