"""The batteries in the street, each with the charger that is sold with it.

Chargers for lead-acid hold 14.7 V a block of six cells, and from some current on 13.8 V, for
ever; those for lithium hold the full voltage, and switch off. Sources of the figures:
docs/simulator-physics.md.
"""

import msgspec

from simulator.cells import cells
from simulator.mains import Supply
from simulator.packs import Charger, Pack

LEAD_ACID_LIMIT_V, LEAD_ACID_FLOAT_V = 14.7, 13.8
"""Of a block of six cells."""
CELLS_IN_BLOCK = 6
ENDS_AT = 0.1
"""Share of its current at which a lithium charger switches off."""


class Brick(msgspec.Struct, frozen=True):
    """A charger: what it gives, and what it draws."""

    charger: Charger
    supply: Supply


class Battery(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of battery on a charger, commonly the one that is sold with it."""

    name: str
    cell: str
    """Its chemistry: a name in cells.json."""
    series: int
    ah: float
    brick: Brick
    share: float
    """How many of a hundred bikes in the street have it (estimate)."""

    @property
    def plateau_w(self) -> float:
        """Return the most that it draws at the socket, inrush left out."""
        return self.brick.supply.rated_w

    def pack(self, health: float) -> Pack:
        return Pack(cells()[self.cell], self.series, self.ah, health)

    def on(self, brick: Brick) -> "Battery":
        """Return it on another charger: a fast one, or one of a wrong voltage."""
        return msgspec.structs.replace(self, brick=brick)


def lead_acid_brick(blocks: int, amps: float, turns_a: float) -> Brick:
    """Return a charger of three stages for so many blocks of 12 V."""
    limit_v = LEAD_ACID_LIMIT_V * blocks
    charger = Charger(
        amps=amps, limit_v=limit_v, turns_a=turns_a, float_v=LEAD_ACID_FLOAT_V * blocks
    )
    return Brick(charger, Supply(full_w=limit_v * amps, efficiency=0.85, standby_w=2.5))


def lithium_brick(series: int, cell_v: float, amps: float) -> Brick:
    """Return a charger of constant current, constant voltage, and nothing."""
    limit_v = series * cell_v
    charger = Charger(amps=amps, limit_v=limit_v, turns_a=ENDS_AT * amps)
    return Brick(charger, Supply(full_w=limit_v * amps, efficiency=0.86, standby_w=1.5))


def _lead_acid(volts: int, ah: float, amps: float, turns_a: float, share: float) -> Battery:
    blocks = volts // 12
    return Battery(
        name=f"lead-acid {volts} V {ah:g} Ah",
        cell="lead-acid",
        series=blocks * CELLS_IN_BLOCK,
        ah=ah,
        brick=lead_acid_brick(blocks, amps, turns_a),
        share=share,
    )


LEAD_ACID_48V = _lead_acid(48, 20, amps=2.8, turns_a=0.65, share=24)
LEAD_ACID_60V = _lead_acid(60, 20, amps=2.8, turns_a=0.65, share=22)
LEAD_ACID_72V = _lead_acid(72, 20, amps=2.8, turns_a=0.65, share=16)
LEAD_ACID_SMALL = _lead_acid(48, 12, amps=1.8, turns_a=0.45, share=12)
LEAD_ACID_LARGE = _lead_acid(72, 32, amps=4.0, turns_a=0.9, share=6)
NMC_48V = Battery(
    name="NMC 48 V 15 Ah",
    cell="nmc811",
    series=13,
    ah=15,
    brick=lithium_brick(13, 4.2, amps=3),
    share=7,
)
NMC_48V_LARGE = Battery(
    name="NMC 48 V 24 Ah",
    cell="nmc811",
    series=13,
    ah=24,
    brick=lithium_brick(13, 4.2, amps=5),
    share=4,
)
NMC_60V = Battery(
    name="NMC 60 V 20 Ah",
    cell="nmc532",
    series=17,
    ah=20,
    brick=lithium_brick(17, 4.2, amps=3),
    share=3,
)
LFP_60V = Battery(
    name="LFP 60 V 24 Ah",
    cell="lfp",
    series=20,
    ah=24,
    brick=lithium_brick(20, 3.6, amps=5),
    share=4,
)
FAST_60V = Battery(
    name="LFP 60 V 30 Ah on a fast charger, 10 A",
    cell="lfp",
    series=20,
    ah=30,
    brick=lithium_brick(20, 3.6, amps=10),
    share=2,
)
LESS_FAST_60V = msgspec.structs.replace(
    FAST_60V,
    name="LFP 60 V 30 Ah on a fast charger, 8 A",
    brick=lithium_brick(20, 3.6, amps=8),
)
"""Draws less than the 800 W from which on a manager is warned."""

BATTERIES = (
    LEAD_ACID_48V,
    LEAD_ACID_60V,
    LEAD_ACID_72V,
    LEAD_ACID_SMALL,
    LEAD_ACID_LARGE,
    NMC_48V,
    NMC_48V_LARGE,
    NMC_60V,
    LFP_60V,
    FAST_60V,
)
HEALTHS = (1.0, 0.95, 0.9, 0.85, 0.8)
"""What bikes in the street have left of their capacity; each as common as the others
(estimate). Below 80 % people buy a new battery."""
