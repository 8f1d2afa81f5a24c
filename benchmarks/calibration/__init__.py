"""Holds the simulator's batteries against PyBaMM's: offline, with requirements of its own."""
