"""Sending the dashboards to a Grafana that compose does not provision.

Sending again changes nothing but what is different: folders, data source and dashboards are
known by ids of ours. What Grafana was provisioned with is left alone.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import requests
from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException

from dashboards.annotations import MAINTENANCE
from dashboards.boards import BOARDS
from dashboards.build import built
from dashboards.grafana import Access
from dashboards.source import SOURCE_TYPE, SOURCE_UID
from dashboards.words import words_of
from ingest.errors import ChargewatchError

ANSWERS_WITHIN_S = 30
Tell = Callable[[str], None]


class PushFailed(ChargewatchError):
    """Grafana cannot be reached, or does not take what it is given."""


def push(access: Access, languages: tuple[str, ...], console: str, tell: Tell) -> None:
    """Send data source, folders and dashboards; tell each. Raises PushFailed."""
    api = _api(access)
    with _explained("the data source"):
        tell(_data_source(api, access))
    for lang in languages:
        folder = folder_of(lang)
        with _explained("a folder"):
            _folder(api, folder, words_of(lang)("folder"))
        for name in BOARDS:
            with _explained(f"{lang}/{name}"):
                answer = api.dashboard.update_dashboard(
                    {
                        "dashboard": json.loads(built(lang, name, console)),
                        "folderUid": folder,
                        "overwrite": True,
                        "message": "python -m dashboards push",
                    }
                )
            tell(f"{lang}/{name}: {access.url}{answer.get('url', '')}")


def annotate(access: Access, text: str, tell: Tell) -> None:
    """Mark this moment in the curves of all dashboards. Raises PushFailed."""
    with _explained("the annotation"):
        _api(access).annotations.add_annotation(text=text, tags=[MAINTENANCE])
    tell(f"annotation: {text}")


def folder_of(lang: str) -> str:
    """Return the id of a language's folder, the same as in provisioning/."""
    return f"chargewatch-{lang}"


def _api(access: Access) -> Any:
    return GrafanaApi.from_url(access.url, str(access.token), timeout=ANSWERS_WITHIN_S)


def _data_source(api: Any, access: Access) -> str:
    """Make or change the data source, unless Grafana was provisioned with it."""
    found = _found(lambda: api.datasource.get_datasource_by_uid(SOURCE_UID))
    if found is not None and found.get("readOnly"):
        return "data source: provisioned, left as it is"
    settings = settings_of(access)
    if found is None:
        api.datasource.create_datasource(settings)
        return f"data source: made, {access.influx_url}"
    api.datasource.update_datasource_by_uid(SOURCE_UID, settings)
    return f"data source: changed, {access.influx_url}"


def settings_of(access: Access) -> dict[str, Any]:
    """Return the data source, the same as in provisioning/."""
    asked: dict[str, object] = {
        "version": "InfluxQL",
        "dbName": access.influx_database,
        "httpMode": "POST",
        "timeInterval": "15s",
        "maxSeries": 2000,
    }
    settings: dict[str, Any] = {
        "uid": SOURCE_UID,
        "name": "chargewatch",
        "type": SOURCE_TYPE,
        "access": "proxy",
        "url": access.influx_url,
        "isDefault": False,
        "jsonData": asked,
    }
    if access.influx_token is not None:
        asked["httpHeaderName1"] = "Authorization"
        settings["secureJsonData"] = {"httpHeaderValue1": f"Token {access.influx_token}"}
    return settings


def _folder(api: Any, uid: str, title: str) -> None:
    if _found(lambda: api.folder.get_folder(uid)) is None:
        api.folder.create_folder(title, uid)


def _found(ask: Callable[[], Any]) -> Any:
    """Return the answer, or None where there is nothing of that name."""
    try:
        return ask()
    except GrafanaClientError as error:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return None
        raise


ADVICE = {
    HTTPStatus.UNAUTHORIZED: "Grafana does not know the token",
    HTTPStatus.FORBIDDEN: "the token may not do this: data sources need the role Admin",
    HTTPStatus.BAD_REQUEST: "was Grafana provisioned with it? Then change it there",
}


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Raise PushFailed, with words, for whatever Grafana or the network say."""
    try:
        yield
    except GrafanaException as error:
        advice = ADVICE.get(error.status_code, "")
        said = f"{error.message}" + (f" ({advice})" if advice else "")
        raise PushFailed(f"{what}: {said}") from error
    except requests.RequestException as error:
        raise PushFailed(f"{what}: Grafana does not answer: {error}") from error
