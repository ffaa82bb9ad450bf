"""The view models that the template macros take: frozen, and every value is already text."""

from dataclasses import dataclass

from app.web.charts import StackedBar


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A link in a list; ``is_current`` marks the page being shown."""

    text: str
    url: str
    is_current: bool = False
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A sentence with a lead in bold; ``id`` where something links to it."""

    lead: str
    text: str
    id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageMeta:
    """What the head, header and footer of a page show. Addresses in the head are absolute."""

    title: str
    description: str
    canonical_url: str
    brand_name: str
    brand_logo_url: str
    """The operator's logo beside the name; empty for this product's own."""
    language: str
    navigation: tuple[Link, ...]
    footnotes: tuple[Note, ...]
    footer_links: tuple[Link, ...]
    oembed_url: str = ""
    image_url: str = ""
    """A picture of 1200 × 630 pixels for social cards."""
    theme: str = ""
    brand_css_url: str = ""
    language_prefix: str = ""
    """What the addresses of pages in this language begin with; empty in the operator's own."""
    alternates: tuple["AlternatePage", ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AlternatePage:
    """The same page in a language: the canonical address, and the one that keeps what was asked."""

    language: str
    name: str
    canonical_url: str
    url: str
    is_current: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """A verdict in a word or three; ``tone`` (fits, tight, no) is its icon and colour."""

    tone: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A named figure, and a line of detail under it."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chip:
    """A change to the run that a click applies."""

    url: str
    icon: str
    text: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChipGroup:
    """Changes that serve one end."""

    title: str
    chips: tuple[Chip, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauge:
    """The peak on one card as a stacked bar: what is free, where the limit is, and the range as a whisker."""

    bar: StackedBar
    caption: str
    capacity_text: str
    description: str
    """The same in words, for those who do not see the bar."""
    free_label: str
    free_value: str
    low_x: str
    high_x: str
    range_x: str
    range_dx: str
    range_anchor_end: bool
    range_text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A mark on a chart's axis; ``minor`` ones are left out on phones."""

    x: str
    text: str
    anchor: str
    minor: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseRow:
    """One phase of the step as a bar with its total."""

    name: str
    bar: StackedBar
    value: str
    is_peak: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseChart:
    """The phases on one scale, with the card's limit across them."""

    name: str
    unit: str
    rows: tuple[PhaseRow, ...]
    ticks: tuple[Tick, ...]
    capacity_x: str
    capacity_dx: str
    capacity_anchor: str
    capacity_text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PartRow:
    """One component of the peak."""

    group: str
    name: str
    explanation: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PartsTable:
    """What the peak is made of; the values shown add up to the total shown."""

    name: str
    unit: str
    rows: tuple[PartRow, ...]
    total_name: str
    total: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodCard:
    """One method for the chosen model, beside the others."""

    id: str
    name: str
    blurb: str
    tag: Tag | None
    needs: str
    bar: StackedBar
    facts: tuple[Fact, ...]
    is_current: bool
    url: str
    switch_text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CardRow:
    """One GPU: whether it holds the run, how much is free, and what it costs. Empty texts are left out."""

    name: str
    sold_as: str
    judge_url: str
    tag: Tag
    used_width: str
    memory_text: str
    time: str
    price: str
    price_note: str
    cost: str
    order_url: str
    order_text: str
    fix_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CardTable:
    """GPUs in the order worth reading them in."""

    name: str
    memory_heading: str
    has_time: bool
    has_cost: bool
    has_order: bool
    """Whether any row leads to an order, or to what would make the run fit."""
    rows: tuple[CardRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One choice of a select; ``id`` only on the one whose words follow the result."""

    id: str | None
    value: str
    text: str
    is_selected: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RulerMark:
    """A common value with its verdict on the chosen card."""

    url: str
    text: str
    tone: str
    verdict: str
    is_current: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruler:
    """Common values of a field, each a link."""

    id: str
    name: str
    marks: tuple[RulerMark, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FieldView:
    """A labelled control with its hint and error. A select where there are options, else an input.

    Equal only to itself, so that what is drawn of it can be kept.
    """

    id: str
    name: str
    label: str
    unit: str
    hint: str
    options: tuple[Option, ...]
    value: str
    default: str
    placeholder: str
    input_type: str
    input_mode: str
    minimum: str
    maximum: str
    step: str
    list_id: str
    error: str
    suggestions: tuple[Link, ...]
    term_url: str
    """Where the glossary explains the field; empty where its hint says it all."""
    described_by: str
    ruler: Ruler | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fold:
    """A folded group of fields whose summary says what applies now; equal only to itself, as its fields are."""

    id: str
    title: str
    summary: str
    fields: tuple[FieldView, ...]
    is_open: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeSample:
    """Something to take away as text."""

    id: str
    title: str
    summary: str
    name: str
    code: str
    is_open: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Formula:
    """A component, its value, and how it comes about."""

    name: str
    value: str
    formula: str
    source: str
