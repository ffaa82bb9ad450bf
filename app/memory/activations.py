"""The code of a decoder layer, transcribed operation by operation onto a tape.

Each function follows the lines of the module it is named for (transformers 5.23 ``models/*/modeling_*.py``,
PEFT 0.21 ``tuners/lora/layer.py``, ``bnb.py`` and ``dora.py``, bitsandbytes 0.50 ``nn/modules.py``), since
what is kept for backward depends on how the code is written, not only on what it computes.
"""

from collections.abc import Callable
from functools import lru_cache

from app.memory.architecture import (
    ActivationKind,
    Attention,
    BlockKind,
    GatedMlp,
    Layer,
    Mlp,
    Norm,
    NormKind,
    PlainMlp,
    Projection,
)
from app.memory.inputs import QuantizationFormat
from app.memory.policy import AttentionPath, Policy
from app.memory.size import ZERO, Size, constant, per_token, scores
from app.memory.tape import FLOAT32, HALF, Category, GradientRule, Tape, Tensor

Elements = Callable[[int], Size]


@lru_cache(maxsize=4096)
def tokens(features: int) -> Elements:
    """[B, S, features]."""
    return lambda width: Size(token=width * features)


@lru_cache(maxsize=1024)
def elements_of(count: int) -> Elements:
    """A tensor of a fixed number of elements."""
    return lambda width: Size(fixed=width * count)


@lru_cache(maxsize=1024)
def ranked(features: int) -> Elements:
    """[features, r]."""
    return lambda width: Size(rank=width * features)


@lru_cache(maxsize=1)
def rank_tokens() -> Elements:
    """[B, S, r]."""
    return lambda width: Size(token_rank=width)


@lru_cache(maxsize=256)
def pairs(heads: int) -> Elements:
    """[B, heads, S, S]."""
    return lambda width: Size(token_position=width * heads)


class LayerCode:
    """One layer's forward under a policy and an attention path."""

    def __init__(self, tape: Tape, policy: Policy, path: AttentionPath, adapter_trainable: bool = True) -> None:
        self.tape = tape
        self.policy = policy
        self.path = path

    # -- norms

    def norm(self, norm: Norm, x: Tensor, features: int) -> Tensor:
        """``norm`` over ``features`` features a token in all (heads × width for a per-head norm)."""
        tape = self.tape
        groups = features // norm.width
        weight = (
            tape.parameter(elements_of(norm.elements), self.policy.plain_width, trainable=self.policy.trains_base)
            if norm.elements
            else None
        )
        match norm.kind:
            case NormKind.LAYER | NormKind.RMS_FUSED:
                return self._fused_norm(norm, x, weight, groups)
            case _:
                return self._written_norm(norm, x, weight, groups)

    def _fused_norm(self, norm: Norm, x: Tensor, weight: Tensor | None, groups: int) -> Tensor:
        # `layer_norm` is on autocast's float32 list; keeps its input and per row the mean and rstd
        if self.tape.autocast is not None:
            x = self.tape.cast(x, FLOAT32)
        statistics = (2 if norm.kind is NormKind.LAYER else 1) * FLOAT32 * groups
        inputs = (x,) if weight is None else (x, weight)
        return self.tape.record(inputs, x.elements, x.width, saves=(x,), extra_saved=per_token(statistics))

    def _written_norm(self, norm: Norm, x: Tensor, weight: Tensor | None, groups: int) -> Tensor:
        tape = self.tape
        entry_width = x.width
        x = tape.cast(x, FLOAT32)
        if norm.kind is NormKind.LAYER_PYTHON:
            mean = tape.reduce(x, tokens(groups), FLOAT32)
            x = tape.add(x, mean)
        # pow(2)'s backward: grad * (2 * x), two full-size temporaries before the result
        square = tape.unary(x, saves_input=True, backward_temporary=x.elements(FLOAT32).times(2))
        variance = tape.reduce(square, tokens(groups), FLOAT32)
        inverse = tape.unary(variance, saves_output=True)
        normalised = tape.multiply(x, inverse)
        if norm.kind is NormKind.RMS:
            normalised = tape.cast(normalised, entry_width)
        if weight is not None:
            scale = weight if norm.kind is NormKind.RMS else tape.cast(weight, FLOAT32)
            normalised = tape.multiply(normalised, scale)
        return normalised if norm.kind is NormKind.RMS else tape.cast(normalised, entry_width)

    # -- projections

    def project(self, projection: Projection, x: Tensor) -> Tensor:
        """A projection with its adapter, if it carries one."""
        result = self._base(projection, x)
        if not self.policy.adapts(projection.name):
            return result
        if self.policy.quantization is not None:
            result = self._adapted_quantised(projection, x, result)
        else:
            result = self._adapted(projection, x, result)
        self.tape.until_here(x)
        return result

    def _base(self, projection: Projection, x: Tensor) -> Tensor:
        policy, tape = self.policy, self.tape
        out = tokens(projection.out_features)
        if policy.quantization is None:
            weight = tape.parameter(elements_of(projection.elements), policy.base_width, trainable=policy.trains_base)
            result = tape.linear(x, weight, out)
            if projection.bias and policy.trains_base:
                bias = tape.parameter(elements_of(projection.out_features), policy.base_width, trainable=True)
                result = tape.record(
                    (result, bias), out, result.width, rules=(GradientRule.ALIAS, GradientRule.NEW), view=True
                )
            return result
        if policy.quantization is QuantizationFormat.INT8:
            return self._int8(projection, x)
        # Linear4bit: to the compute dtype, dequantise and multiply, back to the input's dtype
        copy = constant(projection.elements * HALF)
        result = tape.record(
            (tape.cast(x, HALF),),
            out,
            HALF,
            forward_temporary=copy,
            backward_temporary=copy,
            temporary_category=Category.WEIGHT_COPY,
        )
        return tape.cast(result, x.width)

    def _int8(self, projection: Projection, x: Tensor) -> Tensor:
        """``MatMul8bitLt``: keeps its input; quantises a 16-bit copy of it; backward dequantises the weight."""
        quantised = per_token((1 + HALF) * projection.in_features + FLOAT32 * projection.out_features)
        return self.tape.record(
            (x,),
            tokens(projection.out_features),
            x.width,
            saves=(x,),
            forward_temporary=quantised,
            backward_temporary=constant(projection.elements * x.width),
        )

    def _adapter_weights(self, projection: Projection) -> tuple[Tensor, Tensor]:
        width = self.policy.adapter_width
        return (
            self.tape.parameter(ranked(projection.in_features), width, trainable=True),
            self.tape.parameter(ranked(projection.out_features), width, trainable=True),
        )

    def _adapted(self, projection: Projection, x: Tensor, result: Tensor) -> Tensor:
        tape = self.tape
        entry_width = result.width
        x = tape.cast(x, self.policy.adapter_width)
        if self.policy.use_dora:
            result = tape.add(result, self._dora(projection, x, result))
        else:
            result = tape.add(result, self._low_rank(projection, x))
        tape.until_here(x)
        return tape.cast(result, entry_width)

    def _adapted_quantised(self, projection: Projection, x: Tensor, result: Tensor) -> Tensor:
        tape = self.tape
        converts = tape.autocast is None
        if self.policy.quantization is not QuantizationFormat.INT8:
            result = tape.copy(result)
        entry_width = result.width
        if converts:
            x = tape.cast(x, self.policy.adapter_width)
        if self.policy.use_dora:
            result = tape.add(result, self._dora(projection, x, result))
            return tape.cast(result, entry_width) if converts else result
        update = self._low_rank(projection, x)
        if converts:
            update = tape.cast(update, entry_width)
        tape.until_here(x)
        return tape.add(result, update)

    def _low_rank(self, projection: Projection, x: Tensor) -> Tensor:
        tape = self.tape
        down, up = self._adapter_weights(projection)
        if self.policy.dropout:
            x = tape.dropout(x)
        return tape.scale(tape.linear(tape.linear(x, down, rank_tokens()), up, tokens(projection.out_features)))

    def _dora(self, projection: Projection, x: Tensor, result: Tensor) -> Tensor:
        tape, width = self.tape, self.policy.adapter_width
        out = projection.out_features
        down, up = self._adapter_weights(projection)
        magnitude = tape.parameter(elements_of(out), width, trainable=True)
        if self.policy.dropout:
            x = tape.dropout(x)
        transient = self._dora_norm_bytes(projection, x.width)
        tape.fresh(elements_of(out), x.width, forward_temporary=constant(transient))
        scale = tape.unary(magnitude)
        base = result
        if self.policy.dropout:
            weight = tape.parameter(elements_of(projection.elements), x.width, trainable=False)
            base = tape.linear(x, weight, tokens(out))
        low_rank = tape.linear(tape.linear(x, down, rank_tokens()), up, tokens(out))
        return tape.add(tape.multiply(base, tape.scale(scale)), tape.scale(tape.multiply(low_rank, scale)))

    def _dora_norm_bytes(self, projection: Projection, width: int) -> int:
        """What computing the detached norm of W + s·B·A takes, in bytes, at input width ``width``.

        First an identity goes through A and B (autocast casts it, and the graph holds the cast); then B·A, the
        weight, the scaled B·A and their sum stand side by side.
        """
        policy, square, elements = self.policy, projection.in_features**2, projection.elements
        product = self.tape.autocast or policy.adapter_width
        held = square * product
        made = (square * policy.adapter_width if product != policy.adapter_width else 0) + elements * product
        converted = policy.quantization is not None or policy.base_width != width
        normed = elements * width * (4 if converted else 3)
        return held + max(made, normed)

    # -- attention

    def attention(self, attention: Attention, x: Tensor) -> Tensor:
        """``LlamaAttention.forward`` and its relatives."""
        query, key, value = self._query_key_value(attention, x)
        if attention.query_norm is not None:
            query = self.norm(attention.query_norm, query, attention.query_width)
        if attention.key_norm is not None:
            key = self.norm(attention.key_norm, key, attention.key_value_width)
        if attention.rotary_dim:
            query = self._rotate(query, attention.num_heads, attention)
            key = self._rotate(key, attention.num_key_value_heads, attention)
        mixed = {
            AttentionPath.FLASH: self._flash,
            AttentionPath.EFFICIENT: self._efficient,
            AttentionPath.MATH: self._math,
            AttentionPath.EAGER: self._eager,
        }[self.path](attention, query, key, value)
        if attention.rotary_concatenates and self.path is AttentionPath.FLASH:
            # the kernel's output takes the layout of its query, which concatenation made head-major
            mixed = self.tape.copy(mixed)
        return self.project(attention.output, mixed)

    def _query_key_value(self, attention: Attention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if attention.fused is not None:
            fused = self.project(attention.fused, x)
            return (
                self.tape.narrow(fused, tokens(attention.query_width)),
                self.tape.narrow(fused, tokens(attention.key_value_width)),
                self.tape.narrow(fused, tokens(attention.key_value_width)),
            )
        assert attention.query is not None
        assert attention.key is not None
        assert attention.value is not None
        return self.project(attention.query, x), self.project(attention.key, x), self.project(attention.value, x)

    def _rotate(self, x: Tensor, heads: int, attention: Attention) -> Tensor:
        """``x * cos + rotate_half(x) * sin``; cos and sin are made once outside."""
        tape = self.tape
        width = self.policy.stream_width
        half = tokens(heads * attention.rotary_dim // 2)
        rotated_elements = tokens(heads * attention.rotary_dim)
        part = x if attention.rotary_dim == attention.head_dim else tape.narrow(x, rotated_elements)
        second = tape.scale(tape.narrow(part, half))
        swapped = tape.concatenate(second, tape.narrow(part, half), rotated_elements)
        table = tape.input(lambda w: ZERO, width, requires_grad=False)
        rotated = tape.add(self._times(part, table), self._times(swapped, table))
        if not attention.rotary_concatenates:
            return rotated
        rest = tape.narrow(x, tokens(heads * (attention.head_dim - attention.rotary_dim)))
        return tape.concatenate(rotated, rest, x.elements)

    def _times(self, x: Tensor, table: Tensor) -> Tensor:
        width = max(x.width, table.width)
        rule = GradientRule.NEW if width == x.width else GradientRule.CONVERTED
        return self.tape.record((x,), x.elements, width, rules=(rule,))

    def _to_kernel(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        if self.tape.autocast is None:
            return tensors
        return tuple(self.tape.cast(tensor, self.tape.autocast) for tensor in tensors)

    def _repeat(self, attention: Attention, x: Tensor) -> Tensor:
        """``repeat_kv``: a copy a query head; of a single head it is a view, which only products copy."""
        if attention.num_heads == attention.num_key_value_heads:
            return x
        view = attention.num_key_value_heads == 1 and self.path is AttentionPath.EFFICIENT
        return self.tape.record((x,), tokens(attention.query_width), x.width, view=view)

    def _own(self, x: Tensor) -> Tensor:
        """A batched product copies a slice before it saves it."""
        return x if x.size == x.storage.size else self.tape.copy(x)

    def _flash(self, attention: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """FlashAttention-2: keeps q, k, v, its output and the float32 log-sum-exp of each row."""
        query, key, value = self._to_kernel(query, key, value)
        expanded = 2 * HALF * attention.query_width if attention.num_heads != attention.num_key_value_heads else 0
        workspace = per_token(FLOAT32 * (attention.num_heads + attention.query_width) + expanded)
        return self.tape.record(
            (query, key, value),
            tokens(attention.query_width),
            query.width,
            saves=(query, key, value),
            saves_output=True,
            extra_saved=per_token(FLOAT32 * attention.num_heads),
            backward_temporary=workspace,
        )

    def _efficient(self, attention: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The memory-efficient kernel: as flash, with repeated key/value heads and a dense mask where there is one."""
        masked = self.policy.padded or attention.window is not None
        key, value = self._repeat(attention, key), self._repeat(attention, value)
        query, key, value = self._to_kernel(query, key, value)
        return self.tape.record(
            (query, key, value),
            tokens(attention.query_width),
            query.width,
            saves=(query, key, value),
            saves_output=True,
            extra_saved=per_token(FLOAT32 * attention.num_heads) + (scores(query.width) if masked else ZERO),
            backward_temporary=per_token(FLOAT32 * attention.num_heads),
        )

    def _math(self, attention: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """``_scaled_dot_product_attention_math``: every product is an operation of its own."""
        tape = self.tape
        query = tape.scale(query)
        key = self._repeat(attention, key)
        value = self._own(self._repeat(attention, value))
        key = tape.scale(key)
        weights = tape.matmul(query, key, pairs(attention.num_heads))
        weights = tape.unary(weights, saves_output=True)
        return tape.copy(tape.matmul(weights, value, tokens(attention.query_width)))

    def _eager(self, attention: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """``eager_attention_forward``: scores, softmax in float32, a 16-bit copy for the product."""
        tape = self.tape
        query, key, value = self._own(query), self._own(key), self._own(value)
        key, value = self._repeat(attention, key), self._repeat(attention, value)
        weights = tape.scale(tape.matmul(query, key, pairs(attention.num_heads)))
        if attention.scores_softcap:
            weights = tape.scale(tape.unary(tape.scale(weights), saves_output=True))
        weights = tape.add(weights, tape.fresh(scores, weights.width))
        # softmax(dtype=float32) of a bfloat16 tensor upcasts first (aten/src/ATen/native/SoftMax.cpp)
        weights = tape.unary(tape.cast(weights, FLOAT32), saves_output=True)
        weights = tape.cast(weights, query.width)
        return tape.copy(tape.matmul(weights, value, tokens(attention.query_width)))

    # -- MLP

    def mlp(self, mlp: Mlp, x: Tensor) -> Tensor:
        match mlp:
            case GatedMlp():
                return self._gated(mlp, x)
            case PlainMlp():
                return self._plain(mlp, x)

    def _gated(self, mlp: GatedMlp, x: Tensor) -> Tensor:
        tape, width = self.tape, tokens(mlp.intermediate_size)
        if mlp.gate_up is not None:
            fused = self.project(mlp.gate_up, x)
            gate, up = tape.narrow(fused, width), tape.narrow(fused, width)
        else:
            assert mlp.gate is not None
            assert mlp.up is not None
            gate, up = self.project(mlp.gate, x), None
        activated = tape.unary(gate, saves_input=True)
        if up is None:
            assert mlp.up is not None
            up = self.project(mlp.up, x)
        return self.project(mlp.down, tape.multiply(activated, up))

    def _plain(self, mlp: PlainMlp, x: Tensor) -> Tensor:
        tape = self.tape
        hidden = self.project(mlp.up, x)
        match mlp.activation:
            case ActivationKind.FUSED:
                hidden = tape.unary(hidden, saves_input=True)
            case ActivationKind.SQUARED_RELU:
                hidden = tape.unary(tape.unary(hidden, saves_output=True), saves_input=True)
            case ActivationKind.TANH_GELU_PYTHON:
                # 0.5 * x * (1 + tanh(c * (x + 0.044715 * x³)))
                cube = tape.unary(hidden, saves_input=True)
                inner = tape.scale(tape.add(hidden, tape.scale(cube)))
                hidden = tape.multiply(tape.scale(hidden), tape.unary(inner, saves_output=True))
        return self.project(mlp.down, hidden)

    # -- the layer

    def layer(self, layer: Layer, x: Tensor, hidden_size: int) -> Tensor:
        """The arrangement of norms, branches and residual additions."""
        match layer.block:
            case BlockKind.PARALLEL:
                return self._parallel(layer, x, hidden_size)
            case _:
                return self._sequential(layer, x, hidden_size)

    def _sequential(self, layer: Layer, x: Tensor, hidden_size: int) -> Tensor:
        norms = iter(layer.norms)
        before = layer.block is not BlockKind.POST_NORM
        after = layer.block is not BlockKind.PRE_NORM
        for part in (layer.mixer, layer.mlp):
            if part is None:
                continue
            branch = self.norm(next(norms), x, hidden_size) if before else x
            entry = branch
            branch = self.attention(part, branch) if isinstance(part, Attention) else self.mlp(part, branch)
            self.tape.until_here(entry)
            if after:
                branch = self.norm(next(norms), branch, hidden_size)
            if layer.residual_multiplier:
                branch = self.tape.scale(branch)
            x = self.tape.add(x, branch)
        return x

    def _parallel(self, layer: Layer, x: Tensor, hidden_size: int) -> Tensor:
        normed = [self.norm(norm, x, hidden_size) for norm in layer.norms]
        assert layer.mixer is not None
        assert layer.mlp is not None
        attended = self.attention(layer.mixer, normed[0])
        return self.tape.add(self.tape.add(attended, self.mlp(layer.mlp, normed[-1])), x)
