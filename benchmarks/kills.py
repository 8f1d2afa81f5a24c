"""Kills the service again and again while alarms flow: `python -m benchmarks.kills`.

Detectors see smoke at a real Mosquitto; a DingTalk-shaped robot that takes 20 a minute, a mail
server with two mailboxes and a webhook are told of it, and answer 429 and 500, hang, and hang
up. Afterwards the ledger and what everybody took are held against one another. Ends with
status 1 if anything is wrong. The same in small is in the suite, tests/test_kills.py.
"""

import argparse
import json
import secrets
import sys
import tempfile
import time
from pathlib import Path

import pytest

from benchmarks.machine import description
from tests.killing import Asked, Outcome, run

ALL_TOLD_WITHIN_S = 900.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rate", type=float, default=0.6, help="detectors a second")
    parser.add_argument("--burns", type=float, default=15.0, help="seconds that smoke lasts")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options = parser.parse_args()
    asked = Asked(
        kills=options.kills,
        seed=options.seed,
        rate=options.rate,
        burns_s=options.burns,
        fire_ends_s=60,
        all_told_within_s=ALL_TOLD_WITHIN_S,
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chargewatch-kills-") as name:
        try:
            outcome = run(Path(name), asked, lambda words: print(words, file=sys.stderr))
        except pytest.fail.Exception as failure:
            print(failure, file=sys.stderr)
            return 1
    shown = {
        "machine": description(),
        "seed": asked.seed,
        "kills": asked.kills,
        "seconds": round(time.monotonic() - began),
        **counted(outcome),
    }
    print(json.dumps(shown) if options.json else json.dumps(shown, indent=2))
    return 1 if outcome.wrongs else 0


def counted(outcome: Outcome) -> dict[str, object]:
    account, town = outcome.account, outcome.town
    return {
        "detectors": outcome.sensors,
        "fires": outcome.fires,
        "notifications": account.notifications,
        "messages_taken": len(town.record.taken),
        "digests": account.digests,
        "told_again": account.copies,
        "told_again_most": account.copies_most,
        "robot_asked": len(town.robot.asked),
        "robot_asked_most_in_a_minute": most_in_a_minute(town.robot.asked),
        "robot_refused_as_too_fast": town.robot.refused,
        "alarms_not_once": len(outcome.not_once),
        "untold": len(account.untold),
        "missing": len(account.missing),
        "disordered": len(account.disordered),
        "unheard_ends": len(account.unheard_ends),
        "repeated_without_a_crash": len(account.repeated),
        "unhandled_exceptions": outcome.faults,
        "wrong": outcome.wrongs[:20],
    }


def most_in_a_minute(moments: list[float]) -> int:
    return max((sum(a <= b < a + 60 for b in moments) for a in moments), default=0)


if __name__ == "__main__":
    sys.exit(main())
