"""The logins of devices, as `./chargewatch devices import --out FILE` writes them."""

import csv
from collections.abc import Mapping
from pathlib import Path

from ingest.errors import ChargewatchError
from simulator.wire import Login

COLUMNS = ("id", "username", "password")


class LoginsUnreadable(ChargewatchError):
    """The file of logins cannot be used."""


def read_logins(path: Path) -> Mapping[str, Login]:
    """Return the logins by the id of the device. Raises LoginsUnreadable."""
    found: dict[str, Login] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            if not set(COLUMNS) <= set(lines.fieldnames or ()):
                raise LoginsUnreadable(f"{path}, line 1: no columns id, username, password")
            for number, line in enumerate(lines, start=2):
                missing = [column for column in COLUMNS if not line[column]]
                if missing:
                    raise LoginsUnreadable(f"{path}, line {number}: no {missing[0]}")
                if line["id"] in found:
                    raise LoginsUnreadable(
                        f"{path}, line {number}: {line['id']!r} is there twice"
                    )
                found[line["id"]] = Login(line["username"], line["password"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LoginsUnreadable(f"{path}: {error}") from error
    return found
