"""Which addresses we post to for others: those of the public internet, and what the operator allows.

Whoever names an address of ours has us connect to it from inside the operator's network (OWASP, "Server Side Request
Forgery"). So a name is resolved here, every address that comes out is looked at, and the connection goes to these
addresses and no others: a name that is resolved twice may answer twice.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from yarl import URL

from core.model.errors import RejectedError, RetryableError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
MAX_URL_CHARS: Final = 500
MAX_ADDRESSES: Final = 16
RESOLVE_S: Final = 5.0
OPEN_PORTS: Final = frozenset({80, 443})
FIRST_FREE_PORT: Final = 1_024
"""Lower ports, other than those of the web, belong to services that may take our words for their own."""

_PUBLIC_IPV6: Final = ip_network("2000::/3")
_CLOSED: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
            # IANA IPv4 Special-Purpose Address Registry, multicast and what is reserved.
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4"),
            # A cloud's metadata at a public address.
            "168.63.129.16/32",
            # IANA IPv6 Special-Purpose Address Registry, within what is public; tunnels carry IPv4 addresses.
            *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
        ),
    )
)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as texts."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The addresses that may be posted to: the public ones over https, and those in `allowed` over http, too."""

    allowed: tuple[Network, ...] = ()

    def check_url(self, text: str) -> URL:
        """Return the address, well-formed. Raise `RejectedError` with what is wrong with it."""
        if not 0 < len(text) <= MAX_URL_CHARS or not text.isascii() or not text.isprintable() or " " in text:
            raise RejectedError(f"a webhook's address has 1 to {MAX_URL_CHARS} printable ASCII characters")
        try:
            url = URL(text)
            port = url.port
        except ValueError as error:
            raise RejectedError(f"this is not an address: {error}") from None
        if url.scheme not in ("https", "http") or not url.host or url.user is not None or url.password is not None:
            raise RejectedError("a webhook's address is https://host/path, without a user or a password")
        if port is None or (port not in OPEN_PORTS and port < FIRST_FREE_PORT):
            raise RejectedError(f"a webhook's port is 443, 80, or {FIRST_FREE_PORT} and above")
        if url.scheme == "http" and not self.allowed:
            raise RejectedError("a webhook's address begins with https://")
        literal = _literal(url.host)
        if literal is not None:
            self.check(url, literal)
        return url

    async def resolve(self, url: URL, resolve: Resolve) -> tuple[str, ...]:
        """Return the addresses to connect to. Raise `RejectedError` if any of them is closed to us, `RetryableError`
        if the name has none now."""
        host, port = url.host or "", url.port or 443
        literal = _literal(host)
        if literal is not None:
            self.check(url, literal)
            return (str(literal),)
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = (await resolve(host, port))[:MAX_ADDRESSES]
        except (OSError, UnicodeError, TimeoutError) as error:
            raise RetryableError("the name has no address now") from error
        addresses = [_literal(one) for one in found]
        if not addresses or None in addresses:
            raise RetryableError("the name has no address now")
        for address in addresses:
            if address is not None:
                self.check(url, address)
        return tuple(str(address) for address in addresses)

    def check(self, url: URL, address: Address) -> None:
        """Raise `RejectedError` if nothing may be sent to this address."""
        if any(address in network for network in self.allowed if network.version == address.version):
            return
        if not _is_public(address):
            raise RejectedError("the address is private, local or reserved, and the operator has not allowed it")
        if url.scheme != "https":
            raise RejectedError("to a public address a webhook goes by https")


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address not in _PUBLIC_IPV6:
            return False
    return not any(address in network for network in _CLOSED if network.version == address.version)


def _literal(host: str) -> Address | None:
    """The address that the text is, None for a name. A zone (`%eth0`) belongs to a link and makes it neither."""
    try:
        found = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """As the machine resolves it, in a thread; `127.1` and `2130706433` are addresses to it, too."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


def parse_network(text: str) -> Network:
    """Raise `RejectedError` for a text that is not a network such as 10.1.0.0/16."""
    try:
        return ip_network(text)
    except ValueError:
        raise RejectedError(f"{text[:64]!r} is not a network such as 10.1.0.0/16 or fd00::/8") from None
