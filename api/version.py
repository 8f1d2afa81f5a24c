"""Which chargewatch this is; a test holds it equal to pyproject.toml, which no image has."""

VERSION = "0.1.0"
