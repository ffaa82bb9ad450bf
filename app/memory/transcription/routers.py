"""Routers, line by line: transformers 5.23 ``models/*/modeling_*.py``, ``*TopKRouter.forward``."""

from collections.abc import Callable, Mapping

from app.memory.architecture import RouterKind, SparseMlp
from app.memory.size import per_token
from app.memory.tape import FLOAT32, Tape, Tensor
from app.memory.transcription.elements import INDEX, Code, elements_of, ranked, tokens
from app.memory.transcription.norms import apply_norm
from app.memory.transcription.projections import project


def route(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    """The router's forward: the weights of the experts that each token chose."""
    if mlp.router.norm is not None:
        x = apply_norm(code, mlp.router.norm, x, mlp.router.norm.width)
    return ROUTERS[mlp.router.kind](code, mlp, x)


def _softmax_of_all(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    tape, router = code.tape, mlp.router
    logits = _logits(code, mlp, x)
    weights = _best(tape, _softmax(tape, logits), mlp.experts_per_token)
    weights = _normalised(tape, weights) if router.normalises else weights
    return tape.cast(weights, logits.width) if router.casts_back else weights


def _softmax_of_best(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    tape = code.tape
    best = _best(tape, tape.cast(_logits(code, mlp, x), FLOAT32), mlp.experts_per_token)
    return tape.cast(tape.unary(best, saves_output=True), x.width)


def _softmax_of_best_half(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    return code.tape.unary(_best(code.tape, _logits(code, mlp, x), mlp.experts_per_token), saves_output=True)


def _softmax_of_all_half(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    tape = code.tape
    logits = _logits(code, mlp, x)
    # `softmax` is on autocast's float32 list
    scores = tape.unary(tape.cast(logits, FLOAT32) if tape.autocast is not None else logits, saves_output=True)
    weights = _best(tape, scores, mlp.experts_per_token)
    weights = _normalised(tape, weights) if mlp.router.normalises else weights
    return tape.scale(weights) if mlp.router.scales else weights


def _sigmoid(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    tape = code.tape
    scores = tape.unary(tape.cast(_logits(code, mlp, x), FLOAT32), saves_output=True)
    weights = _normalised(tape, _best(tape, scores, mlp.experts_per_token))
    weights = tape.scale(weights) if mlp.router.scales else weights
    return tape.cast(weights, x.width) if mlp.router.casts_back else weights


def _sigmoid_half(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    tape = code.tape
    weights = _best(tape, tape.unary(_logits(code, mlp, x), saves_output=True), mlp.experts_per_token)
    if mlp.router.normalises:
        # `sum` is on autocast's float32 list, and its result widens what it divides
        width = weights.width if tape.autocast is None else FLOAT32
        weights = tape.record((weights,), weights.elements, width, saves=(weights,))
    return tape.scale(weights) if mlp.router.scales else weights


def _sigmoid_of_best(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    tape = code.tape
    scores = tape.unary(_best(tape, _logits(code, mlp, x), mlp.experts_per_token), saves_output=True)
    return tape.cast(_normalised(tape, scores) if mlp.router.normalises else scores, x.width)


def _in_float32(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    tape, router = code.tape, mlp.router
    logits = _float32_logits(code, mlp, x)
    if router.kind in (RouterKind.SOFTMAX_FLOAT32, RouterKind.SOFTMAX_ISOLATED):
        logits = tape.cast(logits, FLOAT32)
    weights = _best(tape, tape.unary(logits, saves_output=True), mlp.experts_per_token)
    weights = _normalised(tape, weights) if router.normalises else weights
    weights = tape.scale(weights) if router.scales else weights
    return tape.cast(weights, x.width) if router.kind is RouterKind.SOFTMAX_ISOLATED else weights


def _for_every_expert(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    tape, indices = code.tape, per_token(INDEX * mlp.experts_per_token)
    logits = _logits(code, mlp, x)
    best = _best(tape, logits, mlp.experts_per_token)
    scattered = tape.record((best,), logits.elements, best.width, extra_saved=indices)
    scores = tape.unary(tape.cast(scattered, FLOAT32), saves_output=True)
    return tape.copy(tape.cast(scores, logits.width))


def _weight(code: Code, mlp: SparseMlp) -> Tensor:
    """The router's matrix; with an adapter W + B·A, made in three steps (``ParamWrapper``, a single matrix)."""
    policy, tape, matrix = code.policy, code.tape, mlp.router.weight
    width = FLOAT32 if mlp.router.float32 else policy.plain_width
    weight = tape.parameter(elements_of(matrix.elements), width, trainable=policy.trains_base)
    if not policy.adapts(matrix):
        return weight
    down = tape.parameter(ranked(matrix.in_features), policy.adapter_width, trainable=True)
    up = tape.parameter(ranked(matrix.out_features), policy.adapter_width, trainable=True)
    delta = tape.scale(tape.matmul(down, up, elements_of(matrix.elements)))
    return tape.add(weight, tape.cast(delta, width))


def _logits(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    if mlp.router.is_linear:
        if mlp.router.float32 and code.policy.quantization is None:
            x = code.tape.cast(x, FLOAT32)
        return project(code, mlp.router.weight, x)
    return code.tape.linear(x, _weight(code, mlp), tokens(mlp.num_experts))


def _float32_logits(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    """``F.linear(x.float(), weight.float())``; autocast casts both back, except where it is switched off."""
    tape = code.tape
    x, weight = tape.cast(x, FLOAT32), tape.cast(_weight(code, mlp), FLOAT32)
    if mlp.router.kind in (RouterKind.SOFTMAX_FLOAT32, RouterKind.SIGMOID_FLOAT32):
        return tape.linear(x, weight, tokens(mlp.num_experts))
    saves = [item for item, other in ((x, weight), (weight, x)) if other.requires_grad]
    return tape.record((x, weight), tokens(mlp.num_experts), FLOAT32, saves=saves)


def _softmax(tape: Tape, logits: Tensor) -> Tensor:
    """``softmax(dtype=float)`` of 16-bit logits upcasts first (aten/src/ATen/native/SoftMax.cpp)."""
    return tape.unary(tape.cast(logits, FLOAT32), saves_output=True)


def _best(tape: Tape, scores: Tensor, chosen: int) -> Tensor:
    """``topk``, or ``gather`` after it: keeps the indices."""
    return tape.record((scores,), tokens(chosen), scores.width, extra_saved=per_token(INDEX * chosen))


def _normalised(tape: Tape, weights: Tensor) -> Tensor:
    return tape.record((weights,), weights.elements, weights.width, saves=(weights,))


def _sparse_mixer(code: Code, mlp: SparseMlp, x: Tensor) -> Tensor:
    """Phi-3.5-MoE's two rounds; each keeps a masked softmax and indices."""
    tape = code.tape
    logits = _logits(code, mlp, x)
    rounds = []
    for _ in range(mlp.experts_per_token):
        masked = tape.record((logits,), logits.elements, logits.width, extra_saved=logits.elements(1))
        gates = tape.unary(masked, saves_output=True)
        rounds.append(tape.record((gates,), tokens(1), gates.width, saves=(gates,), extra_saved=per_token(INDEX)))
    weights = rounds[0]
    for more in rounds[1:]:
        weights = tape.concatenate(weights, more, tokens(mlp.experts_per_token))
    return weights


ROUTERS: Mapping[RouterKind, Callable[[Code, SparseMlp, Tensor], Tensor]] = {
    RouterKind.SOFTMAX: _softmax_of_all,
    RouterKind.SOFTMAX_OF_BEST: _softmax_of_best,
    RouterKind.SOFTMAX_OF_BEST_HALF: _softmax_of_best_half,
    RouterKind.SOFTMAX_FLOAT32: _in_float32,
    RouterKind.SOFTMAX_ISOLATED: _in_float32,
    RouterKind.SIGMOID_FLOAT32: _in_float32,
    RouterKind.SIGMOID_ISOLATED: _in_float32,
    RouterKind.SOFTMAX_HALF: _softmax_of_all_half,
    RouterKind.SIGMOID: _sigmoid,
    RouterKind.SIGMOID_HALF: _sigmoid_half,
    RouterKind.SIGMOID_OF_BEST: _sigmoid_of_best,
    RouterKind.SPARSE_MIXER: _sparse_mixer,
    RouterKind.EVERY_EXPERT: _for_every_expert,
}
