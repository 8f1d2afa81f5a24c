"""A connection is an open file, and how many of those a process may have is limited."""

import resource

from ingest.errors import ChargewatchError

SPARE = 100
"""What else is open: the program's own files, the broker of the village, the log."""


class TooFewFiles(ChargewatchError):
    """The machine does not let one process have so many connections."""


def allow(connections: int) -> None:
    """Raise the soft limit for so many connections, if need be; raises TooFewFiles."""
    wanted = connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise TooFewFiles(
            f"{connections} connections need {wanted} open files, and this machine allows a"
            f" process {hard} (ulimit -Hn): raise that, or take fewer --sites, or"
            " --connections shared"
        )
    limit = wanted if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
