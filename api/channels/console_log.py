"""Tells by a line in the service's own log: the demo's channel, and the last resort."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import structlog

from api.channels import UNLIMITED, Limits, Notice

log = structlog.get_logger()


def _nobody(_: Notice) -> None:
    """Nobody inside the process wants to know."""


@dataclass(frozen=True, kw_only=True)
class ConsoleLog:
    """Cannot fail. `told` also hands the notice to somebody inside the process."""

    name: str = "log"
    limits: ClassVar[Limits] = UNLIMITED
    told: Callable[[Notice], None] = _nobody

    async def send(self, notice: Notice) -> str:
        log.info(
            "alert.told",
            transition=str(notice.transition),
            rule=notice.rule,
            severity=str(notice.severity),
            site=notice.site,
            device=notice.device,
            channel=notice.channel,
            at=notice.at.isoformat(),
            title=notice.title,
            episode=notice.episode,
            drill=notice.drill,
        )
        self.told(notice)
        return "logged"
