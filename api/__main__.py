"""`python -m api`, which `./chargewatch` calls."""

from api.cli import app

app(prog_name="chargewatch")
