"""The policy through the API: what is in force, reading it again, what was changed."""

from tests.http_doubles import READ_TOKEN, WRITE_TOKEN, Client, World, bearer, problem

API = "/api/v1"
READER, WRITER = bearer(READ_TOKEN), bearer(WRITE_TOKEN)

pytest_plugins = ["tests.http_fixtures"]


def test_a_token_that_may_only_read_cannot_have_it_read_again(client: Client) -> None:
    problem(client.post(f"{API}/policy/reload"), 401)
    problem(client.post(f"{API}/policy/reload", headers=READER), 403)
    assert client.get(f"{API}/policy/changes", headers=READER).json() == {
        "changes": [],
        "next_before_id": None,
    }


def test_a_new_file_is_in_force_with_the_answer(here: World, client: Client) -> None:
    here.policy_file.write_text('[site."xuhui/renmin-lu".overload]\nact_w = 950\n')
    said = client.post(f"{API}/policy/reload", headers=WRITER).json()
    assert said == client.get(f"{API}/policy", headers=READER).json()
    assert (said["file"], said["error"]) == (str(here.policy_file), None)
    assert said["in_force_since"] == "2026-11-23T04:00:00Z"
    site = client.get(f"{API}/sites/xuhui/renmin-lu", headers=READER).json()
    [limit] = [
        each
        for each in site["policy"]["limits"]
        if (each["rule"], each["key"]) == ("overload", "act_w")
    ]
    assert (limit["value"], limit["layer"]) == (950, "site xuhui/renmin-lu")
    [change] = client.get(f"{API}/policy/changes", headers=READER).json()["changes"]
    assert (change["who"], change["how"]) == ("patrol", "request")
    assert change["changes"] == [
        {
            "layer": "site xuhui/renmin-lu",
            "rule": "overload",
            "key": "act_w",
            "before": None,
            "after": 950,
        }
    ]


def test_a_wrong_file_is_refused_with_its_mistakes_and_that_stays_visible(
    here: World, client: Client
) -> None:
    here.policy_file.write_text("[default.overload]\nhold = 30\nwarm_w = 1\n")
    said = problem(client.post(f"{API}/policy/reload", headers=WRITER), 422)
    assert f"{here.policy_file}:2: default.overload.hold" in said["detail"]
    assert f"{here.policy_file}:3: default.overload.warm_w" in said["detail"]
    now = client.get(f"{API}/policy", headers=READER).json()
    assert now["error"] == said["detail"]
    assert now["error_at"] == "2026-11-23T04:00:00Z"


def test_limits_for_a_place_that_nobody_knows_are_in_force_and_named(
    here: World, client: Client
) -> None:
    here.policy_file.write_text('[site."xuhui/renmin".heat]\nhold = "5 s"\n')
    said = client.post(f"{API}/policy/reload", headers=WRITER).json()
    assert said["warnings"] == [
        "site.\"xuhui/renmin\": there is no such site; did you mean 'xuhui/renmin-lu'?"
    ]


def test_changes_come_in_pages(here: World, client: Client) -> None:
    for hold in range(3):
        here.policy_file.write_text(f'[default.heat]\nhold = "{hold} s"\n')
        client.post(f"{API}/policy/reload", headers=WRITER)
    first = client.get(f"{API}/policy/changes?limit=2", headers=READER).json()
    assert [each["changes"][0]["after"] for each in first["changes"]] == ["2 s", "1 s"]
    before = first["next_before_id"]
    last = client.get(f"{API}/policy/changes?before_id={before}", headers=READER).json()
    assert [each["changes"][0]["before"] for each in last["changes"]] == [None]
