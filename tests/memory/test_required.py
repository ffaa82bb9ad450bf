"""The short way to a run's required bytes against the whole estimate, whichever phase is the peak."""

from dataclasses import replace
from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.estimate import estimate_memory, needed, required_on
from app.memory.result import PhaseName
from tests.memory.runs import CARD, SMALL, groups


@pytest.mark.parametrize(
    ("fields", "peak"),
    [
        ({"method": "full", "optimizer": "adamw_torch", "sequence_length": 16}, PhaseName.OPTIMIZER_STEP),
        ({"method": "full", "sequence_length": 16, "gradient_accumulation_steps": 4}, PhaseName.BACKWARD),
        ({"method": "lora", "sequence_length": 2048}, PhaseName.BACKWARD_LOSS),
        ({"method": "lora", "sequence_length": 2048, "max_grad_norm": 0}, PhaseName.BACKWARD_LOSS),
        ({"method": "qlora", "sequence_length": 4096, "attention": "eager"}, None),
        ({"method": "qlora", "gradient_checkpointing": "full", "loss_kernel": "liger", "lora_rank": 64}, None),
        ({"method": "full", "num_gpus": 8, "strategy": "fsdp2"}, None),
        ({"method": "full", "num_gpus": 8, "strategy": "zero2", "precision": "bf16-mixed"}, None),
        ({"method": "lora", "num_gpus": 4, "pipeline_parallel": 4, "gradient_accumulation_steps": 8}, None),
        ({"method": "lora", "num_gpus": 4, "tensor_parallel": 2, "strategy": "ddp"}, None),
        ({"method": "full", "offload": "optimizer"}, None),
    ],
)
@pytest.mark.parametrize("include_workspaces", [True, False])
def test_required_bytes_are_those_of_the_estimate(
    fields: dict[str, Any], peak: PhaseName | None, include_workspaces: bool
) -> None:
    asked, architecture = groups(**fields), parse_config(SMALL)
    run = (architecture, asked.method, asked.precision, asked.batch, asked.cluster)
    whole = estimate_memory(*run, include_workspaces=include_workspaces)
    found = needed(*run, include_workspaces=include_workspaces)
    assert found == (whole.required_bytes, whole.required)
    for capability in ((7, 5), (8, 6), (9, 0), (10, 0), None):
        device = replace(CARD, compute_capability=capability)
        other = estimate_memory(*run, device=device, include_workspaces=include_workspaces)
        assert required_on(whole, device) == other.required
        assert (
            required_on(other, CARD)
            == estimate_memory(*run, device=CARD, include_workspaces=include_workspaces).required
        )
    assert whole.peak_allocated_bytes == max(phase.bytes for phase in whole.phases)
    assert peak is None or whole.peak_phase is peak
