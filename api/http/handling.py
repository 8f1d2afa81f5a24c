"""What people do about an alert besides acknowledging it, by whichever way they came.

Notes and photos go into the log that is never changed. Whoever takes an alert over follows it
until the hazard is gone; whoever hands it over is rid of it only when the other has taken it
(rules/escalation.py).
"""

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection

from api.announce import handed_to
from api.http.access import Caller, Right
from api.http.problems import Trouble
from api.http.scope import Scoped
from api.photographs import Photograph
from api.watch import Change
from ingest.ledger.answers import NOTES_MAX, write_note
from ingest.ledger.audit import append_audit
from ingest.ledger.commit import Acknowledged, Commit, Handled
from ingest.ledger.photos import EACH_MAX, NoRoom, Photo, jpeg_of, photos_of, write_photo
from ingest.ledger.queries import AlertRow
from ingest.people import Directory, Person, Post
from rules.alerts import State

NOTE_CHARS_MAX = 1_000
HAND_NOTE_CHARS_MAX = 500


class Candidate(msgspec.Struct, frozen=True):
    """Somebody to whom an alert may be handed over."""

    recipient: str
    """`person:{id}` or `post:{id}`."""
    who: Person | Post


async def noted(scoped: Scoped, number: int, text: str) -> AlertRow:
    """Append a note to an alert's log."""
    said = text.strip()
    if not said or len(said) > NOTE_CHARS_MAX:
        raise Trouble(
            422, f"A note has 1 to {NOTE_CHARS_MAX} characters.", words="handling.note.wrong"
        )
    alert, watch = await scoped.alert(number), scoped.watch
    at, who = watch.now(), scoped.caller.name
    deed = scoped.caller.deed("alert.noted", at, about=str(number), place=alert.site)

    def write(c: Connection) -> None:
        if not write_note(c, alert.episode, at, who, said):
            detail = f"An alert has at most {NOTES_MAX} notes."
            raise Trouble(409, detail, words="handling.notes.full")
        append_audit(c, deed)

    await watch.ledger.write(write)
    watch.changes.tell(Change(alert.site, alerts=True))
    return alert


async def photographed(scoped: Scoped, number: int, photo: Photograph) -> Photo:
    """Keep a photo of an alert."""
    alert, watch = await scoped.alert(number), scoped.watch
    at, caller = watch.now(), scoped.caller
    size = (photo.width, photo.height)

    def write(c: Connection) -> Photo:
        kept = write_photo(c, alert.episode, at, who=caller.name, jpeg=photo.jpeg, size=size)
        if kept is NoRoom.ALERT:
            detail = f"An alert has at most {EACH_MAX} photos."
            raise Trouble(409, detail, words="photo.full")
        if isinstance(kept, NoRoom):
            raise Trouble(507, "There is no room for more photos.", words="photo.no_room")
        about = str(number)
        detail = f"{kept.id} sha256:{kept.sha256}"
        place = alert.site
        append_audit(c, caller.deed("alert.photo", at, about=about, place=place, detail=detail))
        return kept

    kept = await watch.ledger.write(write)
    watch.changes.tell(Change(alert.site, alerts=True))
    return kept


async def photos(scoped: Scoped, number: int) -> list[Photo]:
    """Return an alert's photos, oldest first, without their pixels."""
    return await scoped.watch.ledger.read(
        lambda c: photos_of(c, scoped.alert_of(c, number).episode)
    )


async def jpeg(scoped: Scoped, number: int, photo: int) -> bytes:
    """Return one of an alert's photos, or refuse with 404."""
    found = await scoped.watch.ledger.read(
        lambda c: jpeg_of(c, scoped.alert_of(c, number).episode, photo)
    )
    if found is None:
        raise Trouble(404, "There is no such photo.")
    return found


async def taken(scoped: Scoped, number: int, note: str = "") -> AlertRow:
    """Make the caller the one who follows an alert; acknowledges it if nobody has."""
    alert, watch, caller = await scoped.alert(number), scoped.watch, scoped.caller
    if alert.state != State.FIRING:
        raise _over()
    said = note.strip()

    def take(batch: Commit) -> None:
        watch.engine.acknowledge(alert.episode, batch.now)
        who = caller.name
        batch.acknowledged.append(Acknowledged(alert.episode, batch.now, who, said))
        batch.handled.append(Handled(alert.episode, batch.now, who, "", said))
        batch.audited.append(
            caller.deed(
                "alert.taken", batch.now, about=str(number), place=alert.site, detail=said
            )
        )

    await watch.desk.ask(take)
    watch.changes.tell(Change(alert.site, alerts=True))
    return await scoped.alert(number)


async def handed(scoped: Scoped, number: int, to: str, note: str = "") -> AlertRow:
    """Ask somebody to take an alert over, and tell them."""
    alert, watch, caller = await scoped.alert(number), scoped.watch, scoped.caller
    if alert.state != State.FIRING:
        raise _over()
    if to not in {each.recipient for each in candidates_for(scoped, alert)}:
        raise Trouble(422, "There is nobody like that here.", words="handling.hand.nobody")
    said = note.strip()

    def hand(batch: Commit) -> None:
        known = watch.engine.hand(alert.episode, batch.now)
        if known is None:  # it has ended in the meantime
            raise _over()
        batch.to_tell += handed_to(watch.directory, known, to, batch.now)
        batch.handled.append(Handled(alert.episode, batch.now, caller.name, to, said))
        detail = f"{to} {said}".rstrip()
        batch.audited.append(
            caller.deed(
                "alert.handed", batch.now, about=str(number), place=alert.site, detail=detail
            )
        )

    await watch.desk.ask(hand)
    watch.changes.tell(Change(alert.site, alerts=True))
    return await scoped.alert(number)


def _over() -> Trouble:
    return Trouble(409, "The alert is over.", words="handling.over")


def candidates_for(scoped: Scoped, alert: AlertRow) -> list[Candidate]:
    """Return to whom the caller may hand an alert: people first, each by name."""
    found = list(_candidates(scoped.watch.directory, alert, scoped.caller))
    return sorted(found, key=lambda each: (isinstance(each.who, Post), str(each.who.name)))


def _candidates(directory: Directory, alert: AlertRow, caller: Caller) -> Iterator[Candidate]:
    for person in directory.people.values():
        theirs = Caller.of_person(person)
        may = theirs.may(Right.ACKNOWLEDGE) and theirs.sees_alert(alert.site, alert.scope)
        if may and person.id != caller.person:
            yield Candidate(f"person:{person.id}", person)
    area = alert.site.partition("/")[0]
    for post in directory.posts.values():
        if post.active and post.answers_for(area):
            yield Candidate(f"post:{post.id}", post)
