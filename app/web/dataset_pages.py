"""The routes of the page about a data set's lengths. What is sent is read once and kept nowhere."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from app.api.state import AppState, state_of
from app.request import FieldError, RequestError, parse_query
from app.request.dataset import DatasetRequest
from app.services.lengths import PATH, Known, dataset_shape, known_figures
from app.services.lengths_results import DatasetShapeResult
from app.services.text_lengths import measure_jsonl, read_lengths
from app.web.answer import DEFAULT_MODEL, EXAMPLE, choices
from app.web.dataset import dataset_page
from app.web.dataset_answer import Sent
from app.web.formatting import Formatter
from app.web.links import page_link
from app.web.pages import cached, page_context, respond
from app.web.shell import PageContext
from app.web.small_form import small_form, texts_of
from app.web.static_files import READ
from app.web.templating import render

router = APIRouter(include_in_schema=False)

MAX_UPLOAD_BYTES: Final = 4 * 1024 * 1024
"""A few thousand examples: a larger data set is described as well by some of its lines."""
UPLOAD_SECONDS: Final = 60
_MAX_FIELDS: Final = 100
_MAX_FIELD_BYTES: Final = 1024 * 1024
"""Room for 100,000 pasted lengths."""

FIRST_VISIT: Final[Mapping[str, str]] = {
    "tokens_per_example": "350",
    "p95_tokens_per_example": "1200",
    "max_tokens_per_example": "4096",
    "micro_batch_size": "8",
    "model": DEFAULT_MODEL,
    "method": EXAMPLE["method"],
    "gpu": EXAMPLE["gpu"],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Posted:
    """A form as it came in."""

    texts: Mapping[str, str]
    lengths: str
    file_name: str
    content: bytes


@router.api_route(PATH, methods=READ)
async def dataset(request: Request) -> Response:
    """Three figures in the address; figures that cannot be read come back with their form and status 422."""
    parts = state_of(request)
    context = page_context(request, parts)

    def make() -> tuple[bytes, int]:
        texts = texts_of(request.query_params.multi_items(), DatasetRequest) or dict(FIRST_VISIT)
        return _page(parts, context, texts, None)

    return await cached(request, parts, context, make)


@router.post(PATH)
async def measure(request: Request) -> Response:
    """A pasted list or an uploaded file; figures alone are sent on to their address."""
    parts = state_of(request)
    posted = await _read(request)
    if not posted.content and not posted.lengths.strip():
        return RedirectResponse(page_link(posted.texts, path=PATH), status_code=303)
    body, status = await run_in_threadpool(_page, parts, page_context(request, parts), posted.texts, posted)
    return respond(body, status)


async def _read(request: Request) -> _Posted:
    """The form. Raises ``HTTPException``: 415 for another kind of body, 408 for one that takes too long."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(415, "Send the file as a form does.")
    form = request.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES)
    try:
        async with asyncio.timeout(UPLOAD_SECONDS), form as sent:
            file = sent.get("file")
            name, content = (file.filename or "", await file.read()) if isinstance(file, UploadFile) else ("", b"")
            pairs = [(key, value) for key, value in sent.multi_items() if isinstance(value, str)]
    except TimeoutError:
        raise HTTPException(408, f"The file did not arrive within {UPLOAD_SECONDS} seconds.") from None
    return _Posted(
        texts=texts_of(pairs, DatasetRequest), lengths=dict(pairs).get("lengths", ""), file_name=name, content=content
    )


def _page(parts: AppState, context: PageContext, texts: Mapping[str, str], posted: _Posted | None) -> tuple[bytes, int]:
    snapshot, today = parts.snapshot(), parts.today()
    form = small_form(DatasetRequest, PATH, texts)
    sent = Sent(lengths=posted.lengths, file_name=posted.file_name) if posted else Sent()
    result: DatasetShapeResult | None = None
    try:
        given = parse_query(texts.items(), model=DatasetRequest)
        known = _known(given, posted)
        if known.measured is not None:
            sent = replace(sent, skipped=known.measured.skipped, skipped_count=known.measured.skipped_count)
        result = dataset_shape(given, known, snapshot, today, parts.policy)
        model = snapshot.model(given.model) if given.model else None
        form = replace(form, texts={**texts, "model": model.name}) if model else form
    except RequestError as problem:
        beside = {error.field: error for error in problem.errors if error.field in {"lengths", "file"}}
        form = small_form(DatasetRequest, PATH, texts, [error for error in problem.errors if error.field not in beside])
        sent = _errors_of(sent, beside, context.fmt)
    page = dataset_page(context=context, form=form, choices=choices(snapshot, today), result=result, sent=sent)
    return render("dataset.html", page, context.fmt.translations).encode(), 200 if result else 422


def _known(given: DatasetRequest, posted: _Posted | None) -> Known:
    if posted is None:
        return known_figures(given)
    if posted.content:
        return Known(measured=measure_jsonl(posted.content))
    return Known(listed=read_lengths(posted.lengths))


def _errors_of(sent: Sent, errors: Mapping[str, FieldError], fmt: Formatter) -> Sent:
    """What is wrong with the list or the file, beside its control."""
    return replace(sent, lengths_error=_said(errors.get("lengths"), fmt), file_error=_said(errors.get("file"), fmt))


def _said(error: FieldError | None, fmt: Formatter) -> str:
    if error is None:
        return ""
    _ = fmt.gettext
    subject = _("The list") if error.field == "lengths" else _("The file")
    allowed = " " + _("It takes {allowed}.").format(allowed=_(error.allowed)) if error.allowed else ""
    return f"{subject} {_(error.message)}{allowed}"
