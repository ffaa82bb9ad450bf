"""What an estimate says beside its figures: what it assumes, and what to beware of."""

from app.memory.architecture import Architecture, ParameterKind
from app.memory.inputs import Batch, Checkpointing, Method, QuantizationFormat
from app.memory.optimizers import OPTIMIZERS
from app.memory.parallelism import Layout
from app.memory.policy import Policy
from app.memory.result import Notice
from app.messages import mark, message

BASE_ASSUMPTIONS = (
    mark("One steady step, after the optimizer's state exists; the transient of loading the model is not counted."),
    mark(
        "The intervals are those of published runs on one card and of 39 simulated allocator runs; "
        "what a card must have is not validated: device-level figures exist for 47 runs of one source only."
    ),
)


def assumptions_of(
    architecture: Architecture, method: Method, policy: Policy, batch: Batch, layout: Layout
) -> tuple[str, ...]:
    """What the figures take for granted, in sentences."""
    lines = list(BASE_ASSUMPTIONS)
    if architecture.image_tokens is not None:
        lines.append(architecture.image_tokens.sentence)
    if not layout.is_single:
        lines.append(
            message(
                "Several GPUs: {arrangement}; the figures are those of the fullest one.",
                arrangement=message(layout.traits.title),
            )
        )
    if layout.traits.shards_weights and policy.quantization is not None:
        lines.append(
            mark("A quantised base is sharded as packed 16-bit storage (bnb_4bit_quant_storage); scales are not.")
        )
    if layout.tensor > 1:
        lines.append(
            mark("Tensor parallelism is taken with sequence parallelism: a rank holds its share of every tensor.")
        )
    if OPTIMIZERS[method.optimizer].paged:
        lines.append(mark("Paged optimizer state is counted on the card; under pressure some of it moves to the host."))
    if batch.gradient_checkpointing is Checkpointing.SELECTIVE:
        lines.append(mark("Selective checkpointing recomputes every second layer."))
    if policy.quantization is QuantizationFormat.INT8:
        lines.append(mark("INT8 keeps each linear layer's 16-bit input for backward, as LLM.int8() does."))
    return tuple(lines)


def warnings_of(architecture: Architecture, policy: Policy) -> tuple[Notice, ...]:
    """What a reader should know before relying on the figures."""
    notices = [Notice("architecture", note) for note in architecture.notes]
    experts = sum(
        parameter.elements * parameter.count
        for parameter in architecture.parameters
        if parameter.kind is ParameterKind.EXPERTS
    )
    if experts and policy.quantization is not None:
        notices.append(
            Notice(
                "experts_not_quantised",
                message(
                    "{percent} % of the weights are fused experts, which bitsandbytes does not quantise: it takes "
                    "linear layers only. They stay in {bits} bits.",
                    percent=round(100 * experts / architecture.total_parameters),
                    bits=8 * policy.plain_width,
                ),
            )
        )
    return tuple(notices)
