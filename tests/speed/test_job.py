"""A job's time from its real tokens."""

from dataclasses import dataclass, replace

import pytest

from app.memory.inputs import Batch, Cluster, Strategy
from app.speed.estimate import Bound, SpeedEstimate
from app.speed.job import CHECKPOINT_SHARE, EVALUATION_SHARE, job_time
from app.speed.notes import CalibrationNote

BATCH = Batch(micro_batch_size=4, sequence_length=512)
OVERHEAD = 1 + EVALUATION_SHARE + CHECKPOINT_SHARE


@dataclass(frozen=True)
class Examples:
    num_examples: int = 1000
    tokens_per_example: int = 512
    epochs: float = 3
    max_steps: int | None = None


def at(tokens_per_second: float, batch: Batch = BATCH, gpus: int = 1) -> SpeedEstimate:
    tokens = batch.micro_batch_size * batch.sequence_length * batch.gradient_accumulation_steps * gpus
    return SpeedEstimate(
        tokens_per_second=tokens_per_second,
        tokens_per_second_low=tokens_per_second / 1.25,
        tokens_per_second_high=tokens_per_second * 1.25,
        coverage=0.8,
        step_seconds=tokens / tokens_per_second,
        mfu=0.3,
        hfu=0.4,
        bound_by=Bound.ARITHMETIC,
        breakdown=(),
        assumptions=(),
        calibration=CalibrationNote(gpu_class="", fraction=0.5, runs=1, sources=("one",), measured=True, sentence=""),
    )


def test_the_articles_arithmetic() -> None:
    """1.536 M tokens at 720 tokens/s are 35.6 minutes, not 24; 24 would be 1,067 tokens/s."""
    found = job_time(at(720), Examples(), BATCH, Cluster())
    assert (found.total_tokens, found.optimizer_steps) == (1_536_000, 750)
    assert found.total_seconds / OVERHEAD / 60 == pytest.approx(35.6, abs=0.05)
    assert job_time(at(1067), Examples(), BATCH, Cluster()).total_seconds / OVERHEAD / 60 == pytest.approx(24, abs=0.05)


def test_the_interval_is_the_speeds() -> None:
    found = job_time(at(720), Examples(), BATCH, Cluster())
    assert found.total_seconds_low == pytest.approx(found.total_seconds / 1.25)
    assert found.total_seconds_high == pytest.approx(found.total_seconds * 1.25)


def test_padding_is_work_and_packing_saves_it() -> None:
    short = Examples(tokens_per_example=128)
    packed = job_time(at(720), short, BATCH, Cluster())
    padded = job_time(at(720), short, replace(BATCH, packing=False), Cluster())
    assert packed.total_tokens == padded.total_tokens == 384_000
    assert padded.fill == 0.25
    assert padded.total_seconds == pytest.approx(4 * packed.total_seconds, rel=0.01)
    assert any("75 % of the work is padding" in line for line in padded.assumptions)


def test_examples_longer_than_a_sequence_are_cut() -> None:
    found = job_time(at(720), Examples(tokens_per_example=4096), BATCH, Cluster())
    assert found.total_tokens == 1_536_000
    assert "Examples are cut to 512 tokens." in found.assumptions


def test_max_steps_takes_the_place_of_epochs() -> None:
    found = job_time(at(720), Examples(max_steps=10), BATCH, Cluster())
    assert (found.optimizer_steps, found.total_tokens) == (10, 10 * 2048)
    padded = job_time(at(720), Examples(tokens_per_example=256, max_steps=10), replace(BATCH, packing=False), Cluster())
    assert padded.total_tokens == 10 * 1024


def test_a_step_that_is_not_full_counts() -> None:
    assert job_time(at(720), Examples(num_examples=1, epochs=1), BATCH, Cluster()).optimizer_steps == 1
    assert job_time(at(720), Examples(num_examples=5, epochs=1), BATCH, Cluster()).optimizer_steps == 2


def test_gpus_and_accumulation_make_steps_larger() -> None:
    batch = replace(BATCH, gradient_accumulation_steps=4)
    cluster = Cluster(num_gpus=2, strategy=Strategy.DDP)
    assert job_time(at(720, batch, 2), Examples(), batch, cluster).optimizer_steps == 94


def test_what_is_added_is_said() -> None:
    assert "evaluation" in job_time(at(720), Examples(), BATCH, Cluster()).assumptions[0]
