"""Devices that do not exist, saying what real ones would.

Three laws: everything but `publisher` and `__main__` is pure and is told the (virtual)
time; one seed gives the same bytes for ever, and a device more or less changes nothing
about the others; nothing here knows a rule or a verdict, so the truth is written by hand.
"""
