"""What the operator's pages share: who is signed in, what a form sent, and how a page is answered."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.responses import RedirectResponse, Response

from app.admin import sessions
from app.admin.guard import NOT_KEPT, RefusedError, admin_of, require, require_own_form
from app.admin.keys import KeyHolder, Scope
from app.admin.views import HOME, AdminPage, admin_meta
from app.api.state import state_of
from app.web.pages import HTML, page_context
from app.web.shell import PageContext
from app.web.templating import render

SIGN_IN: Final = f"{HOME}/sign-in"
PAGE_HEADERS: Final = {
    **NOT_KEPT,
    # So that a form's Origin is this site's, and no other learns these addresses.
    "referrer-policy": "same-origin",
    "x-robots-tag": "noindex, nofollow",
}
MAX_FIELDS: Final = 40
MAX_FIELD_BYTES: Final = 16 * 1024


class SignInNeededError(Exception):
    """Nobody is signed in here."""


def signed_in(scope: Scope | None = None) -> Callable[[Request], Coroutine[Any, Any, KeyHolder]]:
    """A dependency: who is signed in, with a key that opens ``scope``.

    Raises :class:`SignInNeededError`, and :class:`RefusedError` for a key that does not, or a form not from here.
    """

    async def holder(request: Request) -> KeyHolder:
        if request.method == "POST":
            require_own_form(request)
        token = sessions.token_of(request)
        found = await run_in_threadpool(sessions.find, admin_of(request).database, token) if token else None
        if found is None:
            raise SignInNeededError
        if scope is not None:
            require(found, scope)
        return found

    return holder


Anybody = Annotated[KeyHolder, Depends(signed_in())]
Reader = Annotated[KeyHolder, Depends(signed_in(Scope.READ))]
OfferKeeper = Annotated[KeyHolder, Depends(signed_in(Scope.OFFERS))]
RateKeeper = Annotated[KeyHolder, Depends(signed_in(Scope.RATES))]
KeyKeeper = Annotated[KeyHolder, Depends(signed_in(Scope.KEYS))]


async def read_form(request: Request) -> FormData:
    """What a form sent. Called after the visitor was let in, so that nobody else's files are read."""
    return await request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)


def text_of(form: FormData, name: str) -> str:
    """A field as text, trimmed; an absent one is empty."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def texts_of(form: FormData, name: str) -> list[str]:
    """All values of a repeated field."""
    return [value for value in form.getlist(name) if isinstance(value, str)]


async def file_of(form: FormData, name: str) -> tuple[str, bytes]:
    """A file's name and content; both are empty where none was chosen."""
    value = form.get(name)
    return (value.filename or "", await value.read()) if isinstance(value, UploadFile) else ("", b"")


def context_of(request: Request) -> PageContext:
    """Who is asking, and how the operator wants it to look."""
    return page_context(request, state_of(request))


def show(
    request: Request, holder: KeyHolder | None, title: str, *, status: int = 200, headers: Any = None, **parts: Any
) -> Response:
    """A page of the operator. ``parts`` are fields of :class:`~app.admin.views.AdminPage`."""
    context = context_of(request)
    page = AdminPage(
        meta=admin_meta(context, path=request.url.path, title=title, holder=holder),
        title=title,
        holder=holder.actor if holder is not None else "",
        **parts,
    )
    body = render("admin/page.html", page, context.fmt.translations)
    return Response(body, status_code=status, media_type=HTML, headers=PAGE_HEADERS | dict(headers or {}))


def go(path: str) -> RedirectResponse:
    """On to a page, after something was done."""
    return RedirectResponse(path, status_code=303, headers=PAGE_HEADERS)


def refused_page(request: Request, error: RefusedError) -> Response:
    """A refusal as a page."""
    return show(request, None, "This is not open to you", status=error.status, headers=error.headers, lead=error.detail)


def lines(errors: Iterable[object], most: int = 50) -> tuple[str, ...]:
    """Errors as sentences, the first few of them."""
    listed = [str(error) for error in errors]
    more = (f"… and {len(listed) - most} more",) if len(listed) > most else ()
    return (*listed[:most], *more)
