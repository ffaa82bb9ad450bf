"""From allocated to required, and whether a card holds it."""

from dataclasses import replace
from typing import Any

import pytest

from app.memory.build import parse_config
from app.memory.device import Device, Verdict
from app.memory.estimate import estimate_memory, judge, largest_micro_batch, needed, on_card
from app.memory.overheads import CUDA_CONTEXT, CUDA_CONTEXTS, Evidence, allocated_interval, context_of, workspace_bytes
from app.memory.result import ComponentName, MemoryEstimate, OverheadName
from app.units import GIB, MIB
from tests.memory.runs import CARD, SMALL, estimate, groups, part


def verdict(usable_bytes: int, result: MemoryEstimate, card: Device = CARD, **fields: Any) -> tuple[Verdict, str]:
    asked = groups(**fields)
    return judge(result, replace(card, usable_bytes=usable_bytes), asked.method, asked.precision, asked.batch)


def test_a_card_fits_where_even_the_high_end_does() -> None:
    result = estimate(include_workspaces=True)
    assert verdict(result.required.high_bytes, result)[0] is Verdict.FITS
    assert verdict(result.required.high_bytes - 1, result)[0] is Verdict.TIGHT
    assert verdict(result.required.low_bytes, result)[0] is Verdict.TIGHT
    assert verdict(result.required.low_bytes - 1, result)[0] is Verdict.DOES_NOT_FIT


@pytest.mark.parametrize(
    ("lacking", "fields", "named"),
    [
        ({"supports_bf16": False}, {"precision": "bf16"}, "bfloat16"),
        ({"supports_bf16": False}, {"precision": "bf16-mixed"}, "fp16-mixed"),
        ({"supports_flash_attention_2": False}, {"attention": "flash_attention_2"}, "FlashAttention-2"),
        ({"supports_bitsandbytes": False}, {"method": "qlora"}, "nf4"),
        ({"supports_bitsandbytes": False}, {"optimizer": "adamw_bnb_8bit"}, "adamw_bnb_8bit"),
        ({"supports_bitsandbytes": False}, {"optimizer": "paged_adamw_32bit"}, "paged_adamw_32bit"),
    ],
)
def test_a_card_that_lacks_what_the_run_needs_is_unsupported(
    lacking: dict[str, Any], fields: dict[str, Any], named: str
) -> None:
    result = estimate(**fields)
    status, reason = verdict(80 * GIB, result, replace(CARD, **lacking), **fields)
    assert status is Verdict.UNSUPPORTED
    assert named in reason
    assert verdict(80 * GIB, result, **fields)[0] is Verdict.FITS


def test_a_card_without_bfloat16_runs_fp16() -> None:
    turing = replace(CARD, supports_bf16=False)
    fields: dict[str, Any] = {"precision": "fp16-mixed"}
    assert verdict(80 * GIB, estimate(**fields), turing, **fields)[0] is Verdict.FITS


@pytest.mark.parametrize("fields", [{}, {"method": "full"}, {"method": "qlora", "gradient_checkpointing": "full"}])
@pytest.mark.parametrize("usable_gib", [1, 3, 12, 24])
def test_the_largest_micro_batch_fits_and_the_next_does_not(fields: dict[str, Any], usable_gib: int) -> None:
    usable = usable_gib * GIB
    found = largest_micro_batch(estimate(include_workspaces=True, **fields), usable)
    assert found > 0
    assert estimate(include_workspaces=True, micro_batch_size=found, **fields).required_bytes <= usable
    assert estimate(include_workspaces=True, micro_batch_size=found + 1, **fields).required_bytes > usable


def test_no_micro_batch_fits_a_card_that_the_weights_fill() -> None:
    result = estimate(include_workspaces=True)
    assert largest_micro_batch(result, 16 * MIB) == 0
    assert largest_micro_batch(result, CUDA_CONTEXT.typical_bytes) == 0


def test_overheads_lead_from_allocated_to_required() -> None:
    result = estimate(include_workspaces=True)
    slack, context = result.overheads
    assert (slack.name, context.name) == (OverheadName.ALLOCATOR_SLACK, OverheadName.CUDA_CONTEXT)
    assert result.peak_allocated_bytes + slack.bytes == result.peak_reserved_bytes
    assert result.peak_reserved_bytes + context.bytes == result.required_bytes
    assert slack.bytes / result.peak_allocated_bytes == pytest.approx(0.068, abs=0.0001)


def test_workspaces_are_a_component_that_traces_leave_out() -> None:
    counted, traced = estimate(include_workspaces=True), estimate()
    assert part(traced, ComponentName.WORKSPACES) == 0
    assert counted.peak_allocated_bytes - traced.peak_allocated_bytes == part(counted, ComponentName.WORKSPACES)


@pytest.mark.parametrize(("capability", "expected"), [((8, 6), 8_519_680), ((9, 0), 32 * MIB), ((12, 0), 8_519_680)])
def test_workspaces_by_compute_capability(capability: tuple[int, int], expected: int) -> None:
    assert workspace_bytes(replace(CARD, compute_capability=capability)) == expected
    assert workspace_bytes(None) == 8_519_680


@pytest.mark.parametrize("capability", [*CUDA_CONTEXTS, (6, 1), None])
def test_the_context_is_the_card_s_own_where_it_is_known(capability: tuple[int, int] | None) -> None:
    context = context_of(replace(CARD, compute_capability=capability))
    assert context == (CUDA_CONTEXTS.get(capability, CUDA_CONTEXT) if capability else CUDA_CONTEXT)
    assert context.low_bytes < context.typical_bytes < context.high_bytes


@pytest.mark.parametrize("num_gpus", [1, 4])
def test_an_estimate_is_taken_to_another_card_as_if_made_for_it(num_gpus: int) -> None:
    asked = groups(num_gpus=num_gpus)
    run = (parse_config(SMALL), asked.method, asked.precision, asked.batch, asked.cluster)
    ampere, ada = (replace(CARD, compute_capability=capability) for capability in ((8, 6), (8, 9)))
    taken, made = on_card(estimate_memory(*run, device=ampere), ada), estimate_memory(*run, device=ada)
    assert taken == made
    assert (taken.required_bytes, taken.required) == needed(*run, device=ada) != needed(*run, device=ampere)
    assert sum(part.bytes for part in taken.overheads) == taken.required_bytes - taken.peak_allocated_bytes


def test_an_unknown_family_has_a_wide_interval() -> None:
    known, unknown = (allocated_interval(10**9, kind) for kind in (Evidence.ONE_GPU, Evidence.UNRECOGNISED))
    assert unknown.low_bytes < known.low_bytes < 10**9 < known.high_bytes < unknown.high_bytes
