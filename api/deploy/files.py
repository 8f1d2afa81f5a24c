"""Files that containers read and nobody else of this machine.

Containers have users of their own, which nobody on this machine has. So a file may be read by
its group, which the containers are given in addition (`DEPLOY_GID`), and the folder around all
of them is closed to everybody but its owner: what is mounted into a container is reached
without it.
"""

import os
from pathlib import Path

from ingest.errors import ChargewatchError

CLOSED, SHARED_FOLDER, SHARED_FILE = 0o700, 0o2750, 0o640
"""For the owner alone; for the owner's group too, which files inside inherit."""


class FilesWrong(ChargewatchError):
    """A folder or file belongs to somebody else."""


def closed(folder: Path) -> None:
    """Make a folder for its owner alone. Raises FilesWrong."""
    _made(folder, CLOSED)


def shared(folder: Path) -> None:
    """Make a folder that the containers may read, and so share what lies in it already.

    Whatever an editor or a backup has made of owner and mode is mended. Raises FilesWrong.
    """
    _made(folder, SHARED_FOLDER)
    for path in folder.iterdir():
        if path.is_file() and not path.name.startswith("."):
            _given(path, SHARED_FILE)


def write_shared(path: Path, text: str) -> None:
    """Write a file that the containers may read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    _given(fresh, SHARED_FILE)
    fresh.replace(path)


def _made(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _given(folder, mode)


def _given(path: Path, mode: int) -> None:
    """Give a path to our group, then its mode: the other way round a bit of it is lost."""
    try:
        os.chown(path, -1, os.getegid())
        path.chmod(mode)
    except PermissionError as error:
        raise FilesWrong(f"{path} belongs to somebody else") from error
