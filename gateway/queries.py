"""Whom the command line asks: a relayer's API, or the chains themselves. Neither is believed."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from adapters.registry import ConnectedChain, joined_prover
from core.model.errors import RejectedError
from core.model.ports import Prover
from core.model.types import ChainId
from core.proofs.evidence import REVIEWED_LAYOUTS, Layouts, Trusted, installed_verifiers
from core.proofs.evidence.kinds import ledger_anchor
from gateway import wiring
from gateway.config import ChainConfig
from relayer.client import LocalProver, ProvenQueries, RelayerApi, RelayerProver
from relayer.client.queries import MAX_AGE_S


def prover_of(
    chains: Mapping[ChainId, ConnectedChain], layouts: Layouts = REVIEWED_LAYOUTS, *, synced: bool = True
) -> Prover | None:
    """The prover for questions about these chains, None if none of them proves anything.

    Foreign headers are believed as the consortium chain attests them, if exactly one is connected, and by their sync
    committees where beacon nodes are configured; not by these without `synced`.
    """
    homes = [chain for chain, connected in chains.items() if connected.attested_by is not None]
    if not homes and not (synced and any(connected.blocks is not None for connected in chains.values())):
        return None
    return joined_prover(chains, homes[0] if len(homes) == 1 else None, layouts, synced=synced)


@asynccontextmanager
async def through_relayer(
    url: str, anchor: Trusted, wait_s: float, layouts: Layouts = REVIEWED_LAYOUTS, max_age_s: float = MAX_AGE_S
) -> AsyncIterator[ProvenQueries]:
    """Questions to the relayer at `url`, whose answers are verified under `anchor`."""
    verifiers = installed_verifiers(layouts)
    async with RelayerApi(url) as api:
        yield ProvenQueries(RelayerProver(api, wait_s), anchor, verifiers=verifiers, max_age_s=max_age_s)


@asynccontextmanager
async def through_chains(
    configs: Sequence[ChainConfig],
    anchor: Trusted,
    layouts: Layouts = REVIEWED_LAYOUTS,
    max_age_s: float = MAX_AGE_S,
) -> AsyncIterator[ProvenQueries]:
    """Questions to the chains themselves. Raise `RejectedError` if none of them proves anything."""
    ledger = ledger_anchor(anchor)
    async with wiring.connected(configs, 1 if ledger is None else ledger.trusted_height) as chains:
        prover = prover_of(chains, layouts)
        if prover is None:
            raise RejectedError("no consortium chain is configured, and no beacon nodes, so nothing is proven: add one")
        verifiers = installed_verifiers(layouts)
        yield ProvenQueries(LocalProver(prover), anchor, verifiers=verifiers, max_age_s=max_age_s)
