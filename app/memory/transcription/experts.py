"""Mixtures of experts, line by line.

transformers 5.23 ``integrations/moe.py`` (``grouped_mm_experts_forward``) and ``models/llama4/modeling_llama4.py``;
PEFT 0.21 ``tuners/lora/layer.py`` (``ParamWrapper``); ``aten/src/ATen/native/GroupedMMUtils.h``.
"""

from app.memory.architecture import ExpertGate, ExpertWeights, RouterKind, SparseMlp
from app.memory.size import per_token
from app.memory.tape import FLOAT32, Category, GradientRule, Tensor
from app.memory.transcription.elements import INDEX, Code, elements_of, ranked, tokens
from app.memory.transcription.mlp import feed_forward, power
from app.memory.transcription.norms import apply_norm
from app.memory.transcription.projections import project
from app.memory.transcription.routers import route


def experts(code: Code, mlp: SparseMlp, x: Tensor, seen_by_router: Tensor | None = None) -> Tensor:
    """``*SparseMoeBlock.forward``. The router may see something else than the experts (Gemma 4)."""
    if mlp.router.kind is RouterKind.EVERY_EXPERT:
        return _every_expert(code, mlp, x)
    shared = feed_forward(code, mlp.shared, x) if mlp.shared is not None and mlp.shared_first else None
    sample = route(code, mlp, x if seen_by_router is None else seen_by_router)
    routed = x if mlp.latent_down is None else project(code, mlp.latent_down, x)
    result = _grouped(code, mlp, routed, sample)
    if mlp.scales_result:
        result = code.tape.scale(result)
    if mlp.latent_up is not None:
        result = project(code, mlp.latent_up, result)
    if mlp.shared is not None and shared is None:
        shared = feed_forward(code, mlp.shared, x)
    if mlp.shared_gate is not None and shared is not None:
        gate = code.tape.unary(project(code, mlp.shared_gate, x), saves_output=True)
        shared = code.tape.multiply(shared, gate)
    code.tape.until_here(x)
    result = result if shared is None else _together(code, mlp, result, shared)
    return result if mlp.output_norm is None else apply_norm(code, mlp.output_norm, result, mlp.output_norm.width)


def _together(code: Code, mlp: SparseMlp, result: Tensor, shared: Tensor) -> Tensor:
    tape, width = code.tape, result.width
    if mlp.adds_in_float32:
        result, shared = tape.cast(result, FLOAT32), tape.cast(shared, FLOAT32)
    both = tape.cast(tape.add(result, shared), width)
    return tape.scale(both) if mlp.averages else both


def merged(code: Code, weights: ExpertWeights) -> Tensor:
    """All experts' weights; with an adapter, W + B·A, a whole copy made in one ``baddbmm``."""
    policy, tape = code.policy, code.tape
    weight = tape.parameter(elements_of(weights.elements), policy.plain_width, trainable=policy.trains_base)
    if not policy.adapts(weights):
        return weight
    down, up = (
        tape.cast(tape.parameter(ranked(features), policy.adapter_width, trainable=True), policy.plain_width)
        for features in weights.adapter_features
    )
    # B is permuted, and a batched product makes it contiguous
    up = tape.copy(up) if up.parameter else up
    return tape.record((down, up), weight.elements, weight.width, saves=(down, up), category=Category.WEIGHT_COPY)


def _grouped(code: Code, mlp: SparseMlp, x: Tensor, sample: Tensor) -> Tensor:
    """``grouped_mm_experts_forward``: a row for each choice of a token, sorted by expert."""
    tape, chosen = code.tape, mlp.experts_per_token
    indices = per_token(INDEX * chosen)
    hidden = mlp.up.in_features
    order = tape.fresh(tokens(INDEX * chosen), 1)
    rows = tape.record((x,), tokens(chosen * hidden), x.width, extra_saved=indices)
    sample_weights = tape.record((sample,), tokens(chosen), sample.width, saves=(order,))
    # a parametrised weight is merged where the code first reads it
    up_weight = merged(code, mlp.up)
    projected, up_bias = _product(code, mlp.up, rows, up_weight, chosen)
    activated = _gate(code, mlp, projected)
    tape.until_here(*up_bias)
    down_weight = merged(code, mlp.down)
    output, down_bias = _product(code, mlp.down, activated, down_weight, chosen)
    weighted = tape.multiply(output, sample_weights)
    inverse = tape.fresh(tokens(INDEX * chosen), 1)
    restored = tape.record((weighted,), weighted.elements, weighted.width, saves=(inverse,))
    # the sum's expanded gradient is written out by the view's backward
    rows_again = tape.record((restored,), restored.elements, restored.width, view=True)
    summed = tape.sum(rows_again, tokens(hidden))
    tape.until_here(rows, up_weight, down_weight, output, *down_bias)
    return tape.cast(summed, x.width)


def _product(
    code: Code, weights: ExpertWeights, rows: Tensor, weight: Tensor, chosen: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """``grouped_mm``: not on autocast's list, so that it computes in the weight's type. Also each row's bias."""
    tape = code.tape
    rows = tape.cast(rows, weight.width)
    saves = [item for item, other in ((rows, weight), (weight, rows)) if other.requires_grad]
    output = tape.record((rows, weight), tokens(chosen * weights.out_features), weight.width, saves=saves)
    if not weights.bias:
        return output, ()
    bias = tape.parameter(
        elements_of(weights.num_experts * weights.out_features),
        code.policy.plain_width,
        trainable=code.policy.trains_base,
    )
    row_bias = tape.record((bias,), output.elements, output.width, extra_saved=per_token(INDEX * chosen))
    biased = tape.record((output, row_bias), output.elements, output.width, rules=(GradientRule.ALIAS,) * 2, view=True)
    return biased, (row_bias,)


def _gate(code: Code, mlp: SparseMlp, projected: Tensor) -> Tensor:
    tape = code.tape
    elements = tokens(mlp.experts_per_token * mlp.intermediate_size)
    match mlp.gate:
        case ExpertGate.GATED:
            gate, up = tape.split(projected, elements, elements)
            return tape.multiply(tape.unary(gate, saves_input=True), up)
        case ExpertGate.CLAMPED:
            gate, up = tape.narrow(projected, elements), tape.narrow(projected, elements)
            gate, up = tape.unary(gate, saves_input=True), tape.unary(up, saves_input=True)
            sigmoid = tape.unary(tape.scale(gate), saves_output=True)
            glu = tape.multiply(gate, sigmoid)
            return tape.multiply(tape.scale(up), glu)
        case ExpertGate.NONE:
            return power(code, tape.unary(projected, saves_output=True))


def _every_expert(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    """``Llama4TextMoe.forward``: each expert sees all tokens, scaled by a score that is zero for most."""
    tape, count = code.tape, mlp.num_experts
    scores = route(code, mlp, x)
    hidden, width = mlp.up.in_features, mlp.intermediate_size
    everyone = tape.record((x,), tokens(count * hidden), x.width)
    routed = tape.multiply(everyone, scores)
    projected = tape.matmul(routed, merged(code, mlp.up), tokens(count * 2 * width))
    gate, up = tape.split(projected, tokens(count * width), tokens(count * width))
    product = tape.multiply(up, tape.unary(gate, saves_input=True))
    output = tape.matmul(product, merged(code, mlp.down), tokens(count * hidden))
    assert mlp.shared is not None
    shared = feed_forward(code, mlp.shared, x)
    summed = tape.sum(output, tokens(hidden))
    tape.until_here(routed, output)
    return tape.record((shared, summed), shared.elements, shared.width, rules=(GradientRule.ALIAS,) * 2, view=True)
