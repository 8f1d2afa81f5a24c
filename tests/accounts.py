"""What the ledger says was told, held against what the providers say they took."""

import hashlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.providers import Taken

ROWS = """
SELECT outbox.id, outbox.idempotency_key, outbox.episode, outbox.transition, outbox.channel,
       outbox.state, outbox.reason, digests.idempotency_key
FROM outbox LEFT JOIN digests ON digests.id = outbox.digest ORDER BY outbox.id
"""
WAITING = """
SELECT (SELECT count(*) FROM outbox WHERE state = 'waiting')
     + (SELECT count(*) FROM digests WHERE state = 'waiting')
"""
ALERTS = "SELECT rule, coalesce(device, ''), site, state FROM alerts"
END = "resolved"
NEVER_TOLD = ("skipped", "never_told")


@dataclass(frozen=True)
class Row:
    """A notification, as the ledger has it at the end."""

    id: int
    key: str
    episode: str
    transition: str
    channel: str
    state: str
    reason: str
    digest: str | None

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of the messages that may have told of it."""
        return (self.key,) if self.digest is None else (self.key, self.digest)


def read_only(data: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{data}/ledger.sqlite?mode=ro", uri=True)


def waiting(data: Path) -> int:
    """Return how many notifications and digests are not told yet."""
    with closing(read_only(data)) as connection:
        [(count,)] = connection.execute(WAITING).fetchall()
    return int(count)


def alerts_of(data: Path) -> list[tuple[str, str, str, str]]:
    """Return rule, device, site and state of every alert."""
    with closing(read_only(data)) as connection:
        return connection.execute(ALERTS).fetchall()


def rows_of(data: Path) -> list[Row]:
    with closing(read_only(data)) as connection:
        return [Row(*found) for found in connection.execute(ROWS)]


@dataclass
class Account:
    """All that is wrong, in words; and what there is to count."""

    untold: list[str] = field(default_factory=list)
    """Notifications that the ledger does not have as told, for no good reason."""
    missing: list[str] = field(default_factory=list)
    """Told by the ledger, and no provider took them."""
    disordered: list[str] = field(default_factory=list)
    """An end before the beginning, or a beginning after the end."""
    unheard_ends: list[str] = field(default_factory=list)
    """Ends for those who were never told of the beginning."""
    repeated: list[str] = field(default_factory=list)
    """More than once within one life of the service: no crash explains that."""
    copies: int = 0
    """How often something was told again."""
    copies_most: int = 0
    """Of one notification."""
    notifications: int = 0
    digests: int = 0

    @property
    def wrongs(self) -> list[str]:
        found = (self.untold, self.missing, self.disordered, self.unheard_ends, self.repeated)
        return [word for words in found for word in words]


def account_of(
    rows: Sequence[Row], taken: Sequence[Taken], channels: Sequence[str], mail_domain: str
) -> Account:
    """Hold rows against what was taken, for the channels behind which somebody counts."""
    account = Account(digests=len({row.digest for row in rows if row.digest is not None}))
    places: Mapping[str, list[int]] = _places(taken)
    heard: dict[tuple[str, str], dict[bool, list[list[int]]]] = defaultdict(
        lambda: {False: [], True: []}
    )
    for row in rows:
        if row.channel not in channels:
            continue
        account.notifications += 1
        is_mail = row.channel.startswith("mail to ")
        keys = [message_id(key, mail_domain) if is_mail else key for key in row.keys]
        found = sorted(place for key in keys for place in places.get(key, ()))
        heard[row.channel, row.episode][row.transition == END].append(found)
        _check(row, found, taken, account)
    for (channel, episode), told in heard.items():
        _check_order(f"{channel}: {episode}", told, account)
    return account


def _check(row: Row, found: Sequence[int], taken: Sequence[Taken], account: Account) -> None:
    name = f"{row.channel}: {row.key}"
    if row.state != "told":
        if row.transition != END or (row.state, row.reason) != NEVER_TOLD:
            account.untold.append(f"{name}: {row.state}, {row.reason}")
        return
    if not found:
        account.missing.append(name)
    lives = Counter(taken[place].life for place in found)
    account.repeated += [f"{name} in life {life}" for life, n in lives.items() if n > 1]
    account.copies += max(0, len(found) - 1)
    account.copies_most = max(account.copies_most, len(found) - 1)


def _check_order(name: str, told: Mapping[bool, list[list[int]]], account: Account) -> None:
    """See that an end came after all else, but for messages that tell of both."""
    ends = {place for found in told[True] for place in found}
    begins = {place for found in told[False] for place in found}
    if not ends:
        return
    if not begins:
        account.unheard_ends.append(name)
    elif min(begins) > min(ends) or max(begins - ends, default=-1) > min(ends):
        account.disordered.append(name)


def _places(taken: Sequence[Taken]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, each in enumerate(taken):
        places[each.key].append(place)
    return places


def message_id(key: str, domain: str) -> str:
    """Return the Message-ID of a mail with this key."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>"
