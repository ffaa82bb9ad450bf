"""Published runs whose statistic is not clear: reported, held to nothing."""

from benchmarks.accuracy.unclear import compare_unclear, load_unclear, unclear_report


def test_every_run_is_estimated_or_left_out_with_a_reason() -> None:
    runs = load_unclear()
    items = compare_unclear(runs)
    assert len(runs) >= 100
    assert len(items) == sum(run.omission is None for run in runs) >= 60
    text = unclear_report(runs, items)
    assert all(run.omission in text for run in runs if run.omission)
    assert sum(run.low_bytes <= run.high_bytes for run in runs) == len(runs)


def test_those_of_one_project_lie_in_our_intervals() -> None:
    """Qwen's own table: 30 runs of LoRA over seven lengths, three sizes, with and without trained embeddings."""
    items = [item for item in compare_unclear(load_unclear()) if item.run.source.startswith("QwenLM")]
    assert len(items) == 30
    assert all(item.agrees for item in items)
