"""All faults that a scenario can name, each a class: its fields are the keys of an event."""

from simulator.faults.charges import (
    Bike,
    ExtensionLead,
    FastCharger,
    Forgotten,
    LongCharge,
    NoTaper,
    Overload,
    WrongCharger,
)
from simulator.faults.clocks import ClockDrifting, ClockLocal, ClockRestarted, ClockSkewed
from simulator.faults.contacts import ContactHeating, PlugBounce, RelayWelded, Rescan
from simulator.faults.devices import (
    BatteryLow,
    ConnectionLost,
    DeviceDead,
    MeterStuck,
    OldFirmwareHere,
    Tampered,
    ThermometerDrift,
)
from simulator.faults.fault import Fault
from simulator.faults.fires import (
    Dust,
    Fryer,
    Insect,
    SelfTest,
    SensorDrift,
    Smoke,
    ThermalRunaway,
)
from simulator.faults.messages import (
    CopiedName,
    Flood,
    Garbage,
    Impostor,
    Malformed,
    OversizedMessages,
    Stranger,
    WrongUnit,
)
from simulator.faults.network import (
    CarrierOutage,
    Delay,
    Duplicate,
    HalfOpen,
    LinkDown,
    Loss,
    ReconnectStorm,
    Reorder,
)
from simulator.faults.supply import BrownOut, PowerCut, PowerDips

AnyFault = (
    Bike
    | FastCharger
    | Forgotten
    | LongCharge
    | Overload
    | ExtensionLead
    | NoTaper
    | WrongCharger
    | RelayWelded
    | PlugBounce
    | Rescan
    | ContactHeating
    | ThermalRunaway
    | Smoke
    | Fryer
    | Insect
    | Dust
    | SensorDrift
    | SelfTest
    | DeviceDead
    | ConnectionLost
    | MeterStuck
    | ThermometerDrift
    | BatteryLow
    | Tampered
    | OldFirmwareHere
    | PowerCut
    | BrownOut
    | PowerDips
    | CarrierOutage
    | LinkDown
    | HalfOpen
    | ReconnectStorm
    | Loss
    | Delay
    | Reorder
    | Duplicate
    | ClockRestarted
    | ClockSkewed
    | ClockDrifting
    | ClockLocal
    | Malformed
    | OversizedMessages
    | WrongUnit
    | CopiedName
    | Stranger
    | Impostor
    | Flood
    | Garbage
)
FAULTS: dict[str, type[Fault]] = {
    str(kind.__struct_config__.tag): kind for kind in AnyFault.__args__
}
"""By the word that an event names it with."""
