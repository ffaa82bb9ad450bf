"""The flat request: parsing, defaults, permalinks, and the way to the models' groups."""

from app.request.about import THEME_TITLES, About, Theme
from app.request.fields import FIELDS, STACK_FIELDS, Choice, FieldSpec, Kind, fields_of, names_of
from app.request.groups import Dataset, Groups, Market, to_groups
from app.request.model import GpuListing, QuantizationChoice, Run
from app.request.parsing import FieldError, RequestError, parse_json, parse_query
from app.request.permalink import permalink, permalink_pairs, text_of
from app.request.questions import CompareRequest, Objective, RecommendRequest
from app.request.resolve import FieldSource, ResolvedRun, fill_in, resolve
from app.request.solving import MOST_GPUS, SolveRequest, Unknown

__all__ = [
    "FIELDS",
    "MOST_GPUS",
    "STACK_FIELDS",
    "THEME_TITLES",
    "About",
    "Choice",
    "CompareRequest",
    "Dataset",
    "FieldError",
    "FieldSource",
    "FieldSpec",
    "GpuListing",
    "Groups",
    "Kind",
    "Market",
    "Objective",
    "QuantizationChoice",
    "RecommendRequest",
    "RequestError",
    "ResolvedRun",
    "Run",
    "SolveRequest",
    "Theme",
    "Unknown",
    "fields_of",
    "fill_in",
    "names_of",
    "parse_json",
    "parse_query",
    "permalink",
    "permalink_pairs",
    "resolve",
    "text_of",
    "to_groups",
]
