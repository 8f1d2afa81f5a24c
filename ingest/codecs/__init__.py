"""The dialects we understand, each on one line. The first that claims a topic has it."""

from ingest.codecs.native import Native
from ingest.codecs.tasmota import Tasmota
from ingest.codecs.zigbee2mqtt import Zigbee2Mqtt
from ingest.wire import Codec


def all_codecs() -> tuple[Codec, ...]:
    return (
        Native(),
        Tasmota(),
        Zigbee2Mqtt(),
    )
