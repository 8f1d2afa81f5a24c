"""Dashboards as text: the same source, the same bytes."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.boards import BOARDS
from dashboards.words import LANGUAGES, words_of

BUILT = Path(__file__).with_name("built")
CONSOLE = "http://127.0.0.1:8000"
"""Where the console is, if nobody says otherwise: the default of CHARGEWATCH_HTTP__URL."""


def built(lang: str, name: str, console: str = CONSOLE) -> str:
    """Return one dashboard as JSON; `console` is where its links to the console lead."""
    board = BOARDS[name](words_of(lang)).build(console.rstrip("/"))
    text = json.dumps(board, cls=JSONEncoder, ensure_ascii=False, indent=1, sort_keys=True)
    return text + "\n"


def write(folder: Path, console: str = CONSOLE) -> list[Path]:
    """Write all dashboards as {folder}/{language}/{name}.json; return what was written.

    Files of dashboards that are no more are removed.
    """
    paths = []
    for lang in LANGUAGES:
        (folder / lang).mkdir(parents=True, exist_ok=True)
        for name in BOARDS:
            path = folder / lang / f"{name}.json"
            path.write_text(built(lang, name, console), encoding="utf-8")
            paths.append(path)
        for path in (folder / lang).glob("*.json"):
            if path not in paths:
                path.unlink()
    return paths
