"""The policy in force, and what was changed about it."""

from datetime import datetime

from api.http.shapes.shape import WHEN, Shape, Value, shown
from api.watch import PolicyState
from ingest.ledger.policy_log import How, PolicyLine
from rules.policies import Changed


class PolicyInForce(Shape):
    """`error` is what was wrong with the file when it was last read; then the policy before
    it stays in force. `warnings` name limits for places that nobody knows.
    """

    file: str | None
    digest: str | None
    """SHA-256 of the file, in hexadecimal."""
    in_force_since: datetime | None
    warnings: list[str]
    error: str | None
    error_at: datetime | None

    model_config = shown(
        {
            "file": "policy.toml",
            "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "in_force_since": WHEN,
            "warnings": ['site."xuhui/renmin": there is no such site; did you mean …?'],
            "error": None,
            "error_at": None,
        }
    )

    @classmethod
    def of(cls, state: PolicyState) -> "PolicyInForce":
        return cls(
            file=state.file or None,
            digest=state.digest or None,
            in_force_since=state.since,
            warnings=list(state.warnings),
            error=state.error or None,
            error_at=state.error_at,
        )


class ValueChange(Shape):
    """One value that a layer sets otherwise than before; null: it does not set it."""

    layer: str
    rule: str
    key: str
    before: Value | None
    after: Value | None

    @classmethod
    def of(cls, change: Changed) -> "ValueChange":
        return cls(
            layer=change.layer,
            rule=change.table,
            key=change.key,
            before=change.before,
            after=change.after,
        )


class PolicyChange(Shape):
    """`who` is a token's name, or chargewatch itself."""

    id: int
    at: datetime
    who: str
    how: How
    file: str
    digest: str
    changes: list[ValueChange]

    @classmethod
    def of(cls, line: PolicyLine) -> "PolicyChange":
        return cls(
            id=line.id,
            at=line.at,
            who=line.who,
            how=line.how,
            file=line.file,
            digest=line.digest,
            changes=[ValueChange.of(change) for change in line.changes],
        )


class PolicyChanges(Shape):
    """Newest first."""

    changes: list[PolicyChange]
    next_before_id: int | None

    model_config = shown({"changes": [], "next_before_id": None})
