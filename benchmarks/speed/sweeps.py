"""What the model says of checkpointing and of QLoRA against LoRA, on cards where arithmetic bounds."""

from typing import Final

from app.memory.inputs import Adapter, Batch, Checkpointing, Cluster, Method, MethodKind, Precision, Quantization
from app.services.calibration import bundled_calibration
from app.speed.estimate import SpeedEstimate, estimate_speed
from benchmarks.speed.models import architecture_of
from benchmarks.speed.rows import devices

MODEL: Final = "mistralai/Mistral-7B-v0.1"
METHODS: Final = {
    MethodKind.FULL: Method(kind=MethodKind.FULL),
    MethodKind.LORA: Method(kind=MethodKind.LORA, adapter=Adapter(rank=16)),
    MethodKind.QLORA: Method(kind=MethodKind.QLORA, adapter=Adapter(rank=16), quantization=Quantization()),
}


def speed_of(gpu: str, kind: MethodKind, batch: Batch, model: str = MODEL) -> SpeedEstimate:
    """The bundled calibration's speed of a plain bfloat16 run on one card."""
    architecture = architecture_of(model)
    if architecture is None:
        raise KeyError(model)
    speed = estimate_speed(
        architecture, METHODS[kind], Precision(), batch, Cluster(), devices()[gpu], calibration=bundled_calibration()
    )
    if not isinstance(speed, SpeedEstimate):
        raise TypeError(speed.reason)
    return speed


def checkpointing_loss(gpu: str, kind: MethodKind, tokens: int = 8192) -> float:
    """Share of tokens per second that full checkpointing costs."""
    batch = Batch(micro_batch_size=tokens // 2048, sequence_length=2048)
    repeated = Batch(micro_batch_size=tokens // 2048, sequence_length=2048, gradient_checkpointing=Checkpointing.FULL)
    return 1 - speed_of(gpu, kind, repeated).tokens_per_second / speed_of(gpu, kind, batch).tokens_per_second


def quantised_over_plain(gpu: str, tokens: int) -> float:
    """QLoRA's tokens per second over LoRA's at so many tokens a micro-step."""
    length = min(tokens, 2048)
    batch = Batch(micro_batch_size=tokens // length, sequence_length=length, gradient_checkpointing=Checkpointing.FULL)
    quantised, plain = (speed_of(gpu, kind, batch) for kind in (MethodKind.QLORA, MethodKind.LORA))
    return quantised.tokens_per_second / plain.tokens_per_second


def print_sweeps() -> None:
    """Both, as tables."""
    print(
        "\n# What full checkpointing costs, Mistral 7B, 4 × 2,048 tokens (a quarter, a third where arithmetic bounds)"
    )
    for gpu in ("a100-80gb-sxm", "h100-sxm", "rtx-3090"):
        losses = "  ".join(f"{kind.value} {checkpointing_loss(gpu, kind):.0%}" for kind in METHODS)
        print(f"{gpu:16} {losses}")
    print("\n# QLoRA ÷ LoRA by tokens a micro-step, Mistral 7B, full checkpointing")
    sizes = (256, 512, 1024, 2048, 4096, 8192, 16384, 65536)
    for gpu in ("a100-80gb-sxm", "rtx-3090"):
        print(f"{gpu:16} " + "  ".join(f"{tokens}: {quantised_over_plain(gpu, tokens):.2f}" for tokens in sizes))
