"""The lists of the models' and the cards' pages."""

from dataclasses import dataclass

from app.catalogue.snapshot import Snapshot
from app.web.cards_view import card_size, short_card_name
from app.web.components import Link, PageMeta
from app.web.landing import Market
from app.web.shell import PageContext, page_meta


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexPage:
    """A list of pages with a line about each."""

    meta: PageMeta
    title: str
    lead: str
    links: tuple[Link, ...]


def models_index(context: PageContext, snapshot: Snapshot) -> IndexPage:
    """Every model's page."""
    fmt = context.fmt
    _ = fmt.gettext
    return IndexPage(
        meta=page_meta(
            context,
            path="/models",
            title=_("How much VRAM each model takes to fine-tune"),
            description=_(
                "GPU memory for fine-tuning {count} open-weight models with full training, LoRA and QLoRA, a page each."
            ).format(count=len(snapshot.models)),
        ),
        title=_("Fine-tuning memory by model"),
        lead=_("{count} open-weight models. Each page has its memory by method, its cards and their prices.").format(
            count=len(snapshot.models)
        ),
        links=tuple(
            Link(text=model.name, url=f"/models/{model.slug}", detail=fmt.parameters(model.total_parameters))
            for model in snapshot.models
        ),
    )


def gpus_index(context: PageContext, market: Market) -> IndexPage:
    """Every card's page."""
    fmt = context.fmt
    _ = fmt.gettext
    gpus = sorted(market.snapshot.gpus, key=lambda gpu: (short_card_name(gpu.name), gpu.slug))
    return IndexPage(
        meta=page_meta(
            context,
            path="/gpus",
            title=_("What each GPU can fine-tune"),
            description=_(
                "What {count} graphics cards and accelerators can fine-tune: the largest models by method, how many "
                "sequences at once, and their prices."
            ).format(count=len(gpus)),
        ),
        title=_("What each card can fine-tune"),
        lead=_("{count} cards. Each page has the models that fit, by method.").format(count=len(gpus)),
        links=tuple(
            Link(
                text=short_card_name(gpu.name),
                url=f"/gpus/{gpu.slug}",
                detail=card_size(gpu.slug, gpu.device.memory_bytes, market.labels),
            )
            for gpu in gpus
        ),
    )
