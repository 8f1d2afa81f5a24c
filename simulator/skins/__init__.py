"""Dialects that simulated devices speak, as clothes over what they say in our own format."""

from collections.abc import Mapping
from typing import Literal
from zoneinfo import ZoneInfo

from rules.readings import Kind
from simulator.skins.skin import Skin
from simulator.skins.tasmota import TasmotaSkin
from simulator.skins.zigbee2mqtt import Zigbee2MqttSkin

SkinName = Literal["native", "tasmota", "zigbee2mqtt"]
SensorSkinName = Literal["native", "zigbee2mqtt"]
"""There is no smoke detector that speaks Tasmota."""
SKINS: Mapping[str, type[TasmotaSkin | Zigbee2MqttSkin]] = {
    "tasmota": TasmotaSkin,
    "zigbee2mqtt": Zigbee2MqttSkin,
}


def skin_of(name: SkinName, device: str, kind: Kind, sockets: int, zone: str) -> Skin | None:
    """Return the skin of one device; None: it speaks our own format."""
    return None if name == "native" else SKINS[name](device, kind, sockets, ZoneInfo(zone))


def addressed(topic: str) -> str | None:
    """Return the device that an order in one of these dialects is for; None: no such order."""
    for skin in SKINS.values():
        device = skin.addressed(topic)
        if device is not None:
            return device
    return None
