"""The page that people swap in: the nodes that their browsers ask, canonical, or refused with its place."""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

import msgspec

from core.model.errors import RejectedError
from core.model.identifiers import parse_chain
from core.runtime.web.cors import ANYBODY, parse_origin
from gateway.config.chains import MAX_ENDPOINTS, check_http_url, refuse_twins
from gateway.config.faults import Faults, choices
from gateway.config.model import PageChainConfig, SwapPageConfig

LEAST_CHAINS: Final = 2
"""A swap has its legs on two."""
MAX_NAME_CHARS: Final = 64


def origin_of(url: str) -> str:
    """Return the origin of an endpoint, as browsers name it. Raise `RejectedError` for a URL without one."""
    parts = urlsplit(url)
    if parts.username is not None or ANYBODY in url:
        raise RejectedError("everybody reads this URL: leave name and password out")
    return parse_origin(f"{parts.scheme}://{parts.netloc}")


def canonical_swap_page(config: SwapPageConfig, chains: Collection[str], faults: Faults) -> SwapPageConfig:
    """`chains` are those that the relayer has."""
    at = "swap_page.chains"
    if len(config.chains) < LEAST_CHAINS:
        faults.add(at, f"has {len(config.chains)} entries, a swap needs {LEAST_CHAINS} chains: add [[{at}]]")
    made = tuple(_chain(one, f"{at}[{number}]", chains, faults) for number, one in enumerate(config.chains))
    refuse_twins((one.id for one in made), lambda number: f"{at}[{number}].id", "chain", faults)
    return msgspec.structs.replace(config, chains=made)


def _chain(config: PageChainConfig, place: str, chains: Collection[str], faults: Faults) -> PageChainConfig:
    chain = config.id
    with faults.at(f"{place}.id"):
        chain = parse_chain(config.id)
        if chain not in chains:
            raise RejectedError(f"{chain} is not a configured chain: {choices(chain, chains)}")
    if len(config.name) > MAX_NAME_CHARS:
        faults.add(f"{place}.name", f"has {len(config.name)} characters, at most {MAX_NAME_CHARS} are possible")
    if not 0 < len(config.endpoints) <= MAX_ENDPOINTS:
        faults.add(f"{place}.endpoints", f"{len(config.endpoints)} endpoints: write 1 to {MAX_ENDPOINTS}")
    for number, url in enumerate(config.endpoints):
        if check_http_url(url, f"{place}.endpoints[{number}]", faults) is not None:
            with faults.at(f"{place}.endpoints[{number}]"):
                origin_of(url)
    refuse_twins((url.rstrip("/") for url in config.endpoints), lambda n: f"{place}.endpoints[{n}]", "URL", faults)
    return msgspec.structs.replace(config, id=chain)
