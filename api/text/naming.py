"""What people are called, where the ledger knows them by an id."""

from api.text.catalogue import Texts, plain
from ingest.people import Directory

PERSON, POST = "person:", "post:"


def named(who: str, directory: Directory, say: Texts) -> str:
    """Return the name of somebody whom the ledger calls `who`.

    That is a person's id, `person:{id}`, `post:{id}`, or already a name, which stays.
    """
    if who.startswith(POST):
        post = directory.posts.get(who.removeprefix(POST))
        return plain(who) if post is None else say.name(post.name)
    person = directory.people.get(who.removeprefix(PERSON))
    return plain(who) if person is None else plain(person.name)
