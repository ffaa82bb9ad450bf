"""What is sent: mostly right, with something wrong in it, since what is all wrong is refused at the door."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from hypothesis import strategies as st
from pydantic import BaseModel

from app.catalogue.offer_files import COLUMNS, SYNONYMS
from app.catalogue.snapshot import Snapshot
from app.memory.config import ALIASES
from app.request import Run, names_of

WORDS: Final = st.sampled_from(
    [
        "",
        " ",
        "null",
        "none",
        "true",
        "-1",
        "0",
        "1",
        "1e308",
        "1e-320",
        "0x10",
        "NaN",
        "Infinity",
        "-0",
        "1_000",
        "٣",
        "½",
        "9" * 20,
        "9" * 400,
        "1" * 5_000,
        "0." + "0" * 400 + "1",
        "=1+1",
        "@SUM(A1)",
        "'=1",
        "\x00",
        "\ufeff",
        "\u2028",
        "\r\n",
        "%00",
        "%",
        "..",
        "../../etc/passwd",
        "http://169.254.169.254/",
        "<script>",
        "{{7*7}}",
        "${7*7}",
        "' OR 1=1",
        "\ud83d\ude00",
        "e\u0301" * 50,
        "a" * 5_000,
        "config:" + "0" * 32,
        "config:",
        "meta-llama/Llama-3",
        "a/b/c",
        "2026-02-30",
        "0001-01-01",
        "9999-12-31",
        "2026-11-24T00:00:00",
        "USD",
        "usd",
        "XXX",
        "hour",
        "month",
        "qlora",
        "full",
        "auto",
    ]
)
TEXT: Final = WORDS | st.text(max_size=12)
NUMBERS: Final = (
    st.sampled_from([0, 1, -1, 2, 7, 8, 63, 64, 4096, 2**24, 2**24 + 1, 2**31, 2**53, 2**63, 2**64, 10**30, 10**300])
    | st.integers(-10, 300)
    | st.floats(allow_nan=False, allow_infinity=False)
)
SCALARS: Final = st.none() | st.booleans() | NUMBERS | TEXT
NESTED: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)


@lru_cache(maxsize=1)
def _configs() -> Sequence[Mapping[str, Any]]:
    return tuple({**model.config, "model_type": model.model_type} for model in Snapshot.bundled().models)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """A configuration of the catalogue with some keys replaced, taken away or from another model."""
    known = _configs()
    config = dict(draw(st.sampled_from(known)))
    if draw(st.integers(0, 3)) == 0:
        config["model_type"] = draw(st.sampled_from(known))["model_type"]
    names = st.sampled_from([*config, *ALIASES, "layer_types", "rope_scaling", "text_config", "quantization_config"])
    for _ in range(draw(st.integers(0, 4))):
        name = draw(names)
        if draw(st.integers(0, 4)) == 0:
            config.pop(name, None)
        else:
            config[name] = draw(NUMBERS | NESTED)
    return config


@lru_cache(maxsize=4)
def _fields(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(names_of(model))


@lru_cache(maxsize=1)
def _good() -> tuple[str, ...]:
    catalogue = Snapshot.bundled()
    models, gpus = [model.slug for model in catalogue.models], [gpu.slug for gpu in catalogue.gpus]
    return (
        *models[::4],
        *gpus[::6],
        "qlora",
        "lora",
        "full",
        "1",
        "2",
        "8",
        "16",
        "2048",
        "none",
        "all",
        "bf16",
        "true",
    )


def _value() -> st.SearchStrategy[str]:
    return st.sampled_from(_good()) | TEXT


def pairs(model: type[BaseModel]) -> st.SearchStrategy[list[tuple[str, str]]]:
    """A query's names and values, a model among them most of the time."""
    names = st.sampled_from((*_fields(model), "utm_source", "ref", "theme", "lang")) | TEXT
    some = st.lists(st.tuples(names, _value()), max_size=6)
    first = st.sampled_from(["llama-3-8b", "qwen2.5-7b", "mixtral-8x7b-v0.1"]).map(lambda slug: [("model", slug)])
    return st.builds(lambda start, rest: start + rest, first | st.just([]), some)


def damaged(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """As it is four times of six, else cut, or with bytes put in its middle."""
    rubbish = st.sampled_from(
        [
            b"\x00",
            b"\xff\xfe",
            b"[" * 300,
            b'{"a":' * 300,
            b'"\\ud800"',
            b"1" * 5_000,
            b'"model":1,',
            b"\xef\xbb\xbf",
            b"NaN",
        ]
    )

    def break_up(content: bytes, place: float, put: bytes, kind: int) -> bytes:
        at = int(len(content) * place)
        return content if kind < 4 else content[:at] if kind == 4 else content[:at] + put + content[at:]

    return st.builds(break_up, whole, st.floats(0, 1), rubbish, st.integers(0, 5))


def bodies() -> st.SearchStrategy[bytes]:
    """JSON bodies of a run, some of them cut, doubled or with bytes changed."""
    names = st.sampled_from(_fields(Run)) | TEXT
    values = st.sampled_from(_good()) | NUMBERS | NESTED
    run = st.builds(
        lambda given, config: {"model": "llama-3-8b", **given} if config is None else {"config": config, **given},
        st.dictionaries(names, values, max_size=5),
        st.none() | configs(),
    )
    return damaged(run.map(lambda value: json.dumps(value).encode()))


_CELLS: Final = (
    st.sampled_from(
        [
            "rtx-4090",
            "h100-sxm",
            "NVIDIA A100 80GB",
            "1",
            "8",
            "0.44",
            "1,5",
            "1.999",
            "USD",
            "EUR",
            "hour",
            "month",
            "2026-11-20",
            "on_demand",
            "spot",
            "12 months",
            "true",
            "DE",
            "https://example.com/o",
            "javascript:alert(1)",
        ]
    )
    | TEXT
)


@st.composite
def tables(draw: st.DrawFn, columns: Sequence[str], required: Sequence[str]) -> bytes:
    """A CSV file: mostly the right header, cells of any kind, quoted or not, with any delimiter."""
    header = [*required, *draw(st.lists(st.sampled_from(columns) | TEXT, max_size=4))]
    delimiter = draw(st.sampled_from([",", ",", ";", "\t", "|"]))
    rows = draw(st.lists(st.lists(_CELLS, max_size=len(header) + 1), max_size=5))
    quote = draw(st.sampled_from(['"', '"', "", "'"]))
    lines = [header, *rows]
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(
        delimiter.join(f"{quote}{cell}{quote}" for cell in line) for line in lines
    )
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    return text.encode(encoding, "replace")


def lists(columns: Sequence[str], required: Sequence[str]) -> st.SearchStrategy[bytes]:
    """A JSON list of rows, whole or damaged."""
    cells = _CELLS | NUMBERS | NESTED
    row = st.builds(
        lambda first, rest: {**first, **rest},
        st.fixed_dictionaries(dict.fromkeys(required, cells)),
        st.dictionaries(st.sampled_from(columns) | TEXT, cells, max_size=4),
    )
    rows = st.lists(row | NESTED, max_size=4)
    return damaged((rows | rows.map(lambda value: {"offers": value}) | NESTED).map(lambda v: json.dumps(v).encode()))


_OFFERS: Final = (*COLUMNS, *SYNONYMS), ("gpu", "amount", "currency", "period")
_RATES: Final = ("source",), ("base", "currency", "rate", "observed_on")
_GPUHUNT: Final = (
    ("instance_name", "location", "cpu", "memory", "gpu_count", "spot", "disk_size", "gpu_vendor", "flags"),
    ("instance_name", "price", "gpu_name", "gpu_memory"),
)
OFFER_FILES: Final = tables(*_OFFERS) | lists(*_OFFERS)
RATE_FILES: Final = tables(*_RATES) | lists(*_RATES)
GPUHUNT_FILES: Final = tables(*_GPUHUNT)
