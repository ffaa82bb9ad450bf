"""Run the training step of one case under the tracker."""

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import transformers
from accelerate.utils.operations import convert_outputs_to_fp32
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.accuracy.tracing import fused, patches
from benchmarks.accuracy.tracing import model as models
from benchmarks.accuracy.tracing.case import TraceCase
from benchmarks.accuracy.tracing.fake_cuda import torch
from benchmarks.accuracy.tracing.optimizers import make_optimizer
from benchmarks.accuracy.tracing.quantise import quantisation_tensors
from benchmarks.accuracy.tracing.saved_tensors import observed_by
from benchmarks.accuracy.tracing.tracker import PARAMETER_CATEGORIES, Category, Phase, Tracker

FUSED = ("chunked", "liger")
WARM_UP_STEP = 1
MEASURED_STEP = 2

patches.install()
transformers.logging.set_verbosity_error()


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A traced case: the tracker with everything it saw, and what was counted beside it."""

    case: TraceCase
    tracker: Tracker
    base_parameters: int
    total_parameters: int
    trainable_parameters: int
    adapted_modules: dict[str, dict[str, int]]
    kernels: dict[str, str]
    resident_bytes: int
    end_of_forward_bytes: int
    end_of_forward_moment: int
    end_of_step_bytes: int


def trace(case: TraceCase) -> Trace:
    """Run two steps of the case on fake CUDA tensors: the optimizer state of the first, all of the second.

    The first step has no forward and backward: its gradients are simply allocated, which gives the same optimizer state
    in half the time. Raises whatever the libraries raise for a case that they cannot run.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with _collector_paused(), _one_thread(), patches.fake_quantisation_maps(), fake:
        return _Step(case, device="cuda", round_blocks=True).run()


def trace_on_cpu(case: TraceCase, *, fake: bool) -> Trace:
    """The same on the CPU, in bytes as requested: on real tensors, or on fake ones, which must agree with them."""
    tensors = FakeTensorMode(allow_non_fake_inputs=True) if fake else contextlib.nullcontext()
    with _collector_paused(), _one_thread(), tensors:
        return _Step(case, device="cpu", round_blocks=False).run()


class _Step:
    """The state of one traced run."""

    def __init__(self, case: TraceCase, *, device: str, round_blocks: bool) -> None:
        base = models.build_base(case, device)
        self.device = device
        self.case = case
        self.request = case.request
        self.vocabulary = int(base.get_output_embeddings().weight.shape[0])
        if case.is_quantised:  # counted before anything is replaced, and so once more after it, for a check
            counted = models.base_parameter_count(base)
        if self.request["loss_kernel"] in FUSED:
            fused.apply_to(self.request["loss_kernel"], base, on_loss=self._enter_loss)
        self.model = models.prepare(case, base)
        self.trainable = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        everything = models.base_parameter_count(self.model)
        trainable = sum(parameter.numel() for parameter in self.trainable)
        self.base_parameters = everything if case.is_full else everything - trainable
        if case.is_quantised and counted != self.base_parameters:
            raise AssertionError(f"quantisation changed the parameter count: {counted} → {self.base_parameters}")
        tokens = self.request["micro_batch_size"] * self.request["sequence_length"]
        self.tracker = Tracker(device_type=device, vocabulary=self.vocabulary, tokens=tokens, round_blocks=round_blocks)
        self.end_of_forward_bytes = 0
        self.end_of_forward_moment = 0
        self.outputs: Any = None

    def run(self) -> Trace:
        """Track what is resident, then the two steps."""
        tracker = self.tracker
        self._track_resident_tensors()
        resident_bytes = tracker.live_bytes
        optimizer = make_optimizer(
            self.request["optimizer"],
            self.model,
            self.trainable,
            embedding_state_32bit=self.request["embedding_state_32bit"],
        )
        self._track_state(optimizer)
        with self._phase_markers(), tracker, observed_by(tracker):
            self._warm_up(optimizer)
            tracker.step = MEASURED_STEP
            for _ in range(self.request["gradient_accumulation_steps"]):
                self._forward_and_backward()
            self._update(optimizer)
        return Trace(
            case=self.case,
            tracker=tracker,
            base_parameters=self.base_parameters,
            total_parameters=models.base_parameter_count(self.model),
            trainable_parameters=sum(parameter.numel() for parameter in self.trainable),
            adapted_modules=models.adapted_modules(self.model),
            kernels=models.kernel_choices(models.base_of(self.model)),
            resident_bytes=resident_bytes,
            end_of_forward_bytes=self.end_of_forward_bytes,
            end_of_forward_moment=self.end_of_forward_moment,
            end_of_step_bytes=tracker.live_bytes,
        )

    def _track_resident_tensors(self) -> None:
        for parameter in self.model.parameters():
            trains = parameter.requires_grad
            category = Category.TRAINABLE_PARAMETERS if trains else Category.FROZEN_PARAMETERS
            self.tracker.track(parameter, category, "parameter")
        for tensor in quantisation_tensors(self.model):
            self.tracker.track(tensor, Category.QUANTISATION_STATE, "quantisation state")
        for buffer in self.model.buffers():
            self.tracker.track(buffer, Category.BUFFERS, "buffer")

    def _track_state(self, optimizer: Any) -> None:
        """What an optimizer makes when it is constructed, as Adagrad does with its sums."""
        for state in optimizer.state.values():
            for tensor in state.values():
                if isinstance(tensor, torch.Tensor):
                    self.tracker.track(tensor, Category.OPTIMIZER_STATE, "optimizer state")

    @contextlib.contextmanager
    def _phase_markers(self) -> Iterator[None]:
        """Mark gradients as they are made, and at the output head the phases: forward → loss, backward → layers'."""
        tracker = self.tracker
        made_in_step = (Category.TEMPORARY, Category.SAVED, Category.RECOMPUTED, Category.LOGITS)

        def label_gradient(parameter: Any) -> None:
            tracker.relabel(parameter.grad, Category.GRADIENTS, only=made_in_step)

        def enter_loss(_: Any, arguments: tuple[Any, ...]) -> None:
            self._enter_loss(arguments[0])

        hooks = [parameter.register_post_accumulate_grad_hook(label_gradient) for parameter in self.trainable]
        head = models.base_of(self.model).get_output_embeddings()
        hooks.append(head.register_forward_pre_hook(enter_loss))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter_loss(self, hidden: Any) -> None:
        def enter_layers_backward(_: Any) -> None:
            self.tracker.enter(Phase.BACKWARD)

        if self.tracker.phase is Phase.FORWARD and not self.tracker.recomputing:
            self.tracker.enter(Phase.LOSS)
            if hidden.requires_grad:
                hidden.register_hook(enter_layers_backward)

    def _warm_up(self, optimizer: Any) -> None:
        self.tracker.step = WARM_UP_STEP
        self.tracker.enter(Phase.BACKWARD)
        for parameter in self.trainable:
            parameter.grad = torch.empty_like(parameter)
            self.tracker.relabel(parameter.grad, Category.GRADIENTS)
        self._update(optimizer)

    def _forward_and_backward(self) -> None:
        request, tracker = self.request, self.tracker
        tracker.enter(Phase.FORWARD)
        shape = (request["micro_batch_size"], request["sequence_length"])
        token_ids = torch.zeros(*shape, dtype=torch.int64, device=self.device)
        tracker.relabel(token_ids, Category.INPUTS)
        inputs = {"input_ids": token_ids, "labels": token_ids}
        if not request["packing"]:
            inputs["attention_mask"] = torch.ones(*shape, dtype=torch.int64, device=self.device)
            inputs["attention_mask"][:, -1] = 0
            tracker.relabel(inputs["attention_mask"], Category.INPUTS)
        loss = self._loss(inputs)
        self.end_of_forward_bytes = tracker.live_bytes
        tracker.tick()
        self.end_of_forward_moment = tracker.tick()
        tracker.tick()
        tracker.enter(Phase.BACKWARD_LOSS)
        self._scaled(loss).backward()

    def _loss(self, inputs: dict[str, Any]) -> Any:
        if self.request["loss_kernel"] == "chunked":
            return fused.trl_loss(self._forward(), self.model, inputs)
        outputs = self._forward()(**inputs)
        self.outputs = outputs if self.request["keep_logits"] else None
        return outputs.loss

    def _forward(self) -> Any:
        """The model's forward as accelerate wraps it: under autocast, and its outputs cast to float32."""
        if self.case.autocast_dtype is None:
            return self.model.forward
        autocast = torch.autocast(self.device, dtype=getattr(torch, self.case.autocast_dtype))
        return convert_outputs_to_fp32(autocast(self.model.forward))

    def _scaled(self, loss: Any) -> Any:
        """The loss times the scale that float16 gradients need; unscaling is in place, and so costs nothing."""
        if self.case.autocast_dtype != "float16":
            return loss
        return loss * torch.ones((), dtype=torch.float32, device=self.device)

    def _update(self, optimizer: Any) -> None:
        tracker = self.tracker
        if self.request["max_grad_norm"]:
            tracker.enter(Phase.CLIP, count_what_is_alive=True)
            torch.nn.utils.clip_grad_norm_(self.trainable, self.request["max_grad_norm"])
        tracker.enter(Phase.OPTIMIZER_STEP, count_what_is_alive=True)
        optimizer.step()
        for state in optimizer.state.values():
            for value in state.values():
                if isinstance(value, torch.Tensor) and tracker.category_of(value) not in PARAMETER_CATEGORIES:
                    tracker.relabel(value, Category.OPTIMIZER_STATE)
        tracker.enter(Phase.ZERO_GRAD)
        optimizer.zero_grad(set_to_none=True)
        gc.collect()


def _one_thread() -> Any:
    """Backward on this thread: the tracker sees only the operators of its own."""
    return torch.autograd.set_multithreading_enabled(False)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python's cycle collector from freeing tensors at moments of its own choosing."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
