"""Notes and photos on an alert; taking it over and handing it over."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import Response

from api.http import handling
from api.http.access import Right
from api.http.context import Allowed, MayAcknowledge, ScopedHere, context_of
from api.http.handling import HAND_NOTE_CHARS_MAX, NOTE_CHARS_MAX
from api.http.routes.inputs import NumberInPath
from api.http.shapes.alerts import Alert
from api.http.shapes.handling import Photo, Photos
from api.http.uploads import form_of, photograph_in

FORM: dict[str, JsonValue] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "properties": {"photo": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}
JPEG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The photo.",
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
    }
}
PHOTO_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=86400, immutable",
}
"""Nothing in it can run, whatever it may be taken for; and it never changes."""

handling_routes = APIRouter(tags=["alerts"], dependencies=[Depends(Allowed(Right.SEE))])


class Note(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "the bike is outside now"}]}
    )

    text: str = Field(min_length=1, max_length=NOTE_CHARS_MAX)


class Taking(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"note": ""}]})

    note: str = Field("", max_length=HAND_NOTE_CHARS_MAX)


class Handing(BaseModel):
    """`to` is `person:{id}` or `post:{id}`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"to": "post:xujiahui", "note": "my shift ends"}]},
    )

    to: str = Field(max_length=200)
    note: str = Field("", max_length=HAND_NOTE_CHARS_MAX)


@handling_routes.post("/alerts/{number}/notes")
async def note(
    scoped: ScopedHere, _caller: MayAcknowledge, number: NumberInPath, said: Note
) -> Alert:
    """Write something down in the alert's log, where it stays."""
    return Alert.of(await handling.noted(scoped, number, said.text))


@handling_routes.get("/alerts/{number}/photos")
async def photos(scoped: ScopedHere, number: NumberInPath) -> Photos:
    """List an alert's photos, oldest first."""
    found = await handling.photos(scoped, number)
    return Photos(photos=[Photo.of(each, number) for each in found])


@handling_routes.post("/alerts/{number}/photos", openapi_extra=FORM)
async def add_photo(
    request: Request, scoped: ScopedHere, _caller: MayAcknowledge, number: NumberInPath
) -> Photo:
    """Add a photo: JPEG, PNG or WebP, up to 8 MiB and 40 megapixels. It is made anew."""
    await scoped.alert(number)
    async with form_of(request) as form:
        photograph = await photograph_in(form, context_of(request).darkroom)
    return Photo.of(await handling.photographed(scoped, number, photograph), number)


@handling_routes.get("/alerts/{number}/photos/{photo}", response_class=Response, responses=JPEG)
async def one_photo(scoped: ScopedHere, number: NumberInPath, photo: NumberInPath) -> Response:
    """Return a photo."""
    return jpeg_response(await handling.jpeg(scoped, number, photo), number, photo)


@handling_routes.post("/alerts/{number}/take")
async def take(
    scoped: ScopedHere, _caller: MayAcknowledge, number: NumberInPath, said: Taking
) -> Alert:
    """Follow an alert from now on; acknowledges it if nobody has."""
    return Alert.of(await handling.taken(scoped, number, said.note))


@handling_routes.post("/alerts/{number}/hand")
async def hand(
    scoped: ScopedHere, _caller: MayAcknowledge, number: NumberInPath, said: Handing
) -> Alert:
    """Ask somebody to take an alert over. Until they do it is to be acknowledged anew."""
    return Alert.of(await handling.handed(scoped, number, said.to, said.note))


def jpeg_response(jpeg: bytes, number: int, photo: int) -> Response:
    """Return a photo as an answer."""
    return Response(
        jpeg,
        media_type="image/jpeg",
        headers=PHOTO_HEADERS
        | {"Content-Disposition": f'inline; filename="alert-{number}-{photo}.jpg"'},
    )
