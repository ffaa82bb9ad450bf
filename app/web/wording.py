"""The words for the result's closed sets, marked for translation; each is looked up once, when a view is built."""

from collections.abc import Mapping
from typing import Final

from app import messages
from app.memory.device import Verdict
from app.memory.inputs import MethodKind
from app.memory.result import ComponentName, OverheadName, PhaseName

mark = messages.mark

COMPONENTS: Final[Mapping[ComponentName | OverheadName, str]] = {
    ComponentName.WEIGHTS: mark("Weights"),
    ComponentName.QUANTISATION_STATE: mark("Quantisation state"),
    ComponentName.ADAPTERS: mark("Adapters"),
    ComponentName.GRADIENTS: mark("Gradients"),
    ComponentName.OPTIMIZER_STATE: mark("Optimizer state"),
    ComponentName.ACTIVATIONS: mark("Activations"),
    ComponentName.LOGITS: mark("Logits and loss"),
    ComponentName.GATHERED_WEIGHTS: mark("Gathered weights"),
    ComponentName.TEMPORARIES: mark("Temporaries"),
    ComponentName.COMMUNICATION: mark("Communication buffers"),
    ComponentName.WORKSPACES: mark("Library workspaces"),
    OverheadName.ALLOCATOR_SLACK: mark("Allocator’s reserve"),
    OverheadName.CUDA_CONTEXT: mark("CUDA context"),
}

GROUPS: Final[Mapping[str, str]] = {
    "weights": mark("Weights"),
    "quant": mark("Scales"),
    "adapters": mark("Adapters"),
    "gradients": mark("Gradients"),
    "optimizer": mark("Optimizer"),
    "activations": mark("Activations"),
    "logits": mark("Logits"),
    "temporaries": mark("Temporary"),
    "overhead": mark("CUDA"),
}
"""Short enough to stand inside a bar."""

PHASES: Final[Mapping[PhaseName, str]] = {
    PhaseName.FORWARD: mark("Forward"),
    PhaseName.LOSS: mark("Loss"),
    PhaseName.BACKWARD_LOSS: mark("Backward of the loss"),
    PhaseName.BACKWARD: mark("Backward of the layers"),
    PhaseName.CLIP: mark("Gradient clipping"),
    PhaseName.OPTIMIZER_STEP: mark("Optimizer step"),
}

PHASE_REASONS: Final[Mapping[PhaseName, str]] = {
    PhaseName.FORWARD: mark("Here it is the forward pass, as the last layers add to what is kept for the way back."),
    PhaseName.LOSS: mark("Here it is the loss, when everything kept for the way back and the logits are held at once."),
    PhaseName.BACKWARD_LOSS: mark(
        "Here it is the backward of the loss, when everything kept for the way back, the logits and their gradients "
        "are held at once."
    ),
    PhaseName.BACKWARD: mark("Here it is the backward of the layers, as gradients grow while activations are let go."),
    PhaseName.CLIP: mark("Here it is gradient clipping, when every gradient is held."),
    PhaseName.OPTIMIZER_STEP: mark("Here it is the optimizer’s step, with its own copies beside gradients and state."),
}

METHODS: Final[Mapping[MethodKind, str]] = {
    MethodKind.FULL: mark("Full"),
    MethodKind.LORA: mark("LoRA"),
    MethodKind.QLORA: mark("QLoRA"),
}

METHODS_IN_TEXT: Final[Mapping[MethodKind, str]] = {
    MethodKind.FULL: mark("full fine-tuning"),
    MethodKind.LORA: mark("LoRA"),
    MethodKind.QLORA: mark("QLoRA"),
}

METHOD_RUNS: Final[Mapping[MethodKind, str]] = {
    MethodKind.FULL: mark("Full fine-tuning"),
    MethodKind.LORA: mark("LoRA fine-tuning"),
    MethodKind.QLORA: mark("QLoRA fine-tuning"),
}

METHOD_BLURBS: Final[Mapping[MethodKind, str]] = {
    MethodKind.FULL: mark("Trains every weight. Best ceiling, most memory."),
    MethodKind.LORA: mark("Trains small adapters beside a frozen 16‑bit model."),
    MethodKind.QLORA: mark("Trains small adapters beside a frozen 4‑bit model."),
}

VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.FITS: mark("Fits"),
    Verdict.TIGHT: mark("Tight"),
    Verdict.DOES_NOT_FIT: mark("Does not fit"),
    Verdict.UNSUPPORTED: mark("Cannot run it"),
}

TONES: Final[Mapping[Verdict, str]] = {
    Verdict.FITS: "fits",
    Verdict.TIGHT: "tight",
    Verdict.DOES_NOT_FIT: "no",
    Verdict.UNSUPPORTED: "no",
}
"""The icon and colour of a verdict."""

SOURCES: Final[Mapping[str, str]] = {
    "request": mark("you chose it"),
    "stack": mark("the stack’s default"),
    "default": mark("default"),
    "derived": mark("follows from the rest"),
}
