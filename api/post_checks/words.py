"""What a duty-post check says to the desk, and to the manager if nobody answers."""

from collections.abc import Callable

from api.channels import Notice
from api.text import Texts
from ingest.people import Directory
from ingest.post_checks import RULE, About, PostCheck
from rules.alerts import Transition
from rules.verdict import Severity

LinkFor = Callable[[PostCheck, str], str]
"""Makes the signed path by which a recipient answers a check without a login."""


class CheckWords:
    """Puts checks into words of their reader's language."""

    def __init__(self, console_url: str, link_for: LinkFor, directory: Directory) -> None:
        self._console_url, self._link_for = console_url.rstrip("/"), link_for
        self._directory = directory

    def notice(
        self, check: PostCheck, about: About, to: str, channel: str, language: str
    ) -> Notice:
        """Return what is told to `post:{id}` or `person:{id}` by a channel.

        The question is marked as a drill: nothing is wrong, and yet a telephone may ring. For
        the manager it is worth a look, and no call.
        """
        say, asks = Texts.of(language), about is About.ASKED
        link = f"{self._console_url}{self._link_for(check, to)}" if asks else ""
        return Notice(
            idempotency_key=f"check-{check.id}:{about}:{channel}",
            episode=f"check-{check.id}",
            transition=Transition.FIRING,
            rule=RULE,
            severity=Severity.CRITICAL if asks else Severity.WARNING,
            area=check.area,
            site="",
            device="",
            channel=None,
            at=check.asked_at if asks else check.due_at,
            began_at=check.asked_at,
            language=language,
            title=say(f"check.{about}.title", post=self._name(check, say)),
            text=self._asked(check, say) if asks else self._missed(check, say),
            evidence={},
            console_url=f"{self._console_url}/" if asks else f"{self._console_url}/checks",
            answer_url=link,
            drill=asks,
        )

    def _asked(self, check: PostCheck, say: Texts) -> str:
        return say("check.asked.text", within=say.span(check.due_at - check.asked_at))

    def _missed(self, check: PostCheck, say: Texts) -> str:
        """Say also whether the question had arrived at all: else it may be us."""
        return say("check.missed.text" if check.is_heard else "check.missed.text.unheard")

    def _name(self, check: PostCheck, say: Texts) -> str:
        return name_of_post(self._directory, check.post, say)


def name_of_post(directory: Directory, post: str, say: Texts) -> str:
    """Return what people call a post; its id, if there is none of that id any more."""
    known = directory.posts.get(post)
    return post if known is None else say.name(known.name)


def answerer(directory: Directory, who: str, say: Texts) -> str:
    """Return what people call somebody who answered a check, or began one."""
    kind, _, post = who.partition(":")
    if kind == "post" and post:
        return say("check.by_link", post=name_of_post(directory, post, say))
    person = directory.people.get(who)
    return who if person is None else person.name
