"""A backup is one moment of a ledger that is being written; restoring it is all or nothing."""

import asyncio
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from api.backup import KNOWN, LEDGER, LOGINS, MANIFEST, BackupFailed, backup, restore
from api.cli import app
from api.credentials.folder import FolderUnusable, opened
from api.link_keys import link_keys, read_keys
from api.settings import Settings
from api.tokens import add_token, read_tokens
from ingest.ledger.commit import Commit
from ingest.ledger.store import open_ledger
from ingest.registry import Area, Name

NOON = datetime(2026, 11, 24, 4, tzinfo=UTC)


def village(folder: Path) -> Settings:
    """Return a service's settings, with a ledger that knows one area, and all its files."""
    data_dir = folder / "data"
    ledger = open_ledger(data_dir / LEDGER)
    area = Area(id="town", name=Name("镇", "Town"))
    asyncio.run(ledger.commit(Commit(now=NOON, registered=[area])))
    ledger.close()
    add_token(data_dir, "admin", "write")
    link_keys(data_dir)
    sites, policy = folder / "my-sites.toml", folder / "my-policy.toml"
    for name in LOGINS:
        (data_dir / name).parent.mkdir(exist_ok=True)
        (data_dir / name).write_text(f"# {name}\n")
    sites.write_text("# sites\n")
    policy.write_text("# policy\n")
    return Settings(data_dir=data_dir, sites_file=sites, policy_file=policy)


def areas(data_dir: Path) -> list[str]:
    ledger = open_ledger(data_dir / LEDGER)
    try:
        return list(ledger.registry().areas)
    finally:
        ledger.close()


def test_what_is_restored_is_what_was_backed_up(tmp_path: Path) -> None:
    settings, new = village(tmp_path), tmp_path / "new"
    made = backup(settings, tmp_path / "b.zip", NOON)
    assert restore(tmp_path / "b.zip", new) == made
    assert set(made.sha256) == set(KNOWN)
    assert areas(new) == ["town"]
    assert read_tokens(new) == read_tokens(settings.data_dir)
    assert read_keys(new) == read_keys(settings.data_dir)
    assert (new / "sites.toml").read_text() == "# sites\n"
    assert (new / "policy.toml").read_text() == "# policy\n"
    assert all((new / name).read_text() == f"# {name}\n" for name in LOGINS)


def test_nobody_else_may_read_what_is_written(tmp_path: Path) -> None:
    backup(village(tmp_path), tmp_path / "b.zip", NOON)
    restore(tmp_path / "b.zip", tmp_path / "new")
    new = tmp_path / "new"
    secret = [new / name for name in (LEDGER, "tokens", *LOGINS)]
    for path in (tmp_path / "b.zip", *secret, *(path.parent for path in secret)):
        assert path == new or path.stat().st_mode & 0o077 == 0, path


def test_a_backup_holds_whole_commits_of_a_ledger_that_is_being_written(tmp_path: Path) -> None:
    settings = village(tmp_path)
    ledger = open_ledger(settings.data_dir / LEDGER)

    async def busy() -> None:
        for n in range(40):
            pair = [Area(id=f"{side}-{n}", name=Name("x", "x")) for side in ("left", "right")]
            await ledger.commit(Commit(now=NOON, registered=list(pair)))
            if n % 10 == 5:
                await asyncio.to_thread(backup, settings, tmp_path / f"{n}.zip", NOON)

    asyncio.run(busy())
    ledger.close()
    for n in (5, 15, 25, 35):
        restore(tmp_path / f"{n}.zip", tmp_path / f"new-{n}")
        found = set(areas(tmp_path / f"new-{n}"))
        assert {f"{side}-{m}" for side in ("left", "right") for m in range(n + 1)} <= found


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    settings = village(tmp_path)
    backup(settings, tmp_path / "b.zip", NOON)
    with pytest.raises(BackupFailed, match="exists already"):
        backup(settings, tmp_path / "b.zip", NOON)
    with pytest.raises(BackupFailed, match="exists already"):
        restore(tmp_path / "b.zip", settings.data_dir)


def test_no_backup_is_made_while_somebody_changes_the_logins(tmp_path: Path) -> None:
    settings = village(tmp_path)
    with (
        opened(settings.data_dir / "broker"),
        pytest.raises(FolderUnusable, match="another command"),
    ):
        backup(settings, tmp_path / "b.zip", NOON)
    assert not (tmp_path / "b.zip").exists()
    backup(settings, tmp_path / "b.zip", NOON)


def test_there_must_be_something_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="no ledger"):
        backup(Settings(data_dir=tmp_path), tmp_path / "b.zip", NOON)
    assert list(tmp_path.iterdir()) == []


def rewritten(source: Path, target: Path, **changed: bytes) -> Path:
    """Copy an archive with other contents for some files (`manifest` for manifest.json)."""
    names = {"manifest": MANIFEST, "ledger": LEDGER}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        contents = {name: old.read(name) for name in old.namelist()}
        contents |= {names.get(name, name): content for name, content in changed.items()}
        for name, content in contents.items():
            new.writestr(name, content)
    return target


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ledger": b"rubbish"}, "ledger.sqlite is damaged"),
        ({"manifest": b"{}"}, "no backup of chargewatch"),
        ({"manifest": b"x" * 100_000}, "too large"),
        (
            {"manifest": b'{"format": 2, "made_at": "2026-11-24T04:00:00Z", "sha256": {}}'},
            "newer",
        ),
        (
            {"manifest": b'{"format": 1, "made_at": "2026-11-24T04:00:00Z", "sha256": {}}'},
            "and no other files",
        ),
    ],
)
def test_what_is_damaged_or_foreign_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, changed: dict[str, bytes], words: str
) -> None:
    backup(village(tmp_path), tmp_path / "b.zip", NOON)
    wrong = rewritten(tmp_path / "b.zip", tmp_path / "wrong.zip", **changed)
    with pytest.raises(BackupFailed, match=words):
        restore(wrong, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "history.duckdb"])
def test_no_other_file_is_ever_unpacked(tmp_path: Path, name: str) -> None:
    made = backup(village(tmp_path), tmp_path / "b.zip", NOON)
    manifest = msgspec.structs.replace(made, sha256=made.sha256 | {name: "0" * 64})
    encoded = msgspec.json.encode(manifest)
    wrong = rewritten(tmp_path / "b.zip", tmp_path / "wrong.zip", manifest=encoded)
    with pytest.raises(BackupFailed, match="no other files"):
        restore(wrong, tmp_path / "new")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"rubbish")
    with pytest.raises(BackupFailed, match="not a zip file"):
        restore(tmp_path / "b.zip", tmp_path / "new")


def test_the_commands_say_what_they_did_and_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, run = village(tmp_path), CliRunner()
    monkeypatch.setenv("CHARGEWATCH_DATA_DIR", str(settings.data_dir))
    file, logins = tmp_path / "b.zip", ", ".join(LOGINS)
    done = run.invoke(app, ["backup", str(file)])
    assert (done.exit_code, done.output) == (
        0,
        f"{file}: ledger.sqlite, tokens, link_keys, {logins}\n",
    )
    refused = run.invoke(app, ["restore", str(file)])
    assert refused.exit_code == 2
    assert "exists already" in refused.output
    monkeypatch.setenv("CHARGEWATCH_DATA_DIR", str(tmp_path / "new"))
    assert run.invoke(app, ["restore", str(file)]).exit_code == 0
    assert areas(tmp_path / "new") == ["town"]
