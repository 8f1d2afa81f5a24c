"""Pictures of the console for the documents: `.venv/bin/python -m tests.console_pictures`.

A real broker and a real service with a village of three areas; its devices say what makes the
pages worth looking at. Who adds a page adds a line to PICTURES.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
from playwright.sync_api import Browser, Page

from api.tokens import read_tokens
from ingest.clock import utc_now
from tests.brokers import Mosquitto, mosquitto
from tests.browsing import DESKTOP, PHONE, chromium, log_in_with_token
from tests.pictured_posts import be_asked, put_posts
from tests.processes import ROOT, ServiceProcess, eventually, publish, service

FOLDER = ROOT / "docs" / "images" / "console"
SITES = """\
[areas.liuxi]
name = { zh = "柳溪镇", en = "Liuxi Town" }
[areas.donghu]
name = { zh = "东湖街道", en = "Donghu Street" }
[areas.beiling]
name = { zh = "北岭乡", en = "Beiling Township" }

"""
PLACES = {
    "liuxi/liushu": ("柳树村充电站", "Willow Village", 6, 30.2741, 120.1551),
    "liuxi/shiqiao": ("石桥村充电站", "Stone Bridge", 4, 30.2903, 120.1322),
    "liuxi/dongtou": ("洞头村充电站", "Dongtou Village", 4, 30.3011, 120.1102),
    "donghu/xingfuli": ("幸福里小区东门", "Xingfuli East Gate", 10, 30.2588, 120.1701),
    "donghu/caishichang": ("菜市场南侧", "Market South Side", 8, 30.2555, 120.1644),
    "donghu/wenhua": ("文化广场", "Culture Square", 6, 30.2511, 120.1590),
    "beiling/xiaoxue": ("北岭小学旁", "Beiling School", 4, 30.3320, 120.0907),
    "beiling/weisheng": ("乡卫生院", "Township Clinic", 6, 30.3388, 120.0877),
}


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is that of the file, without language and size."""

    name: str
    path: str
    views: tuple[str, ...] = ("zh-phone", "en-phone", "en-desktop")
    """Language, size, and "night" for the dark colours."""
    before: Callable[[Page], None] | None = None
    """What is done on the page before the picture is taken."""
    whole: bool = False
    """All of the page, and not only what fits the screen."""
    stranger: bool = False
    """Taken before anybody has logged in."""


def open_menu(page: Page) -> None:
    page.locator("[popovertarget=more]").click()


def chart_drawn(page: Page) -> None:
    page.locator("[data-drawn]").first.wait_for()


def unfold(page: Page) -> None:
    page.evaluate(
        "document.querySelectorAll('details[id^=payload]').forEach(d => d.open = true)"
    )


def unfold_overload(page: Page) -> None:
    rule = page.locator("#rule-overload")
    rule.locator("summary").click()
    rule.evaluate("rule => rule.scrollIntoView({block: 'center'})")


PICTURES = (
    Picture(name="login", path="/", views=("zh-phone",), stranger=True),
    Picture(
        name="duty",
        path="/",
        views=("zh-phone", "zh-phone-night", "en-phone", "en-desktop", "zh-desktop-night"),
    ),
    Picture(name="duty-calm", path="/?area=beiling", views=("zh-phone",)),
    Picture(name="menu", path="/", views=("zh-phone",), before=open_menu),
    Picture(name="stations", path="/stations", views=("zh-phone", "en-desktop")),
    Picture(name="map", path="/stations?view=map", views=("zh-phone", "en-desktop")),
    Picture(
        name="station",
        path="/stations/donghu/xingfuli",
        views=("zh-phone", "zh-phone-night", "en-desktop"),
    ),
    Picture(
        name="socket",
        path="/sockets/liuxi/liushu/pile-1?channel=3",
        views=("zh-phone", "en-desktop"),
        before=chart_drawn,
        whole=True,
    ),
    Picture(
        name="alert",
        path="/alerts/{overload}",
        views=("zh-phone", "zh-phone-night", "en-desktop"),
        before=chart_drawn,
        whole=True,
    ),
    Picture(name="cut", path="/cut?device=liuxi/liushu/pile-1&channel=3", views=("zh-phone",)),
    Picture(name="devices", path="/devices", views=("zh-phone", "en-desktop")),
    Picture(
        name="device",
        path="/devices/undeclared/tasmota/charger-7",
        views=("en-phone",),
        whole=True,
    ),
    Picture(name="sessions", path="/sessions?which=open", views=("zh-phone", "en-desktop")),
    Picture(name="silences", path="/silences", views=("zh-phone", "en-desktop")),
    Picture(
        name="silence-new",
        path="/silences/new?device=liuxi/liushu/pile-1&channel=3&rule=overload",
        views=("zh-phone",),
    ),
    Picture(
        name="quarantine", path="/quarantine", views=("zh-phone", "en-desktop"), before=unfold
    ),
    Picture(
        name="policy",
        path="/policy?place=donghu/xingfuli",
        views=("zh-phone", "en-desktop"),
        before=unfold_overload,
    ),
    Picture(
        name="service", path="/service", views=("zh-phone", "en-desktop", "zh-phone-night")
    ),
    Picture(name="people", path="/people", views=("zh-phone", "en-desktop"), whole=True),
    Picture(name="routes", path="/people?which=routes", views=("zh-phone", "en-desktop")),
    Picture(
        name="person",
        path="/people/person/wang.li",
        views=("zh-phone", "en-desktop"),
        whole=True,
    ),
    Picture(
        name="explain",
        path="/people/explain?site=donghu/xingfuli",
        views=("zh-phone", "en-desktop"),
        whole=True,
    ),
    Picture(name="me", path="/me", views=("zh-phone",)),
    Picture(name="audit", path="/audit", views=("zh-phone", "en-desktop")),
    Picture(name="not-found", path="/nothing-here", views=("zh-phone",)),
    Picture(name="checks", path="/checks", views=("zh-phone", "en-desktop")),
    # the last: from then on the duty desk asks
    Picture(name="check-call", path="/checks", views=("zh-phone",), before=be_asked),
)

STAFF: tuple[tuple[str, dict[str, object]], ...] = (
    (
        "people",
        {
            "id": "wang.li",
            "name": "王力",
            "role": "manager",
            "areas": ["donghu", "liuxi"],
            "ways": [
                {"via": "email", "address": "wang.li@example.org"},
                {"via": "dingtalk", "address": "https://oapi.dingtalk.com/robot/send?t=29f1"},
            ],
            "duty": {"hours": ["workdays 08:00-18:00", "sat-sun 09:00-12:00"]},
        },
    ),
    (
        "people",
        {
            "id": "chen.jing",
            "name": "陈静",
            "role": "manager",
            "areas": ["donghu"],
            "ways": [{"via": "feishu", "address": "https://open.feishu.cn/hook/81c7"}],
        },
    ),
    (
        "people",
        {
            "id": "zhou.min",
            "name": "周敏",
            "role": "police",
            "areas": ["liuxi"],
            "ways": [{"via": "wecom", "address": "https://qyapi.weixin.qq.com/send?k=5b"}],
        },
    ),
    ("people", {"id": "xu.hao", "name": "徐浩", "role": "operator", "areas": ["*"]}),
    (
        "posts",
        {
            "id": "donghu-police",
            "name": {"zh": "东湖派出所", "en": "Donghu police station"},
            "area": "donghu",
            "ways": [{"via": "dingtalk", "address": "https://oapi.dingtalk.com/robot?t=77"}],
            "checks_per_week": 3,
        },
    ),
    (
        "routes",
        {
            "id": "danger",
            "areas": ["donghu"],
            "severity": "critical",
            "tiers": [["post:donghu-police", "person:wang.li"], ["role:manager"]],
        },
    ),
    (
        "routes",
        {"id": "all-warnings", "tiers": [["role:manager"], ["role:operator"]]},
    ),
)


def main() -> None:
    """Take all pictures, or those whose names are given."""
    wanted = set(sys.argv[1:])
    FOLDER.mkdir(parents=True, exist_ok=True)
    with village() as running, chromium() as browser:
        for picture in PICTURES:
            if not wanted or picture.name in wanted:
                for view in picture.views:
                    _take(browser, running, picture, view)


@contextmanager
def village() -> Iterator[ServiceProcess]:
    """Yield a service in whose village it is a bad night in two of three places."""
    with tempfile.TemporaryDirectory(prefix="chargewatch-pictures-") as name:
        folder = Path(name)
        sites = folder / "sites.toml"
        sites.write_text(SITES + "\n".join(_declared()), encoding="utf-8")
        with mosquitto(folder) as broker, service(folder, broker, sites=sites) as running:
            running.begin()
            put_posts(running.data)
            _happen(broker)
            eventually("the overload is there", lambda: _of_rule(running, "overload"), 60)
            for kind, entered in STAFF:
                running.post(f"/{kind}", **entered)
            running.post(
                f"/alerts/{_of_rule(running, 'tamper')}/acknowledge", note="电工已出发"
            )
            for kind, device, owner, reason, begins_in, lasts in SILENCES:
                starts = utc_now() + begins_in
                running.post(
                    "/silences",
                    kind=kind,
                    device=device,
                    owner=owner,
                    reason=reason,
                    starts=starts.isoformat(),
                    ends=(starts + lasts).isoformat(),
                )
            yield running


def _declared() -> Iterator[str]:
    for site, (zh, en, sockets, north, east) in PLACES.items():
        yield f'[sites."{site}"]\nname = {{ zh = "{zh}", en = "{en}" }}'
        yield f"location = {{ latitude = {north}, longitude = {east} }}\nclosed = []\n"
        yield f'[[devices]]\nid = "{site}/pile-1"\nkind = "charger"\nsockets = {sockets}\n'
        yield f'[[devices]]\nid = "{site}/smoke-1"\nkind = "smoke"\n'


HAPPENS = (
    ("liuxi/shiqiao", "smoke-1", '{"event": "tamper"}'),
    ("donghu/caishichang", "smoke-1", '{"event": "tamper"}'),
    ("donghu/caishichang", "smoke-1", '{"event": "tamper", "active": false}'),
    ("donghu/xingfuli", "pile-1", '{"event": "heat", "channel": 4, "temperature_c": 86.5}'),
    ("donghu/xingfuli", "smoke-1", '{"event": "smoke", "temperature_c": 58.5}'),
)
REFUSED = ("beiling/weisheng", "pile-1", "telemetry", '{"readings": [{"power_w": "1.2 kW"}]}')
SILENCES = (
    (
        "silence",
        "beiling/xiaoxue/pile-1",
        "王丽 138 0000 0000",
        "更换 2 号插座的电表",
        timedelta(0),
        timedelta(hours=2),
    ),
    (
        "maintenance",
        "donghu/wenhua/smoke-1",
        "李强 139 0000 0000",
        "用烟雾试验新探测器",
        timedelta(days=1),
        timedelta(hours=3),
    ),
)
OVERLOADED = ("liuxi/liushu", 3)
"""Its alarm comes last: it must last for half a minute."""


def _happen(broker: Mosquitto) -> None:
    said: list[tuple[str, str]] = []
    for number, (site, (_, _, sockets, _, _)) in enumerate(PLACES.items()):
        ports: list[dict[str, object]] = [
            {"channel": channel, "power_w": _power(number, channel), "relay_on": True}
            for channel in range(1, sockets + 1)
        ]
        if site == OVERLOADED[0]:
            ports[OVERLOADED[1] - 1]["power_w"] = 1403
        said.append(_says(site, "pile-1", "telemetry", json.dumps({"readings": ports})))
        quiet = [{"smoke_alarm": False, "battery_pct": 86, "signal_pct": 71}]
        said.append(_says(site, "smoke-1", "telemetry", json.dumps({"readings": quiet})))
    publish(broker, said)
    publish(broker, list(_past()))
    publish(broker, [_stranger()])
    publish(broker, [_says(site, device, "event", what) for site, device, what in HAPPENS])
    publish(broker, [_says(*REFUSED)])


def _stranger() -> tuple[str, str]:
    """Return what a plug says that nobody has declared."""
    local = f"{utc_now() + timedelta(hours=8):%Y-%m-%dT%H:%M:%S}"
    said = {"Time": local, "ENERGY": {"Power": 178, "Voltage": 229}}
    return "tele/charger-7/SENSOR", json.dumps(said)


def _past() -> Iterator[tuple[str, str]]:
    """Yield what the overloaded socket did before: a bike, and then something beside it."""
    site, channel = OVERLOADED
    now = utc_now()
    for minute in range(55, 0, -1):
        power_w = 0 if minute > 48 else 236 + (minute * 7) % 11 if minute > 9 else 705
        port = {"channel": channel, "power_w": power_w, "relay_on": power_w > 0}
        said = {
            "at": (now - timedelta(minutes=minute)).isoformat(),
            "buffered": True,
            "readings": [port | {"device_temperature_c": 29 + (55 - minute) * 0.4}],
        }
        yield _says(site, "pile-1", "telemetry", json.dumps(said))


def _says(site: str, device: str, topic: str, payload: str) -> tuple[str, str]:
    return f"chargewatch/v1/{site}/{device}/{topic}", payload


def _power(number: int, channel: int) -> int:
    return (0, 148, 212, 0, 96, 187, 0, 233, 121, 0)[(number * 3 + channel) % 10]


def _of_rule(running: ServiceProcess, rule: str) -> int:
    """Return the number of the alert that fires; 0: none does."""
    found = running.alerts(rule=rule, state="firing")
    return int(found[0]["id"]) if found else 0


def _take(browser: Browser, running: ServiceProcess, picture: Picture, view: str) -> None:
    lang, size, *night = view.split("-")
    width, height = PHONE if size == "phone" else DESKTOP
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=2 if size == "phone" else 1,
        color_scheme="dark" if night else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    url = f"http://127.0.0.1:{running.port}"
    page.goto(f"{url}/?lang={lang}")
    if not picture.stranger:
        [token] = [each for each in read_tokens(running.data) if each.name == "admin"]
        log_in_with_token(page, token.secret)
        page.goto(url + picture.path.format(overload=_of_rule(running, "overload")))
    if picture.before is not None:
        picture.before(page)
    page.wait_for_timeout(300)
    page.screenshot(path=FOLDER / f"{picture.name}-{view}.png", full_page=picture.whole)
    context.close()


if __name__ == "__main__":
    main()
