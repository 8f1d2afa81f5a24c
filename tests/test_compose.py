"""docker-compose.yml, as docker-compose itself understands it: closed unless it is opened."""

import re
from pathlib import Path

import pytest

from api.deploy.first_start import DEMO_SEED, DEMO_SITES
from api.deploy.secrets import MADE
from api.settings import table
from tests.deployment import PROFILES, ROOT, Json, a_project, compose, rendered

pytest_plugins = ["tests.deploy_fixtures"]

ONCE = {"check", "setup", "dashboards", "manager"}
"""Services that do something and end."""
RUNNING = {"mosquitto", "influxdb", "chargewatch", "grafana"}
MADE_UP = re.compile(r"[0-9a-f]{48}")


@pytest.fixture(scope="module")
def configs(ready_project: Path) -> dict[str, Json]:
    return {profile: rendered(ready_project, profile) for profile in PROFILES}


@pytest.fixture(scope="module")
def services(configs: dict[str, Json]) -> Json:
    """Every service of any profile, by its name."""
    found: Json = configs["demo"]["services"]
    return found


def test_both_profiles_are_the_whole_system_and_demo_adds_a_village(
    configs: dict[str, Json],
) -> None:
    prod, demo = (set(configs[profile]["services"]) for profile in PROFILES)
    assert prod == ONCE | RUNNING
    assert demo - prod == {"simulator"}


def test_without_the_first_start_it_says_what_to_do(tmp_path: Path) -> None:
    said = compose(a_project(tmp_path), "--profile=prod", "config", "--quiet")
    assert said.status != 0
    assert "run ./chargewatch deploy init first" in said.err


def test_after_the_first_start_no_profile_needs_to_be_named(ready_project: Path) -> None:
    said = compose(ready_project, "config", "--services")
    assert "simulator" in said.out.split()


def test_every_image_is_pinned_by_its_version(services: Json) -> None:
    for name, service in services.items():
        image = service["image"]
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+", image), name
        assert ("build" in service) == image.startswith("chargewatch:"), name


def test_nobody_is_root_and_nobody_can_become_it(services: Json) -> None:
    for name, service in services.items():
        user, _, _ = service["user"].partition(":")
        assert int(user) > 0, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name


def test_root_file_systems_are_read_only(services: Json) -> None:
    assert all(service["read_only"] for service in services.values())


def test_what_is_mounted_from_this_machine_is_read_only_and_must_be_there(
    services: Json,
) -> None:
    for service in services.values():
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                assert mount["read_only"], mount
                assert not mount["bind"].get("create_host_path"), mount
                assert Path(mount["source"]).exists(), mount


def test_everything_has_limits(services: Json) -> None:
    for name, service in services.items():
        assert 0 < int(service["mem_limit"]) <= 2**31, name
        assert 0 < service["cpus"] <= 2, name
        assert 0 < service["pids_limit"] <= 128, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        for place in service.get("tmpfs", []):
            assert ":size=" in place or ",size=" in place, (name, place)


def test_what_runs_is_started_again_and_what_ends_is_not(services: Json) -> None:
    for name, service in services.items():
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name
        if name not in ONCE:
            assert service["stop_grace_period"], name


def test_what_answers_is_asked_whether_it_is_well(services: Json) -> None:
    for name, service in services.items():
        check = service["healthcheck"]
        if name in RUNNING:
            assert check["test"][0] == "CMD", name
            assert check.keys() >= {"interval", "timeout", "retries", "start_period"}, name
        else:
            assert check == {"disable": True}, name


def test_it_starts_in_the_order_in_which_things_are_needed(services: Json) -> None:
    ended, healthy = "service_completed_successfully", "service_healthy"
    waits = {
        name: {on: how["condition"] for on, how in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    assert waits == {
        "check": {},
        "mosquitto": {"check": ended},
        "influxdb": {"check": ended},
        "setup": {"influxdb": healthy},
        "chargewatch": {"mosquitto": healthy, "setup": ended},
        "dashboards": {},
        "grafana": {"dashboards": ended, "setup": ended},
        "manager": {"grafana": healthy},
        "simulator": {"mosquitto": healthy},
    }


def test_only_this_machine_reaches_anything(services: Json) -> None:
    ports = {
        (name, port["host_ip"], port["published"])
        for name, service in services.items()
        for port in service.get("ports", [])
    }
    assert ports == {
        ("mosquitto", "127.0.0.1", "8883"),
        ("chargewatch", "127.0.0.1", "8000"),
        ("grafana", "127.0.0.1", "3000"),
    }


def test_the_dashboards_lead_to_where_the_console_is(ready_project: Path) -> None:
    environment = ready_project / ".env"
    before = environment.read_text()
    environment.write_text(before + "CONSOLE_URL=https://console.example\n")
    try:
        dashboards = rendered(ready_project, "prod")["services"]["dashboards"]
    finally:
        environment.write_text(before)
    assert "--console=https://console.example" in dashboards["command"]


def test_devices_are_let_in_where_it_is_asked_for_and_nowhere_else(
    ready_project: Path,
) -> None:
    environment = ready_project / ".env"
    before = environment.read_text()
    environment.write_text(before + "BROKER_ADDRESS=0.0.0.0\n")
    try:
        opened = rendered(ready_project, "prod")["services"]
    finally:
        environment.write_text(before)
    assert [port["host_ip"] for port in opened["mosquitto"]["ports"]] == ["0.0.0.0"]
    assert [port["host_ip"] for port in opened["chargewatch"]["ports"]] == ["127.0.0.1"]


def test_the_database_is_reached_by_nobody_outside(configs: dict[str, Json]) -> None:
    config = configs["demo"]
    assert config["networks"]["backend"]["internal"]
    for name in ("influxdb", "setup", "manager", "simulator"):
        assert set(config["services"][name]["networks"]) == {"backend"}, name
    assert config["services"]["check"]["network_mode"] == "none"


def test_no_secret_is_in_the_configuration(
    configs: dict[str, Json], ready_project: Path
) -> None:
    shown = str(configs)
    for name in MADE:
        secret = (ready_project / "var/deploy/secrets" / name).read_text().strip()
        assert MADE_UP.fullmatch(secret)
        assert secret not in shown
    assert not MADE_UP.search(shown)


def test_no_variable_holds_a_secret(services: Json) -> None:
    secretive = re.compile(r"password|token|secret|key", re.IGNORECASE)
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if secretive.search(variable) and not variable.startswith("GF_PLUGINS_"):
                assert value.startswith("/run/"), (name, variable)


def test_every_secret_and_every_volume_is_declared_and_used(configs: dict[str, Json]) -> None:
    config = configs["demo"]
    services = config["services"].values()
    used = {each["source"] for service in services for each in service.get("secrets", [])}
    assert used == set(config["secrets"])
    for secret in config["secrets"].values():
        assert Path(secret["file"]).is_file()
    mounted = {
        mount["source"]
        for service in services
        for mount in service.get("volumes", [])
        if mount["type"] == "volume"
    }
    assert mounted == set(config["volumes"])


def test_each_token_is_seen_by_whom_it_was_made_for_and_by_who_made_it(services: Json) -> None:
    def who(volume: str) -> set[str]:
        return {
            name
            for name, service in services.items()
            if volume in {mount["source"] for mount in service.get("volumes", [])}
        }

    assert who("service-token") == {"setup", "chargewatch"}
    assert who("grafana-token") == {"setup", "grafana"}


def test_every_setting_that_is_given_to_our_programs_is_one(services: Json) -> None:
    known = {variable for variable, _, _ in table()}
    for name, service in services.items():
        if service["image"].startswith("chargewatch:"):
            assert service.get("environment", {}).keys() <= known, name


def test_the_simulated_village_is_the_one_that_is_declared(services: Json) -> None:
    command = services["simulator"]["command"]
    assert {f"--sites={DEMO_SITES}", f"--seed={DEMO_SEED}"} <= set(command)


def test_settings_of_the_service_come_from_a_file_that_people_edit(ready_project: Path) -> None:
    file = ready_project / "var/deploy/service.env"
    before = file.read_text()
    file.write_text(
        before.replace("#CHARGEWATCH_SMTP__RECIPIENTS", "CHARGEWATCH_SMTP__RECIPIENTS")
    )
    try:
        service = rendered(ready_project, "prod")["services"]["chargewatch"]
    finally:
        file.write_text(before)
    assert service["environment"]["CHARGEWATCH_LANGUAGE"] == "zh"
    assert service["environment"]["CHARGEWATCH_SMTP__RECIPIENTS"] == '["duty@example.org"]'


def test_grafana_is_given_what_its_provisioning_asks_for(services: Json) -> None:
    grafana = services["grafana"]
    files = [*(ROOT / "dashboards/provisioning").rglob("*.yaml")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    wanted = dict(re.findall(r"^#\s+(GF_\w+)=(\S+)$", text, re.MULTILINE))
    assert wanted
    assert wanted.items() <= grafana["environment"].items()
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= grafana["environment"].keys()
    places = [mount["target"] for mount in grafana["volumes"]]
    read = re.findall(r"\$__file\{(\S+)\}|^\s+path: (\S+)$", text, re.MULTILINE)
    assert read
    for path in ("".join(each) for each in read):
        assert any(path.startswith(f"{place}/") for place in places), path
    token = grafana_token_of(services["setup"])
    assert Path(token).name in text


def grafana_token_of(setup: Json) -> str:
    [said] = [each for each in setup["command"] if each.startswith("--grafana-token-file=")]
    return str(said.partition("=")[2])
