"""Pages from templates. Everything is escaped; nothing is fetched from anywhere else."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.console import links
from api.console.assets import asset
from api.console.command_life import ending_word, life_of
from api.console.navigation import navigation_of
from api.console.quantities import said
from api.http.sessions import Session
from api.text import DEFAULT, LANGUAGES, Texts, plain

FOLDER = Path(__file__).parent
LANGUAGE_COOKIE = "chargewatch_lang"
YEAR_S = 365 * 86_400

_environment = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _path(identity: str) -> str:
    """Return an id as part of a path; its slashes stay."""
    return quote(identity, safe="/")


def _lines(text: str) -> str:
    """Return text of several lines, each of them plain."""
    return "\n".join(plain(line.expandtabs()) for line in text.splitlines())


_environment.filters["lines"] = _lines
_environment.filters["path"] = _path
_environment.filters["plain"] = plain
_environment.globals["zone_of"] = ZoneInfo
_environment.globals["asset"] = asset
_environment.globals["said"] = said
_environment.globals["paths"] = links
_environment.globals["life_of"] = life_of
_environment.globals["ending_word"] = ending_word


def language_of(request: Request) -> str:
    """Return the language asked for, else the one chosen before, else Chinese."""
    asked = request.query_params.get("lang")
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    return next((lang for lang in (asked, chosen) if lang in LANGUAGES), DEFAULT)


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    """Return a page in the language of whoever asks.

    `session`, `here` (its line of the navigation) and `live` (it is kept up to date) are for
    the frame; all other values are the template's own.
    """
    lang = language_of(request)
    say = Texts.of(lang)
    session = values.get("session")
    body = _environment.get_template(template).render(
        say=say,
        lang=lang,
        other_language=_other_language(request, lang),
        status=status,
        navigation=navigation_of(session.caller) if isinstance(session, Session) else None,
        request_path=_own_address(request),
        seen=getattr(request.state, "seen", None),
        **_blank | values,
    )
    response = HTMLResponse(body, status, headers=dict(headers or {}))
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE,
            lang,
            max_age=YEAR_S,
            httponly=True,
            samesite="lax",
            secure=is_secure(request),
        )
    return response


_blank: dict[str, object] = {"session": None, "live": False, "here": ""}


def error_page(
    request: Request, status: int, words: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return what went wrong, as a page; `words` is a key of the catalogue, or empty."""
    say = Texts.of(language_of(request))
    title = say.messages.get(f"problem.{status}", str(status))
    return page(
        request,
        "error.html",
        status=status,
        headers=headers,
        title=title,
        words=words,
        hint=say.messages.get(f"problem.{status}.hint", ""),
        ours=status >= HTTPStatus.INTERNAL_SERVER_ERROR,
    )


def path_after_login(request: Request) -> str:
    """Return the query of a login page that leads back to this one, in its language."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    asked = {"next": here} if here != "/" else {}
    if (lang := request.query_params.get("lang")) in LANGUAGES:
        asked["lang"] = lang
    return f"?{urlencode(asked)}" if asked else ""


def is_secure(request: Request) -> bool:
    """Say whether the browser came over TLS (a proxy says so by X-Forwarded-Proto)."""
    return request.url.scheme == "https"


def _own_address(request: Request) -> str:
    """Return where this page is, without a language that was chosen only now."""
    kept = [(k, v) for k, v in request.query_params.multi_items() if k != "lang"]
    return quote(request.url.path, safe="/") + (f"?{urlencode(kept)}" if kept else "")


def _other_language(request: Request, lang: str) -> str:
    other = next(each for each in LANGUAGES if each != lang)
    kept = [(k, v) for k, v in request.query_params.multi_items() if k != "lang"]
    return f"?{urlencode([*kept, ('lang', other)])}"
