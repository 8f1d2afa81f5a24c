"""The rules in force, each on one line.

To add one: a file here, a line below, a scenario file in tests/scenarios/, and its words
in api/text/. A test holds the four together.
"""

from typing import NamedTuple

from rules.catalog.abrupt_end import AbruptEnd
from rules.catalog.after_hours import AfterHours
from rules.catalog.after_session import AfterSession
from rules.catalog.carrier_outage import CarrierOutage
from rules.catalog.clock_wrong import ClockWrong
from rules.catalog.closing_soon import ClosingSoon
from rules.catalog.cut_failed import CutFailed
from rules.catalog.device_fault import DeviceFault
from rules.catalog.fire import Fire
from rules.catalog.heat import Heat
from rules.catalog.impossible_value import ImpossibleValue
from rules.catalog.latched_charging import LatchedCharging
from rules.catalog.long_charge import LongCharge
from rules.catalog.long_float import LongFloat
from rules.catalog.monitoring_blind import MonitoringBlind
from rules.catalog.no_taper import NoTaper
from rules.catalog.overload import Overload
from rules.catalog.pile_overload import PileOverload
from rules.catalog.power_step import PowerStep
from rules.catalog.relay_welded import RelayWelded
from rules.catalog.self_test_overdue import SelfTestOverdue
from rules.catalog.sensor_battery import SensorBattery
from rules.catalog.silence import Silence
from rules.catalog.site_outage import SiteOutage
from rules.catalog.site_overload import SiteOverload
from rules.catalog.smoke import Smoke
from rules.catalog.stuck_value import StuckValue
from rules.catalog.tamper import Tamper
from rules.catalog.undeclared_device import UndeclaredDevice
from rules.catalog.voltage import Voltage
from rules.catalog.warm import Warm
from rules.rule import DeviceRule, GroupRule, SocketRule


class Catalogue(NamedTuple):
    socket_rules: tuple[SocketRule, ...]
    device_rules: tuple[DeviceRule, ...]
    group_rules: tuple[GroupRule, ...]


def rules_in_force() -> Catalogue:
    return Catalogue(
        socket_rules=(
            Overload(),
            RelayWelded(),
            CutFailed(),
            LatchedCharging(),
            AfterHours(),
            ClosingSoon(),
            LongCharge(),
            NoTaper(),
            LongFloat(),
            PowerStep(),
            AbruptEnd(),
            AfterSession(),
        ),
        device_rules=(
            Smoke(),
            Heat(),
            Warm(),
            PileOverload(),
            Silence(),
            Tamper(),
            DeviceFault(),
            SensorBattery(),
            SelfTestOverdue(),
            ImpossibleValue(),
            StuckValue(),
            Voltage(),
            ClockWrong(),
            UndeclaredDevice(),
        ),
        group_rules=(
            Fire(),
            SiteOverload(),
            SiteOutage(),
            CarrierOutage(),
            MonitoringBlind(),
        ),
    )
