"""Grafana as code: built, checked, pushed. Nothing is in here yet; issue C brings it.

The folder keeps its place in the fixed layout, so that nothing moves when it fills.
"""
