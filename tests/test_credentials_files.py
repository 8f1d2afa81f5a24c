"""The broker's folder: made once, renewed in time, changed whole or not at all."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from api.credentials import certificates, passwords
from api.credentials.book import Book, Newcomer, added
from api.credentials.certificates import Pair, new_authority, new_server
from api.credentials.folder import BrokerFolder, FolderUnusable, opened, share
from api.credentials.logins import SERVICE, SIMULATOR, CredentialsWrong, speaker
from api.credentials.reloading import reload_broker
from api.credentials.server_certificate import AUTHORITY_KEY, Given
from api.credentials.setting_up import SECRET_OF, SetUp, Wanted, set_up

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
HASH = passwords.hashed("of this test")
FIRST = {"ca.crt", "server.crt", f"login {SERVICE}"}


@pytest.fixture(scope="module")
def known() -> Pair:
    """Return an authority; to make one takes a while."""
    return new_authority(NOW)


@pytest.fixture(scope="module")
def server(known: Pair) -> Pair:
    """Return a certificate by that authority."""
    return new_server(known, ["broker.example"], NOW)


class Place:
    """A broker's folder, and what is beside it."""

    def __init__(self, folder: Path) -> None:
        self.dir, self.secrets, self.authority = (
            folder / name for name in ("broker", "secrets", "broker-ca")
        )

    def init(self, now: datetime = NOW, **more: object) -> SetUp:
        wanted = Wanted(authority_dir=self.authority, secrets_dir=self.secrets, **more)  # type: ignore[arg-type]
        with opened(self.dir, make=True) as folder:
            return set_up(folder, wanted, now)

    def book(self) -> Book:
        with opened(self.dir) as folder:
            return folder.read()

    def contents(self) -> dict[str, bytes]:
        folders = (self.dir, self.secrets, self.authority)
        return {str(path): path.read_bytes() for folder in folders for path in folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path, known: Pair, server: Pair) -> Place:
    """Return a place where authority and certificate are made already."""
    made = Place(tmp_path)
    made.dir.mkdir()
    made.authority.mkdir()
    (made.dir / "ca.crt").write_bytes(known.certificate)
    (made.dir / "server.crt").write_bytes(server.certificate)
    (made.dir / "server.key").write_bytes(server.key)
    (made.authority / AUTHORITY_KEY).write_bytes(known.key)
    return made


# --- the first time and the next ----------------------------------------------------------


def test_the_first_time_makes_all_and_the_second_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path)
    done = place.init(hosts=("broker.example", "192.0.2.7"))
    assert set(done.made) == FIRST
    assert done.hosts == ("broker.example", "192.0.2.7", "localhost", "127.0.0.1", "::1")
    before = place.contents()
    again = place.init(now=NOW + timedelta(days=300))
    assert again.made == ()
    assert place.contents() == before
    password = (place.secrets / SECRET_OF[SERVICE]).read_text()
    assert passwords.fits(password, place.book().hashes[SERVICE])


def test_nobody_else_can_read_it_until_a_group_is_let_in(tmp_path: Path, server: Pair) -> None:
    place = Place(tmp_path)
    place.init(given=Given(server, server.certificate))
    for path in (*place.dir.iterdir(), *place.secrets.iterdir()):
        assert path.stat().st_mode & 0o777 == 0o600, path
    share(place.dir, os.getgid())
    with opened(place.dir) as broker:
        broker.write(broker.read())
    modes = {path.name: path.stat().st_mode & 0o777 for path in place.dir.glob("[!.]*")}
    assert set(modes.values()) == {0o640}
    assert {"passwd", "acl", "server.key", "server.crt", "ca.crt"} < set(modes)
    assert place.dir.stat().st_mode & 0o7777 == 0o2750
    assert place.secrets.stat().st_mode & 0o077 == 0


def test_the_certificate_is_renewed_before_its_end_and_for_new_names(place: Place) -> None:
    first = place.init()
    early = first.certificate_ends - timedelta(days=61)
    assert place.init(now=early).made == ()
    late = first.certificate_ends - timedelta(days=60)
    renewed = place.init(now=late)
    assert renewed.made == ("server.crt",)
    assert renewed.hosts == first.hosts
    assert renewed.authority == first.authority
    more = place.init(now=late, hosts=("BROKER.example", "two.example"))
    assert more.made == ("server.crt",)
    assert set(more.hosts) == {*first.hosts, "two.example"}


def test_a_certificate_whose_key_got_lost_is_made_again(place: Place) -> None:
    place.init()
    (place.dir / "server.key").unlink()
    assert place.init().made == ("server.crt",)


def test_the_authority_vouches_for_servers_and_for_no_other_authority(
    known: Pair, server: Pair
) -> None:
    authority, certificate = (
        x509.load_pem_x509_certificate(each.certificate) for each in (known, server)
    )
    certificate.verify_directly_issued_by(authority)
    limits = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (limits.ca, limits.path_length) == (True, 0)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_an_authority_is_never_made_anew_by_accident(place: Place, known: Pair) -> None:
    place.init()
    (place.dir / "ca.crt").unlink()
    with pytest.raises(CredentialsWrong, match="put it back from a backup"):
        place.init()
    (place.dir / "ca.crt").write_bytes(known.certificate)
    (place.authority / AUTHORITY_KEY).unlink()
    assert place.init().made == ()  # kept elsewhere: nothing can be made, nothing need be
    with pytest.raises(CredentialsWrong, match=r"made for other\.example"):
        place.init(hosts=("other.example",))


@pytest.mark.parametrize("host", ["", "two words", "a/b", "*.example.org", "-x", "主机"])
def test_what_is_no_host_is_refused(place: Place, host: str) -> None:
    with pytest.raises(CredentialsWrong, match="neither an address nor a host name"):
        place.init(hosts=(host,))


# --- a certificate of somebody else's -----------------------------------------------------


def test_somebody_elses_certificate_is_used_and_left_alone(
    tmp_path: Path, known: Pair, server: Pair
) -> None:
    place, given = Place(tmp_path), Given(server, known.certificate)
    done = place.init(given=given, hosts=("broker.example",))
    assert set(done.made) == FIRST | {"server.key"}
    assert place.init(given=given).made == ()
    assert place.init(now=done.certificate_ends - timedelta(days=1)).made == ()
    assert not place.authority.exists()


def test_somebody_elses_certificate_is_not_renewed_by_an_authority_of_ours(
    place: Place,
) -> None:
    """Devices that trust the other one would not know the broker any more."""
    stranger = new_authority(NOW)
    for authority in (None, stranger.certificate):
        done = place.init(given=Given(new_server(stranger, [], NOW), authority))
        before = place.contents()
        assert place.init(now=done.certificate_ends - timedelta(days=1)).made == ()
        assert place.contents() == before


def test_a_certificate_that_devices_know_needs_no_authority(
    tmp_path: Path, server: Pair
) -> None:
    place = Place(tmp_path)
    done = place.init(given=Given(server))
    assert (done.authority, done.authority_ends) == ("", None)
    assert not (place.dir / "ca.crt").exists()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda pair, other: Given(Pair(pair.certificate, other.key)), "not that of"),
        (lambda pair, _: Given(Pair(b"rubbish", pair.key)), "not a certificate"),
        (lambda pair, _: Given(Pair(pair.certificate, b"rubbish")), "private key cannot"),
        (lambda pair, _: Given(pair, b"rubbish"), "not a certificate"),
    ],
)
def test_a_certificate_that_is_of_no_use_is_refused_and_changes_nothing(
    tmp_path: Path,
    known: Pair,
    server: Pair,
    spoil: Callable[[Pair, Pair], Given],
    words: str,
) -> None:
    place = Place(tmp_path)
    with pytest.raises(CredentialsWrong, match=words):
        place.init(given=spoil(server, known))
    assert {path.name for path in place.dir.iterdir()} <= {".lock"}


def test_a_certificate_that_has_ended_or_is_for_others_is_refused(
    tmp_path: Path, server: Pair
) -> None:
    place, given = Place(tmp_path), Given(server)
    with pytest.raises(CredentialsWrong, match=r"is not for b\.example"):
        place.init(given=given, hosts=("broker.example", "b.example"))
    with pytest.raises(CredentialsWrong, match="has ended"):
        place.init(given=given, now=NOW + timedelta(days=certificates.SERVER_DAYS))


# --- our own logins -----------------------------------------------------------------------


def test_the_file_of_secrets_is_what_counts_for_our_own_programs(place: Place) -> None:
    place.init()
    file = place.secrets / SECRET_OF[SERVICE]
    first = file.read_text()
    file.unlink()  # lost: there is another one then
    assert place.init().made == (f"login {SERVICE}",)
    assert file.read_text() != first
    file.write_text(f"{first}\n")  # brought by hand, with a line's end
    assert place.init().made == (f"login {SERVICE}",)
    assert passwords.fits(first, place.book().hashes[SERVICE])


@pytest.mark.parametrize("placeholder", ["", "change-me", "short"])
def test_a_placeholder_is_no_password(place: Place, placeholder: str) -> None:
    place.secrets.mkdir()
    (place.secrets / SECRET_OF[SERVICE]).write_text(placeholder)
    with pytest.raises(CredentialsWrong, match="placeholder"):
        place.init()


def test_the_simulator_has_a_login_only_if_it_is_asked_for(place: Place) -> None:
    place.init()
    assert SIMULATOR not in place.book().logins
    place.init(simulated=("town/+",))
    assert place.init().made == ()
    assert place.book().logins[SIMULATOR].sites == ("town/+",)
    assert place.init(simulated=("town/site",)).made == (f"login {SIMULATOR}",)


# --- the folder ---------------------------------------------------------------------------


def test_two_commands_at_once_do_not_lose_each_others_logins(place: Place) -> None:
    with (
        opened(place.dir),
        pytest.raises(FolderUnusable, match="another command"),
        opened(place.dir),
    ):
        pass
    with opened(place.dir):
        pass


def test_a_folder_that_was_never_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderUnusable, match="devices init"), opened(tmp_path / "none"):
        pass


def test_what_is_damaged_is_named_and_not_written_over(place: Place) -> None:
    place.init()
    for name in ("passwd", "logins.json"):
        before = (place.dir / name).read_bytes()
        (place.dir / name).write_bytes(b"rubbish\n")
        with pytest.raises(CredentialsWrong):
            place.init()
        assert (place.dir / name).read_bytes() == b"rubbish\n"
        (place.dir / name).write_bytes(before)


def test_what_somebody_added_by_hand_is_kept(place: Place) -> None:
    (place.dir / "passwd").write_text(f"# by mosquitto_passwd\nby-hand:{HASH}\n")
    place.init()
    with opened(place.dir) as folder:
        newcomer = Newcomer(speaker("a/b/c", "native", None), HASH)
        folder.write(added(folder.read(), [newcomer], NOW))
    assert set(place.book().hashes) == {SERVICE, "by-hand", "a/b/c"}


def test_a_crash_between_two_files_never_leaves_a_right_too_many(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.init()
    put, done = BrokerFolder.put, list[str]()

    def crash(folder: BrokerFolder, name: str, content: bytes) -> None:
        if len(done) == 1:
            raise FolderUnusable("the power is gone")
        done.append(name)
        put(folder, name, content)

    monkeypatch.setattr(BrokerFolder, "put", crash)
    newcomer = Newcomer(speaker("a/b/plug", "tasmota", None), HASH)
    with opened(place.dir) as folder, pytest.raises(FolderUnusable, match="power"):
        folder.write(added(folder.read(), [newcomer], NOW))
    monkeypatch.undo()
    assert done == ["passwd"]
    assert b"plug" not in (place.dir / "acl").read_bytes()
    with opened(place.dir) as folder:  # and the same command mends it
        folder.write(added(folder.read(), [newcomer], NOW))
    assert b"user plug@tasmota" in (place.dir / "acl").read_bytes()


@pytest.mark.parametrize(
    "content",
    ["", "x", "1", "-5", pytest.param(str(os.getpid()), id="our own"), "99999999"],
)
def test_only_a_mosquitto_is_sent_a_signal(tmp_path: Path, content: str) -> None:
    file = tmp_path / "pid"
    file.write_text(content)
    with pytest.raises(CredentialsWrong):
        reload_broker(file)
    with pytest.raises(CredentialsWrong, match="could not be told"):
        reload_broker(tmp_path / "none")
