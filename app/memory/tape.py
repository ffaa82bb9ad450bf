"""A symbolic autograd: what a piece of PyTorch code keeps, and when.

Model code is transcribed operation by operation onto a :class:`Tape` (:mod:`app.memory.transcription`). Each
operation states what PyTorch states in ``derivatives.yaml``: what it saves for backward and what its
backward allocates. Who shares a storage with whom, what is therefore kept once and not twice, and how much
lives at each instant of forward and backward, follows (:mod:`app.memory.liveness`).

Sizes are symbolic (:mod:`app.memory.size`); ``width`` is bytes an element: 4 for float32, 2 for bfloat16
and float16.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from app.memory.size import ZERO, Size

FLOAT32 = 4
HALF = 2


class Category(StrEnum):
    """What a storage counts as while it lives (a saved temporary counts as an activation)."""

    TEMPORARY = "temporary"
    ACTIVATION = "activation"
    LOGITS = "logits"
    WEIGHT_COPY = "weight_copy"
    GRADIENT = "gradient"


class Storage:
    """A piece of memory. ``external`` ones (parameters, the layer's input) are counted elsewhere."""

    __slots__ = ("cached", "category", "external", "held", "size")

    def __init__(self, size: Size, category: Category = Category.TEMPORARY, *, external: bool = False) -> None:
        self.size = size
        self.category = category
        self.external = external
        self.held = False
        """A variable of the calling code keeps it until forward ends."""
        self.cached = False
        """Autocast's cache keeps it until forward ends."""


class Tensor:
    """A view of a storage: ``elements(width)`` is its size at a width."""

    __slots__ = ("elements", "parameter", "requires_grad", "storage", "width")

    def __init__(
        self,
        elements: Callable[[int], Size],
        width: int,
        storage: Storage,
        *,
        requires_grad: bool,
        parameter: bool = False,
    ) -> None:
        self.elements = elements
        self.width = width
        self.storage = storage
        self.requires_grad = requires_grad
        self.parameter = parameter

    @property
    def size(self) -> Size:
        return self.elements(self.width)


class GradientRule(Enum):
    """How backward makes an input's gradient from the output's."""

    NEW = "new"
    """A new tensor of the input's size."""
    ALIAS = "alias"
    """The output's gradient itself (additions, views)."""
    CONVERTED = "converted"
    """A tensor at the output's width, then a copy at the input's."""


@dataclass(slots=True)
class Operation:
    """One node of the graph."""

    inputs: tuple[Tensor, ...]
    output: Tensor
    saves: tuple[Storage, ...] = ()
    gradients: tuple[tuple[Tensor, GradientRule], ...] = ()
    forward_temporary: Size = ZERO
    backward_temporary: Size = ZERO
    temporary_category: Category = Category.TEMPORARY
    releases_first: bool = False
    """Backward returns what forward had already computed and saved."""
    clings: tuple[Storage, ...] = ()
    """What the graph's node holds by itself: a checkpoint, which drops what is saved, does not drop it."""
    more_outputs: tuple[Tensor, ...] = ()
    """Of a split: backward waits for the gradients of all parts."""


@dataclass(slots=True)
class Tape:
    """Operations in the order the model's code runs them. ``autocast`` is its compute width, or None."""

    autocast: int | None = None
    operations: list[Operation] = field(default_factory=list)
    kept: list[Storage] = field(default_factory=list)
    """Storages that live through backward although no operation saved them."""
    handed_on: list[Storage] = field(default_factory=list)
    """What a view given to the caller holds: the keys and values that would go into a cache."""
    _casts: dict[int, Tensor] = field(default_factory=dict)

    # -- leaves

    def input(self, elements: Callable[[int], Size], width: int, *, requires_grad: bool) -> Tensor:
        """A tensor made outside, counted there."""
        return Tensor(elements, width, Storage(elements(width), external=True), requires_grad=requires_grad)

    def parameter(self, elements: Callable[[int], Size], width: int, *, trainable: bool) -> Tensor:
        """A weight, counted among the weights."""
        storage = Storage(elements(width), external=True)
        return Tensor(elements, width, storage, requires_grad=trainable, parameter=True)

    def fresh(
        self,
        elements: Callable[[int], Size],
        width: int,
        category: Category = Category.TEMPORARY,
        *,
        forward_temporary: Size = ZERO,
    ) -> Tensor:
        """A tensor without a history (a mask, a detached norm), and what making it takes."""
        output = Tensor(elements, width, Storage(elements(width), category), requires_grad=False)
        self.operations.append(Operation((), output, forward_temporary=forward_temporary))
        return output

    def until_here(self, *tensors: Tensor) -> None:
        """Variables and call arguments of a module's code hold ``tensors`` until it returns."""
        nothing = Tensor(lambda width: ZERO, FLOAT32, Storage(ZERO, external=True), requires_grad=False)
        self.operations.append(Operation(tensors, nothing))

    def keep(self, tensor: Tensor) -> None:
        """The calling code holds ``tensor`` through backward."""
        self.kept.append(tensor.storage)

    def hand_on(self, *tensors: Tensor) -> None:
        """The code returns views of ``tensors`` beside its result."""
        self.handed_on.extend(tensor.storage for tensor in tensors)

    # -- operations

    def record(  # noqa: PLR0913 - one keyword a line of derivatives.yaml
        self,
        inputs: Iterable[Tensor],
        elements: Callable[[int], Size],
        width: int,
        *,
        saves: Iterable[Tensor | Storage] = (),
        saves_output: bool = False,
        rules: Iterable[GradientRule] | None = None,
        category: Category = Category.TEMPORARY,
        extra_saved: Size = ZERO,
        forward_temporary: Size = ZERO,
        backward_temporary: Size = ZERO,
        temporary_category: Category = Category.TEMPORARY,
        releases_first: bool = False,
        clings: bool = False,
        view: bool = False,
    ) -> Tensor:
        """Add an operation; its output requires a gradient if an input does, and only then is anything saved."""
        inputs = tuple(inputs)
        requires_grad = any(tensor.requires_grad for tensor in inputs)
        storage = inputs[0].storage if view else Storage(elements(width), category)
        output = Tensor(elements, width, storage, requires_grad=requires_grad)
        saved: list[Storage] = []
        gradients: list[tuple[Tensor, GradientRule]] = []
        if requires_grad:
            saved.extend(item.storage if isinstance(item, Tensor) else item for item in saves)
            if saves_output:
                saved.append(storage)
            if extra_saved is not ZERO:
                saved.append(Storage(extra_saved))
            for tensor, rule in zip(inputs, rules or (GradientRule.NEW,) * len(inputs), strict=True):
                if tensor.requires_grad:
                    gradients.append((tensor, rule))
        self.operations.append(
            Operation(
                inputs,
                output,
                tuple(saved),
                tuple(gradients),
                forward_temporary,
                backward_temporary,
                temporary_category,
                releases_first,
                tuple(saved) if clings else (),
            )
        )
        return output

    def cast(self, tensor: Tensor, width: int) -> Tensor:
        """``tensor.to(dtype)``: the tensor itself where nothing changes, else a copy; saves nothing."""
        if tensor.width == width:
            return tensor
        return self.record((tensor,), tensor.elements, width, category=tensor.storage.category)

    def cast_weight(self, weight: Tensor, width: int) -> Tensor:
        """Autocast's copy of a weight: cached through forward where the weight trains, else made at each use
        (``aten/src/ATen/autocast_mode.cpp``, ``cached_cast``)."""
        if weight.width == width:
            return weight
        if weight.requires_grad and id(weight) in self._casts:
            return self._casts[id(weight)]
        copy = self.record((weight,), weight.elements, width, category=Category.WEIGHT_COPY)
        if weight.requires_grad:
            copy.storage.cached = True
            self._casts[id(weight)] = copy
        return copy

    def multiply(self, left: Tensor, right: Tensor) -> Tensor:
        """``left * right``, result shaped as ``left``: each factor is saved if the other needs a gradient."""
        width = max(left.width, right.width)
        saves = [tensor for tensor, other in ((left, right), (right, left)) if other.requires_grad]
        rules = [GradientRule.NEW if tensor.width == width else GradientRule.CONVERTED for tensor in (left, right)]
        # a broadcast factor's gradient is made at full size before it is summed
        broadcast = left.elements(width) if right.requires_grad and right.elements(1) != left.elements(1) else ZERO
        return self.record(
            (left, right),
            left.elements,
            width,
            saves=saves,
            rules=rules,
            backward_temporary=broadcast,
            category=_kept_category(left),
        )

    def add(self, left: Tensor, right: Tensor) -> Tensor:
        """``left + right``: saves nothing, passes its gradient on."""
        width = max(left.width, right.width)
        rules = [GradientRule.ALIAS if tensor.width == width else GradientRule.NEW for tensor in (left, right)]
        return self.record((left, right), left.elements, width, rules=rules)

    def scale(self, tensor: Tensor) -> Tensor:
        """A product with a number: saves nothing."""
        return self.record((tensor,), tensor.elements, tensor.width, category=_kept_category(tensor))

    def unary(
        self,
        tensor: Tensor,
        *,
        saves_input: bool = False,
        saves_output: bool = False,
        width: int | None = None,
        backward_temporary: Size = ZERO,
    ) -> Tensor:
        """An elementwise function by what its derivative needs."""
        return self.record(
            (tensor,),
            tensor.elements,
            width or tensor.width,
            saves=(tensor,) if saves_input else (),
            saves_output=saves_output,
            backward_temporary=backward_temporary,
            category=_kept_category(tensor),
        )

    def reduce(self, tensor: Tensor, elements: Callable[[int], Size], width: int) -> Tensor:
        """A mean or sum over the last dimension: saves nothing; its gradient is expanded, which costs nothing."""
        return self.record((tensor,), elements, width, rules=(GradientRule.NEW,))

    def sum(self, tensor: Tensor, elements: Callable[[int], Size]) -> Tensor:
        """A sum over one dimension, in float32 under autocast: its gradient is the output's, expanded."""
        width = tensor.width if self.autocast is None else FLOAT32
        rule = GradientRule.ALIAS if width == tensor.width else GradientRule.NEW
        return self.record((tensor,), elements, width, rules=(rule,))

    def view(self, tensor: Tensor) -> Tensor:
        """A reshape that copies nothing."""
        return self.record((tensor,), tensor.elements, tensor.width, rules=(GradientRule.ALIAS,), view=True)

    def copy(self, tensor: Tensor) -> Tensor:
        """``contiguous()`` or ``clone()`` where it copies; the gradient passes through."""
        return self.record((tensor,), tensor.elements, tensor.width, rules=(GradientRule.ALIAS,))

    def narrow(self, tensor: Tensor, elements: Callable[[int], Size]) -> Tensor:
        """A slice: a view forward; backward pads the gradient with zeros to the full size."""
        return self.record((tensor,), elements, tensor.width, rules=(GradientRule.NEW,), view=True)

    def split(self, tensor: Tensor, *parts: Callable[[int], Size]) -> tuple[Tensor, ...]:
        """``chunk`` or ``split``: views forward; backward joins the parts' gradients in a new tensor."""
        outputs = [
            Tensor(elements, tensor.width, tensor.storage, requires_grad=tensor.requires_grad) for elements in parts
        ]
        gradients = ((tensor, GradientRule.NEW),) if tensor.requires_grad else ()
        self.operations.append(Operation((tensor,), outputs[0], gradients=gradients, more_outputs=tuple(outputs[1:])))
        return tuple(outputs)

    def concatenate(self, left: Tensor, right: Tensor, elements: Callable[[int], Size]) -> Tensor:
        """``cat``: a new tensor forward; backward hands out views."""
        width = max(left.width, right.width)
        return self.record((left, right), elements, width, rules=(GradientRule.ALIAS, GradientRule.ALIAS))

    def dropout(self, tensor: Tensor) -> Tensor:
        """``native_dropout`` with p > 0: keeps a mask of one byte an element."""
        return self.record(
            (tensor,), tensor.elements, tensor.width, extra_saved=tensor.elements(1), category=_kept_category(tensor)
        )

    def linear(
        self,
        tensor: Tensor,
        weight: Tensor,
        elements: Callable[[int], Size],
        *,
        category: Category = Category.TEMPORARY,
    ) -> Tensor:
        """``nn.Linear``: keeps its input if the weight trains, the (cast) weight if the input needs a gradient."""
        if self.autocast is not None:
            tensor, weight = self.cast(tensor, self.autocast), self.cast_weight(weight, self.autocast)
        saves = [item for item, other in ((tensor, weight), (weight, tensor)) if other.requires_grad]
        return self.record((tensor, weight), elements, tensor.width, saves=saves, category=category)

    def matmul(self, left: Tensor, right: Tensor, elements: Callable[[int], Size]) -> Tensor:
        """A batched product of two activations."""
        if self.autocast is not None:
            left, right = self.cast(left, self.autocast), self.cast(right, self.autocast)
        saves = [item for item, other in ((left, right), (right, left)) if other.requires_grad]
        return self.record((left, right), elements, max(left.width, right.width), saves=saves)


def _kept_category(tensor: Tensor) -> Category:
    return Category.LOGITS if tensor.storage.category is Category.LOGITS else Category.TEMPORARY
