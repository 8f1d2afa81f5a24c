"""Asks the API whatever its description allows, and does not: `python -m benchmarks.fuzz_api`.

Schemathesis makes the requests from the OpenAPI description that the application itself serves,
to a small world behind a real socket, as an operator's token and as a police officer, with a
new seed in each round, until the time is over. Ends with status 1 if an answer was a 5xx, or
one that the description does not know.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from api.serving import set_up_log
from benchmarks.machine import description
from tests.api_fuzzing import fuzz
from tests.http_doubles import WRITE_TOKEN, somebody
from tests.served import served


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--examples", type=int, default=10, help="in a round, of each kind")
    parser.add_argument("--seed", type=int, default=28)
    options = parser.parse_args()
    set_up_log("console", quiet=True)
    chance, asked, rounds = random.Random(options.seed), 0, 0
    statuses, troubles = Counter[str](), list[str]()
    until_s = time.monotonic() + options.seconds
    while time.monotonic() < until_s:
        with tempfile.TemporaryDirectory() as name, served(Path(name)) as here:
            for token in (here.token_of(somebody()), WRITE_TOKEN):
                number = chance.randrange(2**31)
                found = fuzz(
                    here.url, token, examples=options.examples, number=number, until_s=until_s
                )
                asked += found.asked
                statuses.update(found.statuses)
                troubles += found.troubles
        rounds += 1
    shown = {
        "machine": description(),
        "seed": options.seed,
        "rounds": rounds,
        "requests": asked,
        "statuses": dict(sorted(statuses.items())),
        "troubles": len(troubles),
        "first": troubles[:20],
    }
    print(json.dumps(shown) if options.json else json.dumps(shown, indent=2))
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
