"""Photos of alerts."""

from datetime import datetime

from pydantic import JsonValue

from api.http.shapes.shape import WHEN, Shape, shown
from ingest.ledger.photos import Photo as KeptPhoto

PHOTO: dict[str, JsonValue] = {
    "id": 3,
    "at": WHEN,
    "who": "li.wei",
    "width": 1600,
    "height": 1200,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "path": "/api/v1/alerts/17/photos/3",
}


class Photo(Shape):
    """A JPEG that was made anew, without what the camera wrote beside the pixels."""

    id: int
    at: datetime
    who: str
    width: int
    height: int
    sha256: str
    """Is in the alert's log, too."""
    path: str

    model_config = shown(PHOTO)

    @classmethod
    def of(cls, photo: KeptPhoto, alert: int) -> "Photo":
        names = [name for name in cls.model_fields if name != "path"]
        values = {name: getattr(photo, name) for name in names}
        return cls(path=f"/api/v1/alerts/{alert}/photos/{photo.id}", **values)


class Photos(Shape):
    """Oldest first."""

    photos: list[Photo]

    model_config = shown({"photos": [PHOTO]})
