"""Every kind of norm and activation that a family can name has its bytes and kernels."""

from app.memory.architecture import ActivationKind, NormKind
from app.speed.work import EAGER_ACTIVATION, EAGER_NORM


def test_every_norm_and_activation_moves_something() -> None:
    assert set(EAGER_NORM) == set(NormKind)
    assert set(EAGER_ACTIVATION) == set(ActivationKind)
    assert all(
        traffic.forward > 0 and traffic.kernels > 0 for traffic in [*EAGER_NORM.values(), *EAGER_ACTIVATION.values()]
    )
