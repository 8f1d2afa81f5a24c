"""Grafana's logins for managers: they look, and change nothing."""

from typing import Any, Literal

import httpx

from api.tokens import NAME
from ingest.errors import ChargewatchError

ADMIN, ORGANISATION, VIEWER = "admin", 1, "Viewer"
ANSWER_WITHIN_S = 10.0
SAID_MAX = 200
"""Characters of an unexpected answer that are passed on."""


class GrafanaRefused(ChargewatchError):
    """Grafana does not answer, or not as it should."""


def add_viewer(
    url: str, admin_password: str, login: str, password: str
) -> Literal["made", "known"]:
    """Make a login that may only look; one that is there keeps its password, and only looks.

    Raises GrafanaRefused.
    """
    if NAME.fullmatch(login) is None:
        raise GrafanaRefused(f"a login is 1 to 64 of A-Z a-z 0-9 _ . -, not {login!r}")
    with httpx.Client(
        base_url=url, auth=(ADMIN, admin_password), timeout=ANSWER_WITHIN_S, trust_env=False
    ) as grafana:
        found = _asked(grafana, "GET", f"/api/users/lookup?loginOrEmail={login}", ok=(200, 404))
        known = "id" in found
        if not known:
            wanted = {"name": login, "login": login, "password": password}
            found = _asked(
                grafana, "POST", "/api/admin/users", wanted | {"OrgId": ORGANISATION}
            )
        elif found.get("isGrafanaAdmin"):
            raise GrafanaRefused(f"{login} is an administrator: choose another login")
        _asked(
            grafana,
            "PATCH",
            f"/api/orgs/{ORGANISATION}/users/{found['id']}",
            {"role": VIEWER},
        )
    return "known" if known else "made"


def _asked(
    grafana: httpx.Client,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    ok: tuple[int, ...] = (200,),
) -> dict[str, Any]:
    try:
        answer = grafana.request(method, path, json=body)
        said = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise GrafanaRefused(f"Grafana at {grafana.base_url}: {error}") from error
    if answer.status_code not in ok or not isinstance(said, dict):
        words = answer.text[:SAID_MAX]
        raise GrafanaRefused(f"Grafana: {method} {path}: HTTP {answer.status_code}: {words}")
    return said
