"""What PyBaMM's models do not have, from elsewhere (docs/simulator-physics.md)."""

from simulator.cells import Gassing

ACCEPTANCE_V = {"lead-acid": 0.32}
"""Volts per C-rate over the share that is missing."""
GASSING = {"lead-acid": Gassing(rate=0.001, at_v=2.27, volts_per_e=0.087)}
"""1 mA per Ah at the float voltage of sealed batteries; a decade every 0.2 V."""
GUARD_V = {"nmc811": 4.325, "nmc532": 4.325, "lfp": 3.9}
"""Per cell: where a protection board of a maker cuts the charger off."""
