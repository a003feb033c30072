"""Attestations of foreign headers as they stand signed in blocks: `AttestationSource`."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

from adapters.consortium.messages import unsigned
from adapters.consortium.raw_blocks import RawBlock, fetch_blocks
from adapters.consortium.rpc import CometRpc
from adapters.consortium.state import query
from core.model.consortium import (
    NAMESPACE,
    ReportEquivocation,
    attested_for_key,
    caip_account,
    raw_address,
)
from core.model.consortium_members import organisation_of_key
from core.model.errors import RejectedError, RetryableError
from core.model.facts import SignedAttestation
from core.model.identifiers import parse_chain
from core.model.transactions import UnsignedTransaction
from core.model.types import MAX_TIMELOCK_S, AccountId, BlockRef, ChainId, Height
from core.proofs.equivocation import signed_ballots
from core.proofs.errors import ProofError

MAX_BLOCKS: Final = 20
MAX_FOREIGN_HEIGHT: Final = 2**63 - 1
T = TypeVar("T")


class ConsortiumAttestations:
    """`AttestationSource` on one endpoint. Blocks are checked against their own hashes, attestations are signed: an
    endpoint that lies can hide one, and make none up."""

    def __init__(self, rpc: CometRpc, chain: ChainId) -> None:
        self._rpc = rpc
        self._chain = chain

    async def attestations(self, first: Height, last: Height) -> Sequence[SignedAttestation]:
        if not 0 <= last - first < MAX_BLOCKS:
            raise RejectedError(f"ask for 1 to {MAX_BLOCKS} blocks, first to last")
        heights = [Height(height) for height in range(first, last + 1)]
        return [one for block in await fetch_blocks(self._rpc, self._chain, heights) for one in _attestations(block)]

    async def attests_for_operator(self, account: AccountId) -> bool:
        raw = raw_address(account)
        for key in (organisation_of_key(raw), attested_for_key(raw)):
            if (await query(self._rpc, key)).value is not None:
                return True
        return False

    def accuse(self, first: bytes, second: bytes, sender: AccountId) -> UnsignedTransaction:
        return unsigned(self._chain, sender, (ReportEquivocation(first, second),), "report a double attestation")


class FailoverAttestations:
    """`AttestationSource` over those of several endpoints: the first that answers."""

    def __init__(self, sources: Sequence[ConsortiumAttestations]) -> None:
        if not sources:
            raise RejectedError("there is no endpoint to ask")
        self._sources = tuple(sources)

    async def attestations(self, first: Height, last: Height) -> Sequence[SignedAttestation]:
        return await self._first(lambda source: source.attestations(first, last))

    async def attests_for_operator(self, account: AccountId) -> bool:
        return await self._first(lambda source: source.attests_for_operator(account))

    def accuse(self, first: bytes, second: bytes, sender: AccountId) -> UnsignedTransaction:
        return self._sources[0].accuse(first, second, sender)

    async def _first(self, ask: Callable[[ConsortiumAttestations], Awaitable[T]]) -> T:
        """Raise what the last source raises."""
        failure: Exception | None = None
        for source in self._sources:
            try:
                return await ask(source)
            except (RetryableError, RejectedError) as error:
                failure = error
        assert failure is not None
        raise failure


def _attestations(block: RawBlock) -> Iterator[SignedAttestation]:
    ledger = block.chain.removeprefix(f"{NAMESPACE}:")
    for entry in block.entries:
        try:
            signer, ballots = signed_ballots(ledger, entry)
        except ProofError:  # the clock, other entries, and transactions that are too long for a proof
            continue
        for (name, height), (block_hash, time) in ballots:
            if not (0 <= height <= MAX_FOREIGN_HEIGHT and 0 <= time <= MAX_TIMELOCK_S):
                continue
            try:
                foreign = BlockRef(parse_chain(name), Height(height), block_hash)
            except RejectedError:
                continue
            yield SignedAttestation(caip_account(block.chain, signer), foreign, time, entry)
