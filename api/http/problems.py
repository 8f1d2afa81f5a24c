"""What goes wrong, said in one form: RFC 9457 to programs, a page in their words to people."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from api.console.rendering import error_page, path_after_login
from api.passwords import HashingBusy
from ingest.desk import DeskBusy
from ingest.errors import ChargewatchError
from ingest.history import HistoryUnavailable
from ingest.ledger.store import LedgerUnavailable

PROBLEM_JSON = "application/problem+json"
FOR_PROGRAMS = ("/api/", "/health/", "/metrics")
RETRY_AFTER_S = "5"
FIELD_ERRORS_MAX = 20
NOT_PARSED = "There was an error parsing the body"
"""FastAPI's words for a body that is not even text."""

log = structlog.get_logger("api.http")


class FieldError(BaseModel):
    """One input that is not right."""

    where: str
    what: str


class Problem(BaseModel):
    """What went wrong (RFC 9457, application/problem+json)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "…"}
            ]
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    errors: list[FieldError] = Field(default_factory=list)


class Trouble(ChargewatchError):
    """A request that cannot be served, and why; becomes a problem document.

    `words` is the catalogue's key for what people read about it, beside the title.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        words: str = "",
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.words = status, detail, words
        self.headers, self.errors = dict(headers or {}), list(errors)


def too_much(wait_s: float) -> Trouble:
    """Return the answer to whoever asks too often."""
    headers = {"Retry-After": str(math.ceil(wait_s))}
    return Trouble(
        429, "Too many requests; wait a little.", words="problem.slow", headers=headers
    )


class LoginNeeded(ChargewatchError):
    """A page of the console was asked for by somebody who is not logged in."""


class PasswordNeeded(ChargewatchError):
    """A page was asked for by somebody who must choose a password of their own first."""


def problem_response(
    request: Request, trouble: Trouble, errors: list[FieldError] | None = None
) -> Response:
    """Return what went wrong in the form that whoever asked can read."""
    status = trouble.status
    if for_people(request):
        return error_page(request, status, trouble.words, trouble.headers)
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=trouble.detail,
        errors=errors or [],
    )
    body = problem.model_dump(exclude=None if errors else {"errors"})
    return JSONResponse(body, status, headers=trouble.headers, media_type=PROBLEM_JSON)


def for_people(request: Request) -> bool:
    path = request.url.path
    if path.startswith(FOR_PROGRAMS):
        return False
    return "text/html" in request.headers.get("accept", "")


def explain_problems(app: FastAPI) -> None:
    """Make every error of `app` a problem document or an error page."""
    _explain_logins(app)

    @app.exception_handler(Trouble)
    async def trouble(request: Request, error: Trouble) -> Response:
        return problem_response(request, error, error.errors)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        status = error.status_code
        detail = error.detail if error.detail != HTTPStatus(status).phrase else ""
        if detail == NOT_PARSED:
            status, detail = 422, "The body is not what was announced: JSON in UTF-8?"
        return problem_response(request, Trouble(status, detail, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        errors = [
            FieldError(where=".".join(str(step) for step in each["loc"]), what=each["msg"])
            for each in error.errors()[:FIELD_ERRORS_MAX]
        ]
        return problem_response(request, Trouble(422, "The input is not right."), errors)

    @app.exception_handler(DeskBusy)
    async def busy(request: Request, error: DeskBusy) -> Response:
        headers = {"Retry-After": RETRY_AFTER_S}
        return problem_response(
            request, Trouble(503, f"{error}.".capitalize(), headers=headers)
        )

    @app.exception_handler(LedgerUnavailable)
    @app.exception_handler(HistoryUnavailable)
    async def unavailable(request: Request, error: ChargewatchError) -> Response:
        what = "ledger" if isinstance(error, LedgerUnavailable) else "history"
        log.warning("request.unavailable", what=what, reason=str(error))
        detail = f"The {what} does not answer now. Try again soon."
        headers = {"Retry-After": RETRY_AFTER_S}
        return problem_response(request, Trouble(503, detail, headers=headers))


def _explain_logins(app: FastAPI) -> None:
    @app.exception_handler(LoginNeeded)
    async def login_needed(request: Request, _error: LoginNeeded) -> Response:
        if not for_people(request):
            return problem_response(request, Trouble(401, "Log in at /login."))
        return RedirectResponse(f"/login{path_after_login(request)}", 303)

    @app.exception_handler(PasswordNeeded)
    async def password_needed(request: Request, _error: PasswordNeeded) -> Response:
        if not for_people(request):
            return problem_response(request, Trouble(403, "Change the password at /password."))
        return RedirectResponse("/password", 303)

    @app.exception_handler(HashingBusy)
    async def hashing_busy(request: Request, error: HashingBusy) -> Response:
        headers = {"Retry-After": RETRY_AFTER_S}
        return problem_response(
            request, Trouble(503, f"{error}.".capitalize(), headers=headers)
        )
