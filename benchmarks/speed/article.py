"""The article's speeds beside ours: RTX 3090, a 7B model, 4 × 512 tokens, full checkpointing."""

from dataclasses import dataclass
from typing import Final

from app.memory.inputs import Batch, Checkpointing, MethodKind
from app.speed.estimate import SpeedEstimate
from benchmarks.speed.sweeps import speed_of

BATCH: Final = Batch(micro_batch_size=4, sequence_length=512, gradient_checkpointing=Checkpointing.FULL)
PUBLISHED: Final = {MethodKind.LORA: 850, MethodKind.QLORA: 720}
"""Tokens per second."""
JOB_TOKENS: Final = 1_536_000
"""1,000 examples of 512 tokens, three times."""
PUBLISHED_MINUTES: Final = 24


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One published speed and ours."""

    method: MethodKind
    published: int
    ours: SpeedEstimate

    @property
    def inside(self) -> bool:
        """Whether the published figure lies in our interval."""
        return self.ours.tokens_per_second_low <= self.published <= self.ours.tokens_per_second_high


def comparisons(model: str) -> tuple[Comparison, ...]:
    """Both methods, by the bundled calibration; no constant of it comes from these figures."""
    return tuple(
        Comparison(method=kind, published=published, ours=speed_of("rtx-3090", kind, BATCH, model))
        for kind, published in PUBLISHED.items()
    )


def minutes(tokens: int, tokens_per_second: float) -> float:
    """How long so many tokens take."""
    return tokens / tokens_per_second / 60


def print_article() -> None:
    """The comparison and the arithmetic."""
    print("\n# The article's speeds: RTX 3090, 7B, 4 × 512 tokens, full checkpointing")
    for model in ("mistralai/Mistral-7B-v0.1", "meta-llama/Llama-2-7b-hf"):
        for entry in comparisons(model):
            ours = entry.ours
            where = "inside" if entry.inside else "outside"
            print(
                f"{model:28} {entry.method.value:6} published {entry.published}, ours {ours.tokens_per_second:.0f} "
                f"({ours.tokens_per_second_low:.0f}-{ours.tokens_per_second_high:.0f}): {where} the interval"
            )
    speed = PUBLISHED[MethodKind.QLORA]
    print(
        f"{JOB_TOKENS / 1e6} M tokens at {speed} tokens/s are {minutes(JOB_TOKENS, speed):.1f} min, not "
        f"{PUBLISHED_MINUTES}; {PUBLISHED_MINUTES} min would be {JOB_TOKENS / PUBLISHED_MINUTES / 60:,.0f} tokens/s"
    )
