"""How a device that nobody declared is declared: the lines for the sites file, as text."""

from ingest.registry import UNDECLARED, Device, Site
from rules.readings import Kind

NOWHERE = "AREA/SITE"
"""To be replaced by whoever knows where a foreign device hangs."""
NAME = 'name = { zh = "…", en = "…" }'


def snippet_of(entry: Device, site: Site, *, known: bool) -> str:
    """Return the lines that declare a device in the sites file, as text to copy.

    `known` says that its area is declared. A foreign device has no place of its own yet: which
    one it gets is for whoever writes the lines.
    """
    area, _, rest = entry.id.partition("/")
    name = rest.partition("/")[2]
    lines: list[str] = []
    if area == UNDECLARED:
        where = NOWHERE
        name = "".join(char if char.isalnum() or char in "-_." else "-" for char in name)
    else:
        where = entry.site
        if not known:
            lines += [f"[areas.{_quoted(area)}]", NAME, ""]
        if not site.declared:
            lines += [f"[sites.{_quoted(site.id)}]", NAME, ""]
    kind = "charger" if entry.kind is Kind.UNKNOWN else entry.kind
    lines += ["[[devices]]", f"id = {_quoted(f'{where}/{name}')}", f'kind = "{kind}"']
    if entry.dialect != "native":
        lines += [f'dialect = "{entry.dialect}"', f"name = {_quoted(entry.name)}"]
    if entry.sockets:
        lines.append(f"sockets = {max(entry.sockets)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Return a basic string of TOML: a name can neither end it nor begin another key."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    shown = (char if char.isprintable() else f"\\U{ord(char):08X}" for char in escaped)
    return f'"{"".join(shown)}"'
