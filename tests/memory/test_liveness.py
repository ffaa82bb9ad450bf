"""How much lives when: tapes of two or three operations, summed by hand."""

from app.memory.liveness import Profile, analyse
from app.memory.size import ZERO, Size, constant, per_token
from app.memory.tape import FLOAT32, HALF, Category, Tape, Tensor
from app.memory.transcription.elements import elements_of, tokens


def sigmoid_then_linear(*, trainable: bool, accumulating: bool = False) -> Profile:
    """y = sigmoid(x), z = W·y: x and y have 4 features of 2 bytes, z has 3, W has 12 elements."""
    tape = Tape()
    x = tape.input(tokens(4), HALF, requires_grad=True)
    y = tape.unary(x, saves_output=True)
    weight = tape.parameter(elements_of(12), HALF, trainable=trainable)
    z = tape.linear(y, weight, tokens(3))
    return analyse(tape, z, x, accumulating=accumulating)


def totals(instants: tuple[object, ...]) -> set[Size]:
    return {instant.total for instant in instants}  # type: ignore[attr-defined]


def test_what_waits_for_backward_is_what_was_saved_once() -> None:
    profile = sigmoid_then_linear(trainable=True)
    # sigmoid saved y, and so did the product: one storage of 8 bytes a token
    assert profile.kept.total == per_token(8)
    assert profile.kept.parts == {Category.ACTIVATION: per_token(8)}
    assert not profile.keeps_input


def test_forward_holds_the_kept_and_the_result() -> None:
    profile = sigmoid_then_linear(trainable=True)
    assert totals(profile.forward) == {per_token(8 + 6)}


def test_forward_that_saves_nothing_lets_go_after_the_last_use() -> None:
    tape = Tape()
    x = tape.input(tokens(4), HALF, requires_grad=True)
    y = tape.unary(x)
    z = tape.unary(y)
    last = tape.unary(z)
    profile = analyse(tape, last, x)
    # two of the three results live at once
    assert totals(profile.quiet) == {per_token(16)}
    assert profile.kept.total == ZERO


def test_backward_by_hand() -> None:
    profile = sigmoid_then_linear(trainable=True)
    # before: y and dz (8 + 6 a token); linear: y, dz, dy and dW (8 + 6 + 8 a token, 24); sigmoid: y, dy, dx (24, 24)
    assert totals(profile.backward) == {Size(token=24, fixed=24)}
    assert profile.gradients == constant(24)


def test_backward_of_a_frozen_weight_makes_no_gradient_for_it() -> None:
    profile = sigmoid_then_linear(trainable=False)
    assert totals(profile.backward) == {per_token(24)}
    assert profile.gradients == ZERO


def test_a_second_gradient_is_added_out_of_place() -> None:
    profile = sigmoid_then_linear(trainable=True, accumulating=True)
    # dW exists already, counted outside; the new one and the sum of both: 2 × 24 beside y and dy
    assert profile.gradients == ZERO
    assert Size(token=16, fixed=48) in totals(profile.backward)
    assert per_token(24) in totals(profile.backward)


def test_gradients_that_meet_are_summed_out_of_place() -> None:
    tape = Tape()
    x = tape.input(tokens(4), HALF, requires_grad=True)
    y = tape.scale(x)
    result = tape.add(tape.scale(y), tape.scale(y))
    profile = analyse(tape, result, x)
    # the two gradients of y and their sum stand side by side
    assert totals(profile.backward) == {per_token(24)}


def test_an_input_that_was_saved_is_reported_and_not_counted() -> None:
    tape = Tape()
    x = tape.input(tokens(4), HALF, requires_grad=True)
    y = tape.unary(x, saves_input=True)
    profile = analyse(tape, y, x)
    assert profile.keeps_input
    assert profile.kept.total == ZERO


def test_kernel_workspaces_live_for_their_operation_only() -> None:
    tape = Tape()
    x = tape.input(tokens(4), HALF, requires_grad=True)
    y = tape.record((x,), tokens(4), HALF, forward_temporary=constant(1000), backward_temporary=constant(500))
    z: Tensor = tape.unary(y)
    profile = analyse(tape, z, x)
    assert totals(profile.forward) == {Size(fixed=1000, token=8), per_token(16)}
    assert totals(profile.backward) == {Size(fixed=500, token=16)}


def test_autocast_s_copies_live_until_forward_ends() -> None:
    tape = Tape(autocast=HALF)
    x = tape.input(tokens(4), HALF, requires_grad=False)
    weight = tape.parameter(elements_of(16), FLOAT32, trainable=True)
    y = tape.linear(x, weight, tokens(4))
    profile = analyse(tape, tape.unary(y), x)
    # the input needs no gradient, so the copy is not saved, but the cache holds it
    assert profile.cached == constant(32)
    assert profile.kept.total == ZERO
