"""Looks the whole system over, from outside, and says what is wrong and what to do.

It works whether or not the service runs, and never disturbs it: the ledger is opened for
reading only, the broker is visited under a name of our own, and nothing is sent to anybody.
"""
