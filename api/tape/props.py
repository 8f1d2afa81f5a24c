"""MQTT 5 properties, between paho's form and the tape's."""

import base64

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from api.tape.taken import MqttProperties


def properties_of(said: Properties | None) -> MqttProperties | None:
    """Return what a publisher said; None: nothing."""
    if said is None:
        return None
    correlation = getattr(said, "CorrelationData", None)
    form = getattr(said, "PayloadFormatIndicator", None)
    found = MqttProperties(
        content_type=getattr(said, "ContentType", None),
        response_topic=getattr(said, "ResponseTopic", None),
        correlation_base64=None
        if correlation is None
        else base64.b64encode(correlation).decode(),
        expiry_s=getattr(said, "MessageExpiryInterval", None),
        utf8=None if form is None else bool(form),
        user=tuple((str(k), str(v)) for k, v in getattr(said, "UserProperty", ())),
    )
    return None if found == MqttProperties() else found


def as_properties(said: MqttProperties | None) -> Properties | None:
    """Return them as a publisher says them."""
    if said is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if said.content_type is not None:
        properties.ContentType = said.content_type
    if said.response_topic is not None:
        properties.ResponseTopic = said.response_topic
    if said.correlation is not None:
        properties.CorrelationData = said.correlation
    if said.expiry_s is not None:
        properties.MessageExpiryInterval = said.expiry_s
    if said.utf8 is not None:
        properties.PayloadFormatIndicator = int(said.utf8)
    if said.user:
        properties.UserProperty = list(said.user)
    return properties
