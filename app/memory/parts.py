"""What each component is, in words, and where its formula comes from."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.memory.result import ComponentName, OverheadName
from app.messages import mark


@dataclass(frozen=True, slots=True)
class Words:
    """An explanation for a reader, and the source of the formula."""

    explanation: str
    source: str


COMPONENTS: Mapping[ComponentName, Words] = {
    ComponentName.WEIGHTS: Words(
        mark("The model's weights, counted tensor by tensor."),
        mark("transformers 5.23 modelling code; QLoRA, arXiv 2305.14314, section 3, for 4-bit formats"),
    ),
    ComponentName.QUANTISATION_STATE: Words(
        mark("Scales that turn quantised weights back into numbers."),
        mark("bitsandbytes 0.50 functional.py, quantize_4bit; QLoRA, arXiv 2305.14314, section 3"),
    ),
    ComponentName.ADAPTERS: Words(
        mark("Adapter matrices A and B of every adapted projection, and full copies of saved modules."),
        mark("LoRA, arXiv 2106.09685, section 4.1; peft 0.21 tuners/lora/layer.py"),
    ),
    ComponentName.GRADIENTS: Words(
        mark("One gradient for every number that trains."),
        mark("torch/csrc/autograd/functions/accumulate_grad.h"),
    ),
    ComponentName.OPTIMIZER_STATE: Words(
        mark("The optimizer's running averages."),
        mark("torch/optim/adam.py; bitsandbytes 0.50 optim/optimizer.py; transformers optimization.py"),
    ),
    ComponentName.ACTIVATIONS: Words(
        mark("Results of the forward pass that wait for the backward pass."),
        mark("derived operation by operation from the modelling code (app/memory/transcription)"),
    ),
    ComponentName.LOGITS: Words(
        mark("A score for every word of the vocabulary and every token, with the loss's float32 copies."),
        mark("transformers 5.23 loss/loss_utils.py; torch log_softmax and its derivative"),
    ),
    ComponentName.GATHERED_WEIGHTS: Words(
        mark("Working copies of weights: autocast's 16-bit copies and dequantised weights."),
        mark("aten/src/ATen/autocast_mode.cpp, cached_cast; bitsandbytes 0.50 autograd/_functions.py"),
    ),
    ComponentName.TEMPORARIES: Words(
        mark("Tensors that live for an instant: gradients in flight, kernel workspaces, the update's copies."),
        mark("torch tools/autograd/derivatives.yaml; torch/optim"),
    ),
    ComponentName.COMMUNICATION: Words(mark("Buffers of collective communication."), mark("torch.distributed; NCCL")),
    ComponentName.WORKSPACES: Words(
        mark("cuBLAS workspace, which the allocator counts."),
        mark("aten/src/ATen/cuda/CublasHandlePool.cpp, getChosenWorkspaceSize"),
    ),
}

OVERHEADS: Mapping[OverheadName, Words] = {
    OverheadName.ALLOCATOR_SLACK: Words(
        mark("Memory that PyTorch's caching allocator holds but cannot hand out: fragments and rounding."),
        mark("39 traced runs replayed through a simulated caching allocator: reserved ÷ allocated"),
    ),
    OverheadName.CUDA_CONTEXT: Words(
        mark("The CUDA context and loaded kernels of the process."),
        mark("what 18 processes said of themselves, by compute capability (benchmarks/accuracy/contexts.py)"),
    ),
}
