"""Every error of ours derives from one class: one `except` at a task's edge is enough."""


class ChargewatchError(Exception):
    """Something of ours failed in a way that has a name."""
