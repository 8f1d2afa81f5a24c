"""The files beside the pages. Their addresses carry their digest, so browsers may keep them."""

import hashlib
from functools import cache
from http import HTTPStatus
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
KEPT = "public, max-age=31536000, immutable"
ASKED_AGAIN = "no-cache"


@cache
def digest_of(name: str) -> str:
    """Return a part of the SHA-256 of a file; they change with a new version of the service."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """Return the address of a file below static/."""
    return f"/static/{name}?{digest_of(name)}"


class Assets(StaticFiles):
    """Says of a file whose digest was asked for that it never changes."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code < HTTPStatus.BAD_REQUEST:
            asked = scope["query_string"].decode("latin-1")
            known = bool(asked) and asked == digest_of(path)
            response.headers["Cache-Control"] = KEPT if known else ASKED_AGAIN
        return response
