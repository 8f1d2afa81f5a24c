"""What is wrong with something that was entered: where, and in which words."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from api.text import Texts
from ingest.errors import ChargewatchError

Path = tuple[str | int, ...]
SHOWN_MAX = 20


class Complaint(NamedTuple):
    path: Path
    """Where it is in what was entered: ("ways", 1, "address")."""
    code: str
    """`people.wrong.{code}` of the catalogue are its words."""
    values: Mapping[str, str] = {}
    meant: str = ""
    """What was meant, perhaps."""

    def words(self, say: Texts) -> str:
        said = say(f"people.wrong.{self.code}", **self.values)
        return f"{said} {say('people.wrong.meant', name=self.meant)}" if self.meant else said

    @property
    def where(self) -> str:
        return ".".join(map(str, self.path))


class Wrong(ChargewatchError):
    """What was entered cannot be kept."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)[:SHOWN_MAX]
        say = Texts.of("en")
        said = [f"{each.where}: {each.words(say)}" for each in self.complaints]
        super().__init__("; ".join(said))


class NotThere(ChargewatchError):
    """There is no such person, post or route for whoever asks."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is no such {kind}.")


class Conflict(ChargewatchError):
    """It is right in itself, and cannot be now; `people.conflict.{code}` are its words."""

    def __init__(self, code: str, **values: str) -> None:
        self.code, self.values = code, values
        super().__init__(self.words(Texts.of("en")))

    def words(self, say: Texts) -> str:
        return say(f"people.conflict.{self.code}", **self.values)
