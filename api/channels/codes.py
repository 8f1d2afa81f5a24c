"""What a robot's own error codes mean: they answer 200 to almost anything."""

from datetime import timedelta

import msgspec

from api.channels import DeliveryFailed
from api.channels.posting import Answer


class Codes(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's codes. What is not in here may pass: it is tried again."""

    provider: str
    too_fast: frozenset[int]
    pause: timedelta
    """What to wait if it was too fast; the providers do not say it themselves."""
    for_good: dict[int, str]
    """What a person has to mend, in words."""

    def failure(self, code: int, answer: Answer) -> DeliveryFailed:
        if code in self.too_fast:
            return self.sent_too_fast(answer)
        if code in self.for_good:
            return DeliveryFailed(f"{self.for_good[code]}: {answer.words}", permanent=True)
        return DeliveryFailed(f"{self.provider} {code}: {answer.words}", permanent=False)

    def sent_too_fast(self, answer: Answer) -> DeliveryFailed:
        reason = f"sent too fast: {answer.words}"
        return DeliveryFailed(reason, permanent=False, retry_after=self.pause)
