"""The words of the live view. The simulator stands alone, so it has words of its own."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("chargewatch 村庄", "chargewatch village"),
    "connected": ("已连接 {count}", "connected {count}"),
    "disconnected": ("broker 未连接", "broker away"),
    "rate": ("{rate:.1f} 条/秒", "{rate:.1f} msg/s"),
    "said": ("共 {said} 条", "said {said}"),
    "service": ("服务 {url}", "service {url}"),
    "no_service": ("没有指定服务（--api）", "no service asked (--api)"),
    "trouble": ("服务没有回答：{why}", "the service does not answer: {why}"),
    "site": ("站点", "site"),
    "charging": ("充电中", "charging"),
    "power": ("功率", "power"),
    "sensors": ("烟感", "sensors"),
    "ills": ("故障", "ills"),
    "sockets": ("{pile} 的插座", "sockets of {pile}"),
    "done": (
        "已注入，以及结果：规则，触发 / 告知用时",
        "done, and what came of it: rule, fired / told after",
    ),
    "nothing": ("{seconds:.0f} 秒内没有报警", "nothing after {seconds:.0f} s"),
    "next": ("，{seconds:.0f} 秒后上报", ", reports in {seconds:.0f} s"),
    "next_min": ("，{minutes:.0f} 分钟后上报", ", reports in {minutes:.0f} min"),
    "already": ("{rule} 从 {at} 起已在报警", "{rule} was firing already, since {at}"),
    "not_told": ("未告知", "not told"),
    "withheld": ("被代报", "withheld"),
    "over": ("已结束", "ended"),
    "also": ("另有 {rules}", "also {rules}"),
    "none_done": ("还没有注入任何故障。", "Nothing has been done yet."),
    "nobody": ("这里没有这种设备", "nobody of that kind here"),
    "full": ("注入次数已到上限", "no more can be done in this run"),
    "move": (
        "↑↓ 站点  tab 桩  ←→ 插座  e 结束最近一次  x 全部结束  q 退出",
        "↑↓ site  tab pile  ←→ socket  e end the last  x end all  q quit",
    ),
    "ill.overload": ("过载", "overload"),
    "ill.smoke": ("烟雾", "smoke"),
    "ill.heating": ("插座发热", "heating"),
    "ill.welded": ("继电器粘连", "welded relay"),
    "ill.power_cut": ("全站断电", "power cut"),
    "ill.silent": ("设备无声", "silence"),
    "ill.dropped": ("断线(遗嘱)", "drop (last will)"),
    "ill.clock": ("时钟回到1970", "clock at 1970"),
    "ill.battery": ("电池低", "low battery"),
    "ill.garbled": ("报文残缺", "half messages"),
}


class Words:
    def __init__(self, language: str) -> None:
        self._place = 0 if language == "zh" else 1

    def __call__(self, key: str, /, **values: object) -> str:
        return WORDS[key][self._place].format(**values)
