"""Grafana as code: six dashboards, built from the names of the data, checked, and pushed.

It stands alone: of ours it knows only `ingest.measurements`, what is in the database (and
the base of our errors).
`python -m dashboards build` makes built/, which is never edited by hand.
"""
