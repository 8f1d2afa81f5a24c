"""The outermost layer: limits what comes in, and sets the headers of what goes out."""

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.access import Access
from api.http.problems import Trouble, problem_response, too_much
from api.http.throttle import Buckets, Monotonic, Rates, is_loopback, network_of
from api.photographs import BYTES_MAX

BODY_BYTES_MAX = 64 * 1024
"""The largest honest body is a form with a note of 1,000 characters."""
PHOTO_BODY_BYTES_MAX = BYTES_MAX + BODY_BYTES_MAX
"""A photo, and the form around it."""
PHOTOS = "/photos"
"""How the paths end to which photos are sent."""

ALIVE = frozenset({"/api/v1/live", "/health/live"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
ENTRIES = frozenset({"/login", "/password"})
LINKS = "/a/"
"""Signed links: whoever has one needs no login."""

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NO_TOKENS = (
    "No token is configured, so nobody can be told apart from a stranger."
    " Configure at least one token and start again."
)

log = structlog.get_logger("api.http")


class Gates:
    """How much one address may ask; this machine itself may ask what it likes.

    A proxy that stands before us on this machine is named in the settings: then the address
    is that of whoever asks the proxy.
    """

    def __init__(self, rates: Rates, monotonic_s: Monotonic) -> None:
        self._all = Buckets(rates.address, monotonic_s)
        self._change = Buckets(rates.change, monotonic_s)
        self._entry = Buckets(rates.entry, monotonic_s)

    def check(self, request: Request) -> None:
        """Refuse with 429 whoever asks too much."""
        if wait_s := self._wait_s(request):
            raise too_much(wait_s)

    def _wait_s(self, request: Request) -> float:
        path, changes = request.url.path, request.method not in SAFE
        address = request.client.host if request.client else ""
        if path in ALIVE or is_loopback(address):
            return 0.0
        place = network_of(address)
        wait_s = self._all.wait_s(place)
        if not wait_s and changes:
            wait_s = self._change.wait_s(place)
        if not wait_s and (path.startswith(LINKS) or (changes and path in ENTRIES)):
            wait_s = self._entry.wait_s(place)
        return wait_s


class Hardened:
    """Wraps the application: headers, a limit on bodies and on haste, no service without
    tokens, and no word to strangers about what broke.
    """

    def __init__(self, app: ASGIApp, access: Access, gates: Gates) -> None:
        self._app, self._access, self._gates = app, access, gates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = _Answer(send)
        try:
            _check_length(request.headers)
            self._check_that_somebody_may(request)
            self._gates.check(request)
            await self._app(scope, _limited(request, receive), answer.send)
        except Trouble as trouble:
            if answer.begun:
                raise
            await problem_response(request, trouble)(scope, receive, answer.send)
        except Exception:
            log.exception("request.failed", method=request.method, path=request.url.path)
            if not answer.begun:
                await problem_response(request, Trouble(500, ""))(scope, receive, answer.send)

    def _check_that_somebody_may(self, request: Request) -> None:
        if self._access.empty and request.url.path not in ALIVE:
            raise Trouble(503, NO_TOKENS, words="problem.no_tokens")


class _Answer:
    """Adds our headers to the answer, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)  # a photo and a link are shut off further
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _check_length(headers: Headers) -> None:
    """Refuse what a proxy may take for one request and we for two (RFC 9112, 6.1)."""
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Trouble(400, "One length is enough.", headers={"Connection": "close"})


def _limited(request: Request, receive: Receive) -> Receive:
    """Return `receive`, which refuses a body that is or becomes too large."""
    length = request.headers.get("content-length", "0")
    photo = request.method == "POST" and request.url.path.endswith(PHOTOS)
    bytes_max = PHOTO_BODY_BYTES_MAX if photo else BODY_BYTES_MAX
    too_large = Trouble(413, f"A request is at most {bytes_max} bytes.", words="problem.large")
    if not length.isdecimal() or int(length) > bytes_max:
        raise too_large
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > bytes_max:
            raise HTTPException(413, too_large.detail)  # of any other FastAPI makes a 400
        return message

    return limited
