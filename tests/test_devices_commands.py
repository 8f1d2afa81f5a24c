"""./chargewatch devices: what it prints, what it refuses, and that it tells a password once."""

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.credentials import passwords
from api.settings import read_settings
from tests.guarded_broker import SHIPPED

PILE = "town/site/pile-1"
SITES = """
[areas.town]
name = { zh = "镇", en = "Town" }
[sites."town/site"]
name = { zh = "站", en = "Site" }
[[devices]]
id = "town/site/pile-1"
kind = "charger"
[[devices]]
id = "town/site/plug-1"
kind = "charger"
dialect = "tasmota"
name = "Plug 1"
[[devices]]
id = "town/site/smoke-1"
kind = "smoke"
dialect = "zigbee2mqtt"
"""


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sites = tmp_path / "sites.toml"
    sites.write_text(SITES, encoding="utf-8")
    monkeypatch.setenv("CHARGEWATCH_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("CHARGEWATCH_SITES_FILE", str(sites))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def broker(tmp_path: Path) -> Path:
    """Return a folder without the certificate, which takes a while to make."""
    folder = tmp_path / "var" / "broker"
    folder.mkdir(parents=True)
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["devices", *arguments])


def done(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


def known(broker: Path) -> dict[str, str]:
    return passwords.parsed((broker / "passwd").read_text())


def rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def test_init_says_what_it_made_and_prints_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = done("init", "--host", "broker.example", "--simulate", "quiet-1/+")
    var = tmp_path / "var"
    for each in ("ca.crt", "server.crt", "login chargewatch", "broker.example", "SHA-256"):
        assert each in said
    for path in (var / "secrets").iterdir():
        assert str(path) in said
        assert path.read_text() not in said
    settings = [line for line in said.splitlines() if line.startswith("CHARGEWATCH_")]
    assert settings == [
        "CHARGEWATCH_BROKER__USERNAME=chargewatch",
        f"CHARGEWATCH_SECRETS_DIR={var}/secrets",
    ]
    secrets = var / "secrets"
    monkeypatch.setenv("CHARGEWATCH_SECRETS_DIR", str(secrets))
    password = read_settings({"CHARGEWATCH_SECRETS_DIR": str(secrets)}).broker.password
    assert password is not None
    assert password.get_secret_value() == (secrets / "chargewatch_broker__password").read_text()
    again = run("init")
    assert "nothing to do" in again.stdout
    assert again.stderr == ""  # and nothing for the broker to read again
    assert json.loads(done("init", "--json"))["made"] == []
    named = re.findall(r"^\w+ /mosquitto/credentials/(\S+)$", SHIPPED.read_text(), re.MULTILINE)
    assert set(named) == {"passwd", "acl", "server.crt", "server.key"}
    assert all((var / "broker" / each).exists() for each in named)


def test_a_password_is_told_once_and_kept_nowhere(broker: Path) -> None:
    first, second = done("add", PILE).splitlines()
    assert first == f"username  {PILE}"
    password = second.removeprefix("password  ")
    assert passwords.fits(password, known(broker)[PILE])
    assert all(password.encode() not in path.read_bytes() for path in broker.iterdir())
    assert "has a login already" in refused("add", PILE)
    assert password not in done("list")


def test_who_is_not_declared_can_have_a_login_and_is_noted(broker: Path) -> None:
    result = run("add", "town/site/unknown", "--json")
    assert "does not declare town/site/unknown" in result.stderr
    assert "systemctl reload mosquitto" in result.stderr
    told = json.loads(result.stdout)
    assert passwords.fits(told["password"], known(broker)["town/site/unknown"])
    assert "does not declare" not in run("add", PILE).stderr


def test_the_sites_file_knows_the_dialect_and_the_name(broker: Path) -> None:
    assert "username  Plug 1@tasmota" in done("add", "town/site/plug-1")
    assert "the bridge has the login" in refused("add", "town/site/smoke-1")
    assert "bridge@zigbee2mqtt" in done("add", "zigbee2mqtt", "--dialect", "zigbee2mqtt")
    assert "user bridge@zigbee2mqtt" in (broker / "acl").read_text()


def test_a_file_for_the_password_is_new_and_for_its_owner_only(
    broker: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new.csv"
    assert done("add", PILE, "--out", str(out)) == ""
    assert out.stat().st_mode & 0o777 == 0o600
    [row] = rows(out)
    assert (row["id"], row["username"]) == (PILE, PILE)
    before = known(broker)
    assert "is not written over" in refused("rotate", PILE, "--out", str(out))
    assert known(broker) == before
    assert "has a login already" in refused("add", PILE, "--out", str(tmp_path / "other.csv"))
    assert not (tmp_path / "other.csv").exists()


def test_a_list_is_taken_whole_or_not_at_all(broker: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "list.csv", tmp_path / "out.csv"
    file.write_text("id,dialect\n" + "".join(f"town/site/pile-{n},\n" for n in range(500)))
    with file.open("a") as more:
        more.write("town/site/pile-500,shelly\npile,native\n")
    said = refused("import", str(file), "--out", str(out))
    assert "line 502: " in said
    assert "line 503: " in said
    assert not out.exists()
    assert not (broker / "passwd").exists()

    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-2]))
    assert "500 new logins" in done("import", str(file), "--out", str(out))
    told = rows(out)
    assert len({row["password"] for row in told}) == len(known(broker)) == 500
    assert all(
        passwords.fits(row["password"], known(broker)[row["username"]]) for row in told[:9]
    )

    assert "line 2: 'town/site/pile-0' has a login" in refused(
        "import", str(file), "--out", str(tmp_path / "again.csv")
    )
    done("revoke", "town/site/pile-0")
    with file.open("a") as more:
        more.write("town/site/new,\n")
    again = tmp_path / "again.csv"
    assert "1 new logins" in done("import", str(file), "--new-only", "--out", str(again))
    assert [row["id"] for row in rows(again)] == ["town/site/new"]


def test_all_declared_devices_get_their_logins_at_once(
    broker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("add", PILE)
    out = tmp_path / "out.csv"
    done("import", "--declared", "--out", str(out))
    assert [row["username"] for row in rows(out)] == ["Plug 1@tasmota"]
    assert set(known(broker)) == {PILE, "Plug 1@tasmota"}
    wrong = run("import", "--out", str(tmp_path / "x.csv"))
    assert "either a FILE or --declared" in wrong.output
    monkeypatch.delenv("CHARGEWATCH_SITES_FILE")
    assert "no sites file" in refused("import", "--declared", "--out", str(tmp_path / "x.csv"))


@pytest.mark.usefixtures("broker")
def test_the_list_shows_who_has_a_login_and_who_should() -> None:
    done("add", "town/site/unknown")
    done("revoke", "town/site/unknown")
    done("add", PILE)
    found = json.loads(done("list", "--json"))
    assert [(each["username"], each["state"]) for each in found["logins"]] == [
        (PILE, "in force"),
        ("town/site/unknown", "revoked"),
    ]
    assert found["without"] == ["town/site/plug-1"]
    shown = done("list")
    for words in (f"{PILE}  ", "in force", "revoked", "without a login: town/site/plug-1"):
        assert words in shown
    assert "was revoked" in refused("add", "town/site/unknown")
    assert "username" in done("add", "town/site/unknown", "--again")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list",), "devices init"),
        (("init", "--group", "no-such-group"), "no group"),
        (("init", "--key", "x"), "go together"),
        (("init", "--simulate", "everything"), "area/site"),
        (("init", "--certificate", "none.crt", "--key", "none.key"), "none.crt"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
