"""The runs: strategies × methods × ranks of one tiny model, as the requests that name them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

CONFIG: Final[Mapping[str, Any]] = {
    "model_type": "llama",
    "vocab_size": 1003,
    "hidden_size": 96,
    "intermediate_size": 200,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
}
"""Sizes that few numbers of ranks divide, so that padding shows."""

RANKS: Final = (2, 3, 4)
LORA_RANK: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class RankCase:
    """One run, in the fields of a request."""

    method: str
    precision: str
    strategy: str
    num_gpus: int

    @property
    def request(self) -> dict[str, Any]:
        """The fields of the request; the model is given by its configuration."""
        request: dict[str, Any] = {
            "method": self.method,
            "precision": self.precision,
            "strategy": self.strategy,
            "num_gpus": self.num_gpus,
            "optimizer": "adamw_torch",
            "micro_batch_size": 1,
            "sequence_length": 16,
        }
        if self.method != "full":
            request |= {"lora_rank": LORA_RANK, "lora_dropout": 0, "lora_target_modules": "attention"}
        return request


def cases() -> Iterator[RankCase]:
    """Every run, those of one strategy together."""
    for strategy in ("ddp", "fsdp", "fsdp2"):
        for num_gpus in RANKS:
            for method in ("full", "lora", "qlora"):
                for precision in ("bf16", "bf16-mixed"):
                    if (method, precision) != ("qlora", "bf16"):
                        yield RankCase(method=method, precision=precision, strategy=strategy, num_gpus=num_gpus)
