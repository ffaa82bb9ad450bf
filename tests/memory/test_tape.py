"""What an operation saves for backward, by the rules of PyTorch's derivatives."""

import pytest

from app.memory.size import ZERO, Size, constant, per_token
from app.memory.tape import FLOAT32, HALF, Category, Tape
from app.memory.transcription.elements import elements_of, tokens


def test_a_cast_to_the_same_width_is_the_tensor_itself() -> None:
    tape = Tape()
    x = tape.input(tokens(8), HALF, requires_grad=True)
    assert tape.cast(x, HALF) is x
    assert not tape.operations


def test_a_cast_copies_and_saves_nothing() -> None:
    tape = Tape()
    x = tape.input(tokens(8), HALF, requires_grad=True)
    wide = tape.cast(x, FLOAT32)
    assert wide.size == per_token(32)
    assert wide.storage is not x.storage
    assert not tape.operations[0].saves


@pytest.mark.parametrize(
    ("input_requires", "weight_trains", "saved"),
    [(True, True, {"x", "w"}), (True, False, {"w"}), (False, True, {"x"}), (False, False, set())],
)
def test_a_linear_layer_saves_what_the_other_factor_s_gradient_needs(
    input_requires: bool, weight_trains: bool, saved: set[str]
) -> None:
    tape = Tape()
    x = tape.input(tokens(8), HALF, requires_grad=input_requires)
    weight = tape.parameter(elements_of(8 * 4), HALF, trainable=weight_trains)
    result = tape.linear(x, weight, tokens(4))
    names = {x.storage: "x", weight.storage: "w"}
    assert {names[storage] for storage in tape.operations[-1].saves} == saved
    assert result.requires_grad == (input_requires or weight_trains)
    assert result.size == per_token(8)


def test_without_a_gradient_nothing_is_saved() -> None:
    tape = Tape()
    x = tape.input(tokens(8), HALF, requires_grad=False)
    tape.unary(x, saves_input=True, saves_output=True)
    tape.dropout(x)
    assert all(not operation.saves for operation in tape.operations)


def test_dropout_keeps_a_mask_of_one_byte_an_element() -> None:
    tape = Tape()
    x = tape.input(tokens(8), HALF, requires_grad=True)
    tape.dropout(x)
    (mask,) = tape.operations[0].saves
    assert mask.size == per_token(8)


def test_autocast_copies_a_trained_weight_once_and_a_frozen_one_at_every_use() -> None:
    for trainable, copies in ((True, 1), (False, 2)):
        tape = Tape(autocast=HALF)
        x = tape.input(tokens(8), HALF, requires_grad=True)
        weight = tape.parameter(elements_of(64), FLOAT32, trainable=trainable)
        for _ in range(2):
            tape.linear(x, weight, tokens(8))
        made = [op.output for op in tape.operations if op.output.storage.category is Category.WEIGHT_COPY]
        assert len(made) == copies
        assert all(copy.size == constant(128) for copy in made)


def test_a_product_makes_a_broadcast_factor_s_gradient_at_full_size_first() -> None:
    tape = Tape()
    x = tape.input(tokens(8), FLOAT32, requires_grad=True)
    scale = tape.parameter(elements_of(8), FLOAT32, trainable=True)
    tape.multiply(x, scale)
    assert tape.operations[-1].backward_temporary == per_token(32)
    assert tape.operations[-1].saves == (x.storage, scale.storage)


def test_mixed_widths_compute_at_the_wider() -> None:
    tape = Tape()
    narrow = tape.input(tokens(8), HALF, requires_grad=True)
    wide = tape.input(tokens(8), FLOAT32, requires_grad=True)
    assert tape.add(narrow, wide).width == FLOAT32
    assert tape.multiply(narrow, wide).width == FLOAT32


def test_views_share_their_storage() -> None:
    tape = Tape()
    x = tape.input(tokens(8), HALF, requires_grad=True)
    half = tape.narrow(x, tokens(4))
    assert half.storage is x.storage
    assert half.size == per_token(8)
    assert tape.copy(half).storage is not x.storage


def test_a_tensor_without_a_history_needs_no_gradient() -> None:
    tape = Tape()
    mask = tape.fresh(tokens(1), FLOAT32)
    assert not mask.requires_grad
    assert tape.operations[0].forward_temporary == ZERO
    assert mask.size == Size(token=4)
