"""Telling people: takes what waits in the outbox and hands it to its channel.

Each notification was written down together with the decision, so a crash between deciding
and telling loses nothing. It is told at least once: a crash between telling and noting that
it was told repeats it, with the same idempotency key.

What is sent when is decided in planning.py. A lane is served by a task for as long as
something waits for it: what costs time is the work, and not the number of people.
"""

from api.delivery.carrying import Words
from api.delivery.health import DeliveryHealth
from api.delivery.lanework import LaneHealth
from api.delivery.recipients import Recipients
from api.delivery.running import Delivery

__all__ = ["Delivery", "DeliveryHealth", "LaneHealth", "Recipients", "Words"]
