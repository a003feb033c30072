"""The document of a relayer's swap page: chains, nodes, timings and the key that signs prices."""

from collections.abc import Mapping
from typing import Any

import msgspec

from core.model.types import ChainId
from gateway.config import RelayerConfig
from gateway.config.model import ChainConfig, PageChainConfig
from gateway.config.swap_page import origin_of
from gateway.config.trading import POLICIES
from relayer.api import wire
from relayer.api.answers import ServedChain

VERSION = 1


def page_document(
    config: RelayerConfig, chains: Mapping[ChainId, ServedChain], quote_key: bytes
) -> tuple[dict[str, Any], list[str]]:
    """Return the document `page.json`, and the origins that it names. Chains that are not connected are left out."""
    shown = () if config.swap_page is None else config.swap_page.chains
    configured = {one.id: one for one in config.chains}
    served = [_chain(one, configured[one.id], chains[ChainId(one.id)]) for one in shown if ChainId(one.id) in chains]
    document = {
        "version": VERSION,
        "name": config.name,
        # The page's own origin: whoever hosts it elsewhere writes the relayer's URL.
        "relayer": "",
        "relayer_key": wire.hex_of(quote_key),
        "policy": msgspec.to_builtins(POLICIES[config.policy]),
        "chains": served,
    }
    return document, sorted({origin_of(url) for one in shown for url in one.endpoints})


def _chain(page: PageChainConfig, config: ChainConfig, served: ServedChain) -> dict[str, Any]:
    parameters = served.parameters
    return {
        "kind": config.kind,
        "id": page.id,
        "name": page.name or page.id,
        "genesis": parameters.genesis_hash.hex(),
        "contract": parameters.htlc_holder,
        "endpoints": list(page.endpoints),
        "timing": msgspec.to_builtins(wire.timing_body(parameters.timing)),
        "assets": [msgspec.to_builtins(wire.asset_body(asset)) for asset in parameters.assets.values()],
    }
