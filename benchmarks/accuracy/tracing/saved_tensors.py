"""Tell the tracker which blocks autograd saved for backward, and when a checkpointed layer is being recomputed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.accuracy.tracing.fake_cuda import torch
from benchmarks.accuracy.tracing.tracker import Category, Tracker

_RELABELLED = (Category.TEMPORARY,)


@contextmanager
def observed_by(tracker: Tracker) -> Iterator[None]:
    """Within it, tensors saved for backward are labelled as they are packed.

    Non-reentrant checkpointing packs what it recomputes through a hook of its own, pushed on top of any other; its
    class is extended for the duration, so that those tensors are labelled as recomputed.
    """

    def label(tensor: Any) -> Any:
        category = Category.RECOMPUTED if tracker.recomputing else Category.SAVED
        tracker.relabel(tensor, category, only=_RELABELLED)
        return tensor

    hook_class = torch.utils.checkpoint._recomputation_hook
    original = hook_class.__init__, hook_class.__enter__, hook_class.__exit__

    def labelled_init(hook: Any, *args: Any, **kwargs: Any) -> None:
        original[0](hook, *args, **kwargs)
        pack = hook.pack_hook
        hook.pack_hook = lambda tensor: pack(label(tensor))

    def enter(hook: Any) -> Any:
        tracker.recomputing = True
        return original[1](hook)

    def leave(hook: Any, *details: Any) -> Any:
        tracker.recomputing = False
        return original[2](hook, *details)

    hook_class.__init__, hook_class.__enter__, hook_class.__exit__ = labelled_init, enter, leave
    try:
        with torch.autograd.graph.saved_tensors_hooks(label, lambda tensor: tensor):
            yield
    finally:
        hook_class.__init__, hook_class.__enter__, hook_class.__exit__ = original
