"""Numeric addresses, which nobody has to look up."""

from gopoll._original import AF_INET, AF_INET6, socket_module

__all__ = ["literal_family"]


def literal_family(host: str) -> int | None:
    """Return the address family if `host` is a numeric address, else None."""
    for family, text in ((AF_INET, host), (AF_INET6, host.partition("%")[0])):
        try:
            socket_module.inet_pton(family, text)
        except (OSError, ValueError, UnicodeError):
            continue
        return family
    return None
