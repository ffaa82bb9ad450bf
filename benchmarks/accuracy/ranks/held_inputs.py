"""What FSDP holds of frozen layers under a reentrant checkpoint: ``python -m benchmarks.accuracy.ranks.held_inputs``.

Two processes train nothing but a head over frozen layers, each an FSDP unit, and count at the end of backward how many
tensors as large as the layers' input still live. It makes a difference whether the checkpoint repeats the unit
(Transformers 4 until it put the checkpoint inside the layer) or the unit the checkpoint
(``GradientCheckpointingLayer``).
"""

import gc
import os
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.utils.checkpoint import checkpoint

LAYERS: Final = 6
TOKENS, WIDTH = 4096, 64
PORT: Final = 29790


class Layer(nn.Module):  # type: ignore[misc]
    """A frozen residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, stream: Any) -> Any:
        return stream + torch.sin(self.linear(stream))


class Checkpointed(nn.Module):  # type: ignore[misc]
    """A block that repeats itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = Layer()

    def forward(self, stream: Any) -> Any:
        return checkpoint(self.layer, stream, use_reentrant=True)


class Model(nn.Module):  # type: ignore[misc]
    """Frozen blocks and a head that trains."""

    def __init__(self, *, inside: bool) -> None:
        super().__init__()
        self.inside = inside
        self.layers = nn.ModuleList((Checkpointed if inside else Layer)() for _ in range(LAYERS))
        self.layers.requires_grad_(False)
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, stream: Any) -> Any:
        for layer in self.layers:
            stream = layer(stream) if self.inside else checkpoint(layer, stream, use_reentrant=True)
        return self.head(stream).sum()


def alive() -> int:
    """Storages of tensors as large as the stream, gradients among them."""
    found = set()
    for item in gc.get_objects():
        if type(item) is torch.Tensor and item.shape == (TOKENS, WIDTH):
            found.add(item.untyped_storage().data_ptr())
            if item.is_leaf and item.grad is not None:
                found.add(item.grad.untyped_storage().data_ptr())
    return len(found)


def run_rank(rank: int, world_size: int) -> None:
    """Count on one rank, both ways."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(PORT)}
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    torch.set_num_threads(1)
    for inside in (False, True):
        policy = ModuleWrapPolicy({Checkpointed if inside else Layer})
        model = FullyShardedDataParallel(
            Model(inside=inside), auto_wrap_policy=policy, device_id=torch.device("cpu"), use_orig_params=True
        )
        stream = torch.zeros(TOKENS, WIDTH, requires_grad=True)
        counted: list[int] = []
        stream.register_hook(lambda _, counted=counted: counted.append(alive()))
        model(stream).backward()
        if rank == 0:
            words = "the unit repeats the checkpoint" if inside else "the checkpoint repeats the unit"
            print(f"PyTorch {torch.__version__}, {LAYERS} layers, {words}: {counted[0]} tensors live")
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.multiprocessing.spawn(run_rank, args=(2,), nprocs=2)
