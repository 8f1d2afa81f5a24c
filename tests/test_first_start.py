"""The first start: random secrets, once, for nobody else; and no placeholder gets through."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.deploy.secrets import MADE, SERVICE_AT_BROKER, SIMULATOR, SecretsWrong, refuse_wrong
from api.policy_file import read_policies
from api.settings import PLACEHOLDERS
from api.sites import read_sites
from ingest.clock import utc_now
from ingest.codecs import all_codecs

PEOPLES = ("config/sites.toml", "config/policy.toml", "service.env")


def init(project: Path, *arguments: str) -> str:
    """Run `deploy init` and return what it says."""
    (project / "docker-compose.yml").touch()
    done = CliRunner().invoke(app, ["deploy", "init", f"--project={project}", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def files(project: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(project)): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project that has just been made ready, and what was said of it."""
    project = tmp_path_factory.mktemp("first")
    return project, init(project)


@pytest.fixture
def project(first: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of such a project, to change."""
    return Path(shutil.copytree(first[0], tmp_path / "project"))


@pytest.fixture
def secrets(project: Path) -> Path:
    return project / "var/deploy/secrets"


@pytest.fixture
def begun(project: Path) -> Path:
    """A project that has its certificates, which take long to make, and nothing else."""
    for path in (".env", "var/deploy/secrets", "var/deploy/config", "var/deploy/service.env"):
        each = project / path
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    for name in ("passwd", "acl", "logins.json"):
        (project / "var/deploy/broker" / name).unlink()
    return project


def test_every_secret_is_made_and_no_two_are_the_same(secrets: Path) -> None:
    made = {(secrets / name).read_text().strip() for name in MADE}
    assert len(made) == len(MADE)
    assert all(len(secret) == 48 for secret in made)
    refuse_wrong(secrets)


def test_another_village_has_other_secrets(first: tuple[Path, str], begun: Path) -> None:
    init(begun)
    one, two = (each / "var/deploy/secrets" for each in (first[0], begun))
    assert all((one / name).read_text() != (two / name).read_text() for name in MADE)


def test_the_second_time_changes_nothing(first: tuple[Path, str], project: Path) -> None:
    assert "made: " in first[1]
    before = files(project)
    assert "made: " not in init(project)
    assert files(project) == before


def test_a_new_name_of_the_machine_is_a_new_certificate_and_nothing_else(
    project: Path,
) -> None:
    before = files(project)
    assert "192.0.2.7" in init(project, "--host=192.0.2.7")
    changed = {name for name, text in files(project).items() if before[name] != text}
    assert changed == {f"var/deploy/broker/server.{end}" for end in ("crt", "key")}


def test_what_is_missing_is_made_again_and_the_rest_stays(secrets: Path, project: Path) -> None:
    before = files(project)
    (secrets / "grafana_secret_key").unlink()
    assert "made: secrets/grafana_secret_key" in init(project)
    changed = {name for name, text in files(project).items() if before[name] != text}
    assert changed == {"var/deploy/secrets/grafana_secret_key"}


def test_nobody_else_of_this_machine_reaches_anything(begun: Path) -> None:
    init(begun)
    around = begun / "var/deploy"
    assert stat.S_IMODE(around.stat().st_mode) == 0o700
    for path in (around / "secrets", around / "broker", around / "config"):
        for each in path.rglob("*"):
            assert each.stat().st_mode & 0o007 == 0, each
    authority = around / "authority"
    for each in (authority, *authority.iterdir()):
        assert each.stat().st_mode & 0o077 == 0, each
    assert (around / "secrets/influx_operator_token").stat().st_gid == os.getegid()


def test_no_secret_is_printed_or_lies_elsewhere(first: tuple[Path, str]) -> None:
    made, said = first
    for name in MADE:
        secret = (made / "var/deploy/secrets" / name).read_text().strip()
        assert secret not in said
        holding = [path for path, text in files(made).items() if secret.encode() in text]
        probe = ["var/deploy/secrets/mosquitto_sub"] if name == SERVICE_AT_BROKER else []
        assert holding == sorted([*probe, f"var/deploy/secrets/{name}"])


def test_what_people_have_written_is_kept(begun: Path) -> None:
    (begun / ".env").write_text("COMPOSE_PROFILES=demo\nCHARGEWATCH_LOG=json")
    init(begun)
    folder = begun / "var/deploy"
    for name in PEOPLES:
        (folder / name).write_text("# ours\n")
    init(begun)
    assert all((folder / name).read_text() == "# ours\n" for name in PEOPLES)
    assert (begun / ".env").read_text() == (
        f"COMPOSE_PROFILES=demo\nCHARGEWATCH_LOG=json\nDEPLOY_GID={os.getegid()}\n"
    )


@pytest.mark.parametrize("arguments", [[], ["--demo"]])
def test_the_configuration_to_begin_with_is_in_order(arguments: list[str], begun: Path) -> None:
    init(begun, *arguments)
    config = begun / "var/deploy/config"
    dialects = [codec.name for codec in all_codecs()]
    declared = read_sites(config / "sites.toml", dialects, utc_now().year)
    assert bool(declared.devices) is bool(arguments)
    read_policies(config / "policy.toml")


def test_the_simulator_may_speak_for_its_village_in_the_demo_only(project: Path) -> None:
    access = project / "var/deploy/broker/acl"
    assert "user simulator" not in access.read_text()
    init(project, "--demo")
    assert "user simulator" in access.read_text()


def test_what_an_editor_or_another_machine_made_of_it_is_mended(project: Path) -> None:
    folder = project / "var/deploy"
    added = folder / "secrets/service/chargewatch_smtp__password"
    added.write_text("of the mail server")
    for path, mode in ((added, 0o600), (folder / "config/sites.toml", 0o644), (folder, 0o755)):
        path.chmod(mode)
    (project / ".env").write_text("DEPLOY_GID=12345\nCOMPOSE_PROFILES=demo\n")
    assert "made: .env" in init(project)
    assert (project / ".env").read_text().startswith(f"DEPLOY_GID={os.getegid()}\n")
    assert stat.S_IMODE(added.stat().st_mode) == 0o640
    assert stat.S_IMODE((folder / "config/sites.toml").stat().st_mode) == 0o640
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_outside_of_the_repository_nothing_is_made(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["deploy", "init", f"--project={tmp_path}"])
    assert done.exit_code == 2
    assert "start this in the repository" in done.output
    assert not list(tmp_path.iterdir())


# --- placeholders -------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "change-me", "eleven-char", *sorted(PLACEHOLDERS)])
@pytest.mark.parametrize("name", ["grafana_admin_password", SERVICE_AT_BROKER])
def test_a_placeholder_is_refused(name: str, text: str, secrets: Path) -> None:
    (secrets / name).write_text(f"{text}\n")
    with pytest.raises(SecretsWrong, match=name):
        refuse_wrong(secrets)


def test_all_that_is_wrong_is_said_at_once_and_not_quoted(secrets: Path) -> None:
    (secrets / "influx_operator_token").unlink()
    (secrets / "grafana_admin_password").write_text("hunter2-x")
    done = CliRunner().invoke(app, ["deploy", "check", str(secrets)])
    assert done.exit_code == 2
    assert "influx_operator_token is missing: run `./chargewatch deploy init`" in done.output
    assert "grafana_admin_password: a placeholder" in done.output
    assert "hunter2" not in done.output


def test_it_does_not_go_on_with_a_placeholder(secrets: Path, project: Path) -> None:
    (secrets / "influx_admin_password").write_text("password\n")
    done = CliRunner().invoke(app, ["deploy", "init", f"--project={project}"])
    assert done.exit_code == 2
    assert "influx_admin_password: a placeholder" in done.output


@pytest.mark.parametrize(("text", "refused"), [("", True), ("changeme", True), ("ten", False)])
def test_a_mail_servers_password_may_be_short_but_not_be_forgotten(
    text: str, refused: bool, secrets: Path
) -> None:
    (secrets / "service/chargewatch_smtp__password").write_text(text)
    done = CliRunner().invoke(app, ["deploy", "check", str(secrets)])
    assert done.exit_code == (2 if refused else 0), done.output


@pytest.mark.parametrize("name", ["SMTP__PASSWORD", "DINGTALK__URL", "APPRISE__URLS"])
def test_a_secret_among_the_settings_is_refused_and_told_where_to_go(
    project: Path, name: str
) -> None:
    file = project / "var/deploy/service.env"
    file.write_text(file.read_text() + f"CHARGEWATCH_{name}=hunter2\n")
    done = CliRunner().invoke(app, ["deploy", "init", f"--project={project}"])
    assert done.exit_code == 2
    assert f"put it into secrets/service/chargewatch_{name.lower()}" in done.output
    assert "hunter2" not in done.output


def test_the_simulators_password_is_one_of_them() -> None:
    assert SIMULATOR in MADE
