"""The glossary: every term that the pages use, in a sentence or two, and the fields that each explains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.messages import mark
from app.web.components import PageMeta
from app.web.schema import as_script
from app.web.shell import PageContext, page_meta

PATH: Final = "/glossary"

TERMS: Final[Mapping[str, tuple[str, str]]] = {
    "full": (
        mark("Full fine-tuning"),
        mark("Every weight of the model is trained, so every weight has a gradient and an optimizer state beside it."),
    ),
    "lora": (
        mark("LoRA"),
        mark("The model is frozen; two thin matrices beside each adapted projection are trained instead."),
    ),
    "qlora": (
        mark("QLoRA"),
        mark("LoRA over a model whose weights are stored in 4 bits and turned back into numbers as they are used."),
    ),
    "rank": (
        mark("Rank"),
        mark("The width of an adapter’s matrices. A higher rank can learn more and takes a little more memory."),
    ),
    "dora": (
        mark("DoRA"),
        mark("An adapter that also learns each output’s magnitude. It takes more memory and time than LoRA."),
    ),
    "nf4": (
        mark("NF4"),
        mark("A 4-bit number format whose sixteen values are spread as weights usually are. Each block has a scale."),
    ),
    "double-quantisation": (
        mark("Double quantisation"),
        mark("The scales of quantised blocks are quantised too: 0.516 instead of 0.5625 bytes a weight."),
    ),
    "upcast": (
        mark("Upcasting the rest"),
        mark(
            "What is not quantised (embeddings, norms, output layer) is held in float32, as PEFT’s "
            "prepare_model_for_kbit_training does. It costs memory and steadies training."
        ),
    ),
    "precision": (
        mark("Precision"),
        mark(
            "Which number formats weights, gradients and arithmetic use. Mixed precision keeps what is trained in "
            "float32 and computes in 16 bits."
        ),
    ),
    "optimizer": (
        mark("Optimizer state"),
        mark("What the optimizer remembers of every trained parameter: for Adam two running averages."),
    ),
    "fused": (
        mark("Fused and foreach"),
        mark(
            "Two implementations of one optimizer. Foreach makes temporary copies of everything trained during its "
            "step; fused makes none."
        ),
    ),
    "gradients": (
        mark("Gradients"),
        mark("How each trained parameter should change. One for every trained parameter, until the step has used it."),
    ),
    "micro-batch": (
        mark("Micro-batch"),
        mark("The sequences that one GPU holds in one forward and backward pass."),
    ),
    "accumulation": (
        mark("Gradient accumulation"),
        mark(
            "Several micro-batches whose gradients are summed before the weights change. It makes a larger batch "
            "without the memory of one."
        ),
    ),
    "sequence": (
        mark("Sequence length"),
        mark("Tokens of the longest sequence in a batch, after padding or packing."),
    ),
    "packing": (
        mark("Packing"),
        mark("Short examples are joined into full sequences, so that no memory or time goes into padding."),
    ),
    "activations": (
        mark("Activations"),
        mark("Results of the forward pass that wait for the backward pass. They grow with batch and sequence length."),
    ),
    "checkpointing": (
        mark("Gradient checkpointing"),
        mark(
            "Only each layer’s input is kept; the rest is computed again on the way back. Less memory, a slower step."
        ),
    ),
    "logits": (
        mark("Logits"),
        mark(
            "A score for every word of the vocabulary at every token. With a large vocabulary they and their gradients "
            "can be the largest part."
        ),
    ),
    "loss-kernel": (
        mark("Loss kernel"),
        mark("How scores become a loss. Fused and chunked kernels never hold all logits at once."),
    ),
    "attention": (
        mark("Attention kernel"),
        mark("SDPA and FlashAttention never hold the square of the sequence length; eager attention does."),
    ),
    "peak": (
        mark("Training peak"),
        mark("The most that PyTorch has allocated at any moment of a step: what max_memory_allocated() says."),
    ),
    "needs": (
        mark("Card must have"),
        mark("The training peak, what PyTorch’s allocator keeps in reserve, and the CUDA context."),
    ),
    "usable": (
        mark("Usable memory"),
        mark("What a training process can get of a card: a little less than the size it is sold as."),
    ),
    "sharding": (
        mark("Sharding"),
        mark("GPUs share the optimizer’s state, the gradients or the weights instead of each holding all of them."),
    ),
    "offload": (
        mark("Offload"),
        mark("State or weights rest in the CPU’s memory or on disk between uses. Less GPU memory, a slower step."),
    ),
    "stack": (
        mark("Training stack"),
        mark("A named set of defaults, read from the training libraries’ own source at a stated version."),
    ),
    "gib": (
        mark("GiB and GB"),
        mark("1 GiB is 1,073,741,824 bytes, 1 GB is 1,000,000,000. Drivers count in GiB, publications often in GB."),
    ),
}
"""Term and meaning by anchor. What is stated here is how the model counts, not a figure of any run."""

FIELD_TERMS: Final[Mapping[str, str]] = {
    "lora_rank": "rank",
    "use_dora": "dora",
    "quantization": "nf4",
    "double_quantization": "double-quantisation",
    "upcast_non_quantized": "upcast",
    "precision": "precision",
    "optimizer": "fused",
    "micro_batch_size": "micro-batch",
    "gradient_accumulation_steps": "accumulation",
    "sequence_length": "sequence",
    "packing": "packing",
    "gradient_checkpointing": "checkpointing",
    "loss_kernel": "loss-kernel",
    "attention": "attention",
    "strategy": "sharding",
    "offload": "offload",
    "stack": "stack",
    "gpu": "usable",
}
"""The term that explains a field of the form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """A term, its anchor and its meaning."""

    id: str
    name: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GlossaryPage:
    """The terms in the order of the alphabet."""

    meta: PageMeta
    title: str
    lead: str
    terms: tuple[Term, ...]
    structured: str


def glossary_page(context: PageContext) -> GlossaryPage:
    """The page, sorted in the reader's language."""
    _ = context.fmt.gettext
    terms = sorted(
        (Term(id=anchor, name=_(name), text=_(text)) for anchor, (name, text) in TERMS.items()),
        key=lambda term: term.name.casefold(),
    )
    title = _("Fine-tuning memory, term by term")
    return GlossaryPage(
        meta=page_meta(
            context,
            path=PATH,
            title=title,
            description=_(
                "What gradient checkpointing, LoRA rank, optimizer state, activations and the other words of "
                "fine-tuning memory mean, a sentence or two each."
            ),
        ),
        title=title,
        lead=_("What the words on these pages mean, and what each has to do with memory."),
        terms=tuple(terms),
        structured=as_script(
            {
                "@type": "DefinedTermSet",
                "name": title,
                "url": context.absolute(PATH),
                "hasDefinedTerm": [
                    {"@type": "DefinedTerm", "name": term.name, "description": term.text, "termCode": term.id}
                    for term in terms
                ],
            }
        ),
    )
