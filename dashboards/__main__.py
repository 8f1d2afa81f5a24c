"""`python -m dashboards build` and `push`."""

from dashboards.commands import app

app(prog_name="python -m dashboards")
