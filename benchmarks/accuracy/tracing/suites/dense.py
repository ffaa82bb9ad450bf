"""Dense models on one GPU: every option of a request on the families that people fine-tune most."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.suites.shapes import shape

SMALL = (
    "llama-3.2-1b", "tinyllama-1.1b-chat-v1.0", "smollm2-360m", "qwen2.5-0.5b", "qwen3-0.6b", "gemma-2b",
    "gemma-2-2b", "gemma-3-270m", "gemma-3-1b", "phi-3-mini-4k",
)  # fmt: skip
_METHODS_AND_PRECISIONS = (
    ("full", "bf16"), ("full", "bf16-mixed"), ("lora", "bf16"), ("lora", "bf16-mixed"), ("qlora", "bf16-mixed"),
)  # fmt: skip
_LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def dense_cases() -> Sequence[TraceCase]:
    """All dense cases, without repeats; the first forty touch every method, precision and family once."""
    groups = (
        _first_look(), _families(), _sequence_and_batch(), _adapters(), _quantisation(), _optimizers(), _attention(),
        _accumulation_and_logits(), _precisions(), _shapes(), _larger_models(), _mixed(), _int8(),
    )  # fmt: skip
    unique: dict[str, TraceCase] = {}
    for group in groups:
        for case in group:
            unique.setdefault(case.case_id, case)
    return list(unique.values())


def _case(tag: str, slug: str, *, config: Mapping[str, Any] | None = None, **fields: Any) -> TraceCase:
    config = config or shape(slug)
    if config["model_type"] == "gemma2":  # soft-capped scores exist only in the eager implementation
        fields.setdefault("attention", "eager")
    return TraceCase(config=config, fields=fields, name=slug, tag=tag)


def _first_look() -> Iterator[TraceCase]:
    for number, slug in enumerate(SMALL):
        for offset in range(4):
            method, precision = _METHODS_AND_PRECISIONS[(number + offset) % len(_METHODS_AND_PRECISIONS)]
            yield _case(
                "first", slug, method=method, precision=precision, micro_batch_size=2, sequence_length=1024,
                gradient_checkpointing="full" if (number + offset) % 2 else "none",
                lora_target_modules="all-linear" if offset % 2 else "attention",
                upcast_non_quantized=number % 2 == 0,
            )  # fmt: skip


def _families() -> Iterator[TraceCase]:
    for slug in ("qwen2.5-1.5b", "qwen3-1.7b", "gemma-7b", "falcon-3-1b", "phi-4-mini-3.8b", "mistral-7b-v0.3"):
        for method, precision in (("full", "bf16"), ("lora", "bf16-mixed"), ("qlora", "bf16")):
            yield _case(
                "family", slug, method=method, precision=precision, micro_batch_size=1, sequence_length=768,
                lora_target_modules="all-linear", gradient_checkpointing="none" if method == "lora" else "full",
            )  # fmt: skip


def _sequence_and_batch() -> Iterator[TraceCase]:
    for tokens in (128, 512, 2048, 8192):
        for checkpointing in ("none", "full"):
            yield _case("sequence", "qwen3-0.6b", method="lora", precision="bf16-mixed", micro_batch_size=1,
                        sequence_length=tokens, gradient_checkpointing=checkpointing)  # fmt: skip
        yield _case("sequence", "smollm2-360m", method="full", micro_batch_size=1, sequence_length=tokens)
    for batch in (1, 3, 8, 16):
        yield _case("batch", "llama-3.2-1b", method="qlora", precision="bf16-mixed", micro_batch_size=batch,
                    sequence_length=256, lora_target_modules="all-linear", upcast_non_quantized=True)  # fmt: skip
        yield _case("batch", "tinyllama-1.1b-chat-v1.0", method="full", precision="bf16-mixed", micro_batch_size=batch,
                    sequence_length=384, gradient_checkpointing="full")  # fmt: skip
    yield _case("odd lengths", "qwen2.5-0.5b", method="lora", micro_batch_size=3, sequence_length=1001)
    yield _case("odd lengths", "llama-3.2-1b", method="full", micro_batch_size=5, sequence_length=333)


def _adapters() -> Iterator[TraceCase]:
    for rank in (1, 4, 64, 256):
        for targets in ("attention", "all-linear", "qv"):
            yield _case("rank", "qwen2.5-0.5b", method="lora", precision="bf16-mixed", lora_rank=rank,
                        lora_target_modules=targets, micro_batch_size=2)  # fmt: skip
    for names in (["q_proj"], ["o_proj"], ["down_proj"], ["gate_proj", "up_proj"], ["q_proj", "k_proj", "up_proj"]):
        for precision, dtype in (("bf16", "bfloat16"), ("bf16", "float32"), ("bf16-mixed", "float32")):
            yield _case("targets", "tinyllama-1.1b-chat-v1.0", method="lora", precision=precision, adapter_dtype=dtype,
                        lora_target_modules=names, micro_batch_size=2)  # fmt: skip
    for method, precision in (("lora", "bf16"), ("lora", "bf16-mixed"), ("qlora", "bf16-mixed")):
        for checkpointing in ("none", "full"):
            common: dict[str, Any] = {"method": method, "precision": precision, "gradient_checkpointing": checkpointing}
            yield _case("dropout", "qwen3-0.6b", lora_dropout=0.1, lora_target_modules="all-linear", **common)
            yield _case("dora", "tinyllama-1.1b-chat-v1.0", use_dora=True, lora_target_modules="all-linear",
                        micro_batch_size=2, **common)  # fmt: skip
    yield _case("dora", "qwen2.5-0.5b", method="lora", use_dora=True, lora_dropout=0.05, micro_batch_size=2)
    for saved in (["lm_head"], ["embed_tokens", "lm_head"], ["embed_tokens"]):
        for precision in ("bf16", "bf16-mixed"):
            yield _case("modules to save", "tinyllama-1.1b-chat-v1.0", method="lora", precision=precision,
                        modules_to_save=saved, micro_batch_size=2, gradient_checkpointing="full")  # fmt: skip
    yield _case("modules to save", "tinyllama-1.1b-chat-v1.0", method="qlora", precision="bf16-mixed",
                modules_to_save=["lm_head"], micro_batch_size=2)  # fmt: skip


def _quantisation() -> Iterator[TraceCase]:
    for upcast in (False, True):
        for nested in (False, True):
            for checkpointing in ("none", "full"):
                yield _case("quantisation", "qwen3-1.7b", method="qlora", precision="bf16-mixed", micro_batch_size=1,
                            upcast_non_quantized=upcast, double_quantization=nested, lora_target_modules="all-linear",
                            gradient_checkpointing=checkpointing)  # fmt: skip
    for kind in ("nf4", "fp4"):
        yield _case("quantisation", "smollm2-360m", method="qlora", quantization=kind, sequence_length=256)
    for dropout in (0.0, 0.05):
        for targets in ("qv", "attention", "all-linear"):
            yield _case("quantisation", "tinyllama-1.1b-chat-v1.0", method="qlora", precision="bf16-mixed",
                        upcast_non_quantized=True, lora_dropout=dropout, lora_target_modules=targets,
                        micro_batch_size=2)  # fmt: skip
    yield _case("quantisation", "llama-3.2-1b", method="qlora", precision="bf16", upcast_non_quantized=True,
                micro_batch_size=1, sequence_length=512)  # fmt: skip
    # Few rows: the fused 4-bit kernel reads the weight without dequantising it.
    yield _case("quantisation", "qwen2.5-0.5b", method="qlora", micro_batch_size=1, sequence_length=128)


def _int8() -> Iterator[TraceCase]:
    for precision in ("bf16", "bf16-mixed", "fp16-mixed"):
        for checkpointing in ("none", "full"):
            for targets in ("attention", "all-linear"):
                yield _case("int8", "tinyllama-1.1b-chat-v1.0", method="qlora", quantization="int8",
                            precision=precision, gradient_checkpointing=checkpointing, micro_batch_size=2,
                            lora_target_modules=targets)  # fmt: skip
    for slug in ("qwen3-0.6b", "llama-3-8b"):
        yield _case("int8", slug, method="qlora", quantization="int8", precision="bf16-mixed", micro_batch_size=2,
                    sequence_length=1024, gradient_checkpointing="full")  # fmt: skip
    yield _case("int8", "qwen2.5-0.5b", method="qlora", quantization="int8", precision="bf16-mixed",
                upcast_non_quantized=True, micro_batch_size=2, gradient_checkpointing="full")  # fmt: skip


def _optimizers() -> Iterator[TraceCase]:
    names = (
        "adamw_torch_fused", "adamw_torch", "adamw_8bit", "adafactor", "sgd", "lion_8bit", "lion_32bit", "adagrad",
        "rmsprop",
    )  # fmt: skip
    for optimizer in names:
        for precision in ("bf16", "bf16-mixed"):
            yield _case("optimizer", "smollm2-135m", method="full", precision=precision, optimizer=optimizer,
                        micro_batch_size=1, sequence_length=256)  # fmt: skip
        if optimizer in ("adamw_torch", "adamw_8bit", "adafactor"):
            yield _case("optimizer", "tinyllama-1.1b-chat-v1.0", method="lora", precision="bf16-mixed",
                        optimizer=optimizer, lora_rank=128, lora_target_modules="all-linear", micro_batch_size=1,
                        sequence_length=256, gradient_checkpointing="full")  # fmt: skip
    for slug in ("smollm2-135m", "qwen2.5-0.5b"):
        yield _case("optimizer", slug, method="full", optimizer="adamw_8bit", embedding_state_32bit=True,
                    micro_batch_size=1)  # fmt: skip
    for rank in (1, 2):  # tensors below 4,096 elements keep a 32-bit state
        yield _case("optimizer", "smollm2-360m", method="lora", optimizer="adamw_8bit", lora_rank=rank)
    for optimizer in ("adamw_torch_fused", "adamw_torch"):
        yield _case("no clipping", "qwen2.5-0.5b", method="full", optimizer=optimizer, max_grad_norm=0.0,
                    micro_batch_size=1, gradient_checkpointing="full")  # fmt: skip


def _attention() -> Iterator[TraceCase]:
    for slug in ("qwen2.5-0.5b", "phi-3-mini-4k", "gemma-3-270m"):
        for checkpointing in ("none", "full"):
            common: dict[str, Any] = {
                "micro_batch_size": 2,
                "sequence_length": 1024,
                "gradient_checkpointing": checkpointing,
            }
            yield _case("eager", slug, method="lora", attention="eager", **common)
            yield _case("padding", slug, method="lora", precision="bf16-mixed", packing=False, **common)
    yield _case("padding", "llama-3.2-1b", method="full", packing=False, micro_batch_size=3, sequence_length=500)
    yield _case("padding", "qwen3-0.6b", method="qlora", precision="bf16-mixed", packing=False, sequence_length=640)
    yield _case("eager", "qwen2.5-0.5b", method="full", precision="bf16-mixed", attention="eager", micro_batch_size=2)
    short_window = shape("mistral-7b-v0.1", layers=4, sliding_window=1024)
    for tokens in (768, 1024, 2048):
        for checkpointing in ("none", "full"):
            yield _case("sliding window", "mistral-7b-v0.1-4-layers", config=short_window, method="lora",
                        micro_batch_size=1, sequence_length=tokens, gradient_checkpointing=checkpointing)  # fmt: skip
    for tokens in (511, 2048):
        yield _case("sliding window", "gemma-3-1b", method="lora", precision="bf16-mixed", micro_batch_size=1,
                    sequence_length=tokens, gradient_checkpointing="full")  # fmt: skip
    yield _case("sliding window", "phi-3-mini-4k", method="lora", micro_batch_size=1, sequence_length=3072)
    yield _case("sliding window", "gemma-3-270m", method="full", micro_batch_size=2, sequence_length=1024)


def _accumulation_and_logits() -> Iterator[TraceCase]:
    for steps in (2, 4):
        for method, precision in (("full", "bf16"), ("full", "bf16-mixed"), ("lora", "bf16-mixed")):
            yield _case("accumulation", "qwen2.5-0.5b", method=method, precision=precision, micro_batch_size=2,
                        gradient_accumulation_steps=steps)  # fmt: skip
    yield _case("accumulation", "tinyllama-1.1b-chat-v1.0", method="full", gradient_accumulation_steps=2,
                gradient_checkpointing="full", optimizer="adamw_torch")  # fmt: skip
    for precision in ("bf16", "bf16-mixed"):
        for method in ("full", "lora", "qlora"):
            yield _case("keep logits", "llama-3.2-1b", method=method, precision=precision, keep_logits=True,
                        micro_batch_size=2, gradient_checkpointing="full")  # fmt: skip
    yield _case("keep logits", "gemma-3-270m", method="full", keep_logits=True, gradient_checkpointing="full")


def _precisions() -> Iterator[TraceCase]:
    for slug in ("qwen2.5-0.5b", "tinyllama-1.1b-chat-v1.0"):
        for precision in ("fp32", "fp16-mixed"):
            for method in ("full", "lora"):
                yield _case("precision", slug, method=method, precision=precision, micro_batch_size=2,
                            lora_target_modules="all-linear")  # fmt: skip
    yield _case("precision", "llama-3.2-1b", method="lora", precision="fp32", gradient_checkpointing="full")
    yield _case("precision", "qwen3-0.6b", method="qlora", precision="fp16-mixed", micro_batch_size=2)
    yield _case("precision", "llama-3.2-1b", method="lora", precision="bf16-mixed", adapter_dtype="bfloat16",
                lora_target_modules="all-linear", micro_batch_size=2)  # fmt: skip


def _shapes() -> Iterator[TraceCase]:
    tiny: dict[str, Any] = {"vocab_size": 1003, "hidden_size": 72, "intermediate_size": 200, "num_hidden_layers": 3,
            "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 24}  # fmt: skip
    odd: dict[str, Any] = {"vocab_size": 50021, "hidden_size": 1040, "intermediate_size": 3112, "num_hidden_layers": 5,
           "num_attention_heads": 13, "num_key_value_heads": 13, "head_dim": 96}  # fmt: skip
    for model_type in ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3"):
        for tied in (True, False):
            dimensions, method = (tiny, "full") if tied else (odd, "lora")
            config = {"model_type": model_type, **dimensions, "tie_word_embeddings": tied}
            if model_type == "phi3":
                config["pad_token_id"] = 0
                config["head_dim"] = config["hidden_size"] // config["num_attention_heads"]
            yield _case("shape", f"{model_type}-{'tiny' if tied else 'odd'}", config=config, method=method,
                        sequence_length=300, lora_target_modules="all-linear", micro_batch_size=3)  # fmt: skip
    for tied in (True, False):
        yield _case("tied", f"llama-3.2-1b-{'tied' if tied else 'untied'}",
                    config=shape("llama-3.2-1b", tie_word_embeddings=tied), method="full", precision="bf16-mixed",
                    micro_batch_size=1, gradient_checkpointing="full")  # fmt: skip


def _larger_models() -> Iterator[TraceCase]:
    for slug in ("llama-3-8b", "qwen2.5-7b", "qwen3-8b", "mistral-nemo-12b", "phi-4-14b", "gemma-2-9b", "yi-6b"):
        yield _case("larger", slug, method="qlora", precision="bf16-mixed", upcast_non_quantized=True,
                    micro_batch_size=2, sequence_length=2048, gradient_checkpointing="full",
                    lora_target_modules="all-linear")  # fmt: skip
    for slug in ("llama-3-8b", "qwen3-4b", "llama-2-7b"):
        yield _case("larger", slug, method="full", micro_batch_size=4, sequence_length=2048,
                    gradient_checkpointing="full", optimizer="adamw_8bit")  # fmt: skip


def _mixed() -> Iterator[TraceCase]:
    """Options drawn together, from a fixed seed, so that they also meet each other."""
    draw = random.Random(20260711)
    slugs = (*SMALL, "qwen2.5-1.5b", "smollm2-135m", "qwen1.5-0.5b", "deepseek-coder-1.3b")
    for _ in range(60):
        slug = draw.choice(slugs)
        fused_projections = slug.startswith("phi")
        targets = draw.choice(("attention", "all-linear", "qv", list(draw.sample(_LINEAR_LAYERS, 3))))
        if fused_projections and targets not in ("attention", "all-linear"):
            targets = "attention"
        method = draw.choice(("full", "lora", "lora", "qlora", "qlora"))
        fields: dict[str, Any] = {
            "method": method,
            "precision": draw.choice(("bf16", "bf16-mixed", "bf16-mixed")),
            "micro_batch_size": draw.choice((1, 2, 3, 6)),
            "sequence_length": draw.choice((256, 640, 1024, 1536)),
            "gradient_checkpointing": draw.choice(("none", "full")),
            "optimizer": draw.choice(("adamw_torch_fused", "adamw_torch", "adamw_8bit", "sgd")),
            "gradient_accumulation_steps": draw.choice((1, 1, 1, 2)),
            "packing": draw.random() < 0.8,
            "max_grad_norm": draw.choice((1.0, 0.0)),
            "keep_logits": draw.random() < 0.2,
        }
        if method != "full":
            fields |= {
                "lora_rank": draw.choice((8, 16, 32, 128)),
                "lora_target_modules": targets,
                "lora_dropout": draw.choice((0.0, 0.0, 0.05)),
                "adapter_dtype": draw.choice(("auto", "auto", "float32", "bfloat16")),
            }
        if method == "qlora":
            fields |= {"upcast_non_quantized": draw.random() < 0.5, "double_quantization": draw.random() < 0.7}
        yield _case("mixed", slug, **fields)
