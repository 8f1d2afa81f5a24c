"""Photos as browsers and programs send them: read only once it is known who sends them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from api.http.problems import Trouble
from api.photographs import BYTES_MAX, Darkroom, Photograph, PhotoRefused, Why

FIELD = "photo"
FIELDS_MAX = 4
FIELD_BYTES_MAX = 8 * 1024
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
STATUS = {Why.TOO_LARGE: 413, Why.TOO_SLOW: 503, Why.BUSY: 503}


@asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[FormData]:
    """Yield a form that may hold one file. A route that declares it would read it for all."""
    try:
        form = await request.form(
            max_files=1, max_fields=FIELDS_MAX, max_part_size=FIELD_BYTES_MAX
        )
    except (HTTPException, MultiPartException, AssertionError) as error:
        if isinstance(error, HTTPException) and error.status_code == TOO_LARGE:
            raise Trouble(TOO_LARGE, error.detail, words="problem.large") from error
        raise Trouble(422, "This is no form with a photo.", words="photo.empty") from error
    try:
        yield form
    finally:
        await form.close()


def text_in(form: FormData, name: str) -> str:
    """Return a field of text; empty if there is none, or a file in its place."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


async def photograph_in(form: FormData, darkroom: Darkroom) -> Photograph:
    """Return the photo of a form, made anew."""
    file = form.get(FIELD)
    raw = await file.read(BYTES_MAX + 1) if isinstance(file, UploadFile) else b""
    try:
        return await darkroom.develop(raw)
    except PhotoRefused as refused:
        why = refused.why
        detail = f"The photo was not taken: {why}."
        raise Trouble(STATUS.get(why, 422), detail, words=f"photo.{why}") from None
