"""A dashboard being put together: where its panels lie, its variables, links, annotations."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders.dashboard import Dashboard as DashboardBuilder
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.annotations import maintenance
from dashboards.influxql import ZONE
from dashboards.variables import console
from dashboards.words import Words

COLUMNS = 24
"""How wide Grafana's grid is."""


@dataclass
class Board:
    """`name` is its file and its keys in the catalogue; `rows` are filled from the top."""

    say: Words
    name: str
    since: str
    refresh: str
    variables: Sequence[grafana.VariableModel] = ()
    annotations: Sequence[grafana.AnnotationQuery] = ()
    panels: list[grafana.Panel] = field(default_factory=list)
    _y: int = 0

    def row(self, height: int, *panels: tuple[int, grafana.Panel]) -> None:
        """Put panels of the given widths side by side below what is there."""
        x = 0
        for width, panel in panels:
            panel.id_val = len(self.panels) + 1
            panel.grid_pos = grafana.GridPos(h=height, w=width, x=x, y=self._y)
            self.panels.append(panel)
            x += width
        if x > COLUMNS:
            raise ValueError(f"a row of {self.name} is {x} wide, of {COLUMNS}")
        self._y += height

    def build(self, console_url: str) -> grafana.Dashboard:
        """Return the dashboard as Grafana knows it."""
        say = self.say
        built = (
            DashboardBuilder(say(f"{self.name}.title"))
            .uid(uid_of(self.name, say.lang))
            .description(say(f"{self.name}.text"))
            .tags([tag_of(say.lang)])
            .timezone(ZONE)
            .week_start("monday")
            .time(self.since, "now")
            .refresh(self.refresh)
            .readonly()
            .tooltip(grafana.DashboardCursorSync.CROSSHAIR)
            .build()
        )
        built.panels = list(self.panels)
        built.templating = grafana.DashboardDashboardTemplating(
            list_val=[*self.variables, console(console_url)]
        )
        built.annotations = grafana.AnnotationContainer(
            list_val=[*self.annotations, maintenance(say)]
        )
        built.links = [
            grafana.DashboardLink(
                title=say("links.boards"),
                type_val=grafana.DashboardLinkType.DASHBOARDS,
                icon="external link",
                tooltip=say("links.boards.text"),
                url="",
                tags=[tag_of(say.lang)],
                as_dropdown=False,
                include_vars=True,
                keep_time=False,
            ),
            grafana.DashboardLink(
                title=say("links.console"),
                type_val=grafana.DashboardLinkType.LINK,
                icon="external link",
                tooltip=say("links.console.text"),
                url="${console:raw}/",
                target_blank=True,
            ),
        ]
        return built


def uid_of(board: str, lang: str) -> str:
    """Return the name by which addresses and links know a dashboard."""
    return f"cw-{board}-{lang}"


def tag_of(lang: str) -> str:
    """Return the tag by which the dashboards of a language find each other."""
    return f"chargewatch-{lang}"
