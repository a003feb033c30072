"""Evidence from the ledger: leaves with their proofs, and the trail of headers that leads to them from the anchor.

The state after block H is proven by the header of H + 1, so the newest height that can be proven is one below the
head.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from adapters.consortium.raw_blocks import RawBlock, fetch_block
from adapters.consortium.results import BlockResults
from adapters.consortium.rpc import CometRpc, base64_of, bytes_of, count_of, parsed
from adapters.consortium.state import query
from core.model.consortium import (
    attested_header_key,
    attested_headers,
    attested_latest_key,
    sequence_count_key,
    sequence_key,
    transaction_hash,
)
from core.model.errors import CausewayError, NotFoundError, NotYetFinalError, RejectedError, RetryableError
from core.model.questions import Anchor, Evidence, Question, TransactionQuestion
from core.model.types import ChainId, Height, Seconds
from core.proofs import merkle
from core.proofs.cometbft.encoding import encode_tx_result
from core.proofs.cometbft.hashing import header_hash
from core.proofs.cometbft.json import (
    integer_from_json,
    list_from_json,
    object_from_json,
    signed_header_from_json,
    validator_from_json,
)
from core.proofs.cometbft.light_client import TWO_THIRDS, verify_commit_trusting, verify_light_block
from core.proofs.cometbft.types import MAX_VALIDATORS, Header, LightBlock, SignedHeader, TxResult, ValidatorSet
from core.proofs.errors import NotEnoughTrustError, ProofError
from core.proofs.evidence import (
    ConsortiumProof,
    StateEntry,
    Trail,
    TransactionProof,
    consortium_evidence,
    needed_keys,
    transaction_evidence,
)
from core.proofs.evidence.trail import MAX_LINKS, MAX_STEPS
from core.proofs.smt import decode_proof

VALIDATORS_PER_PAGE: Final = 100
MAX_TRAILS: Final = 8
"""Headers to which the way is kept, and heights of which leaves are."""
MAX_KEPT: Final = 64
"""Leaves of one height."""
MAX_BLOCKS: Final = 2
"""Blocks of which entries and results are kept: an answer often shows several transactions of one block."""
DEFAULT_TRUSTING_PERIOD_S: Final = Seconds(14 * 86_400)


class ConsortiumProver:
    """`Prover`. Its trails start at `trusted_height`, which must be the height of the verifiers' anchor."""

    def __init__(self, rpc: CometRpc, chain: ChainId, genesis_hash: bytes, trusted_height: Height) -> None:
        self._rpc = rpc
        self._chain = chain
        self._genesis_hash = genesis_hash
        self._trusted_height = trusted_height
        self._trails: dict[tuple[Height, Height], Trail] = {}
        self._proven: dict[Height, dict[bytes, StateEntry]] = {}
        self._results = BlockResults(rpc)
        self._blocks: dict[Height, _Block] = {}

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        if question.chain != self._chain:
            raise RejectedError(f"this prover answers for {self._chain}, not for {question.chain}")
        if isinstance(question, TransactionQuestion):
            return await self._prove_transaction(question, at, trusted)
        height = await self.provable_height(at)
        known = self._proven.get(height, {}).copy()
        while True:
            values = {key: entry.value for key, entry in known.items()}
            keys = _needed(question, values)
            unknown = [key for key in dict.fromkeys(keys) if key not in known]
            if not unknown:
                break
            entries = await asyncio.gather(*(self.entry(key, height) for key in unknown))
            known.update(zip(unknown, entries, strict=True))
        trail = await self.trail(Height(height + 1), trusted)
        evidence = parsed(
            lambda: consortium_evidence(question, ConsortiumProof(trail, tuple(known[key] for key in keys)))
        )
        self._keep(height, {key: known[key] for key in keys})
        return evidence

    # --- transactions ----------------------------------------------------------------------------------------------

    async def _prove_transaction(
        self, question: TransactionQuestion, at: Height | None, trusted: Height | None
    ) -> Evidence:
        """`at` can only be the height of the transaction's block; None asks the node's index for it."""
        height = await self._height_of(question.transaction) if at is None else at
        await self.provable_height(height)
        block = self._blocks.get(height)
        if block is None:
            block = self._blocks[height] = await self._block(height)
            while len(self._blocks) > MAX_BLOCKS:
                self._blocks.pop(next(iter(self._blocks)))
        index = block.places.get(question.transaction)
        if index is None:
            raise NotFoundError(f"block {height} of {self._chain} has no transaction {question.transaction.hex()}")
        trail = await self.trail(Height(height + 1), trusted)
        proof = TransactionProof(
            trail,
            block.raw.header,
            len(block.raw.entries),
            index,
            block.raw.entries[index],
            block.entries.prove(index).aunts,
            block.raw.entries[0],
            block.entries.prove(0).aunts,
            block.results[index],
            block.outcomes.prove(index).aunts,
        )
        return parsed(lambda: transaction_evidence(question, proof))

    async def _height_of(self, transaction: bytes) -> Height:
        """Raise `NotFoundError`, also if the node keeps no index of transactions."""
        found = await self._rpc.call("tx", hash=base64_of(transaction), prove=False)
        if parsed(lambda: transaction_hash(bytes_of(found.get("tx")))) != transaction:
            raise RetryableError(f"{self._rpc.origin} answers with another transaction than it was asked for")
        return Height(parsed(lambda: integer_from_json(found.get("height"))))

    async def _block(self, height: Height) -> "_Block":
        raw = await fetch_block(self._rpc, self._chain, height)
        outcomes = await self._results.of(raw)
        return parsed(lambda: _Block(raw, [_result(one) for one in outcomes]))

    # --- leaves ----------------------------------------------------------------------------------------------------

    def _keep(self, height: Height, entries: Mapping[bytes, StateEntry]) -> None:
        """Keep leaves that were proven: many questions as of one height need the same ones, the clock above all."""
        kept = self._proven.setdefault(height, {})
        if len(kept) < MAX_KEPT:
            kept.update(entries)
        while len(self._proven) > MAX_TRAILS:
            self._proven.pop(next(iter(self._proven)))

    async def provable_height(self, at: Height | None = None) -> Height:
        """`at`, or the newest height that can be proven. Raise `NotYetFinalError` if `at` is above that."""
        newest = Height((await self._signed_header(None)).header.height - 1)
        if newest < 1 or (at is not None and at > newest):
            raise NotYetFinalError(f"{self._chain} can be proven up to height {newest} so far", newest=newest)
        return newest if at is None else at

    async def entry(self, key: bytes, height: Height) -> StateEntry:
        """One leaf after block `height` with its proof. Raise `NotFoundError` if that height is pruned."""
        found = await query(self._rpc, key, height, prove=True)
        return parsed(lambda: StateEntry(found.value, decode_proof(found.proof)))

    async def attested_height(self, foreign: ChainId, height: Height) -> Height:
        """The newest height of a foreign chain that is attested in the state after block `height`, 0 for none."""
        found = await query(self._rpc, attested_latest_key(foreign), height)
        return Height(parsed(lambda: count_of(found.value)))

    async def attested_from(self, foreign: ChainId, foreign_height: Height, height: Height) -> Height:
        """The lowest height from `foreign_height` on that is attested in the state after block `height`.

        Searches by halves, as heights are attested in ascending order; if some came late, a higher one may be found.
        Raise `NotFoundError` if there is none.
        """
        exact = await query(self._rpc, attested_header_key(foreign, foreign_height), height)
        if exact.value is not None:
            return foreign_height
        sequence = attested_headers(foreign)
        low, high = 1, await self._count(sequence_count_key(sequence), height)
        found: Height | None = None
        while low <= high:
            middle = (low + high) // 2
            at = await self._count(sequence_key(sequence, middle), height)
            if at >= foreign_height:
                found, high = Height(at), middle - 1
            else:
                low = middle + 1
        if found is None:
            raise NotFoundError(f"no height of {foreign} from {foreign_height} on is attested")
        return found

    async def _count(self, key: bytes, height: Height) -> int:
        found = await query(self._rpc, key, height)
        return parsed(lambda: count_of(found.value))

    async def attestation(self, foreign: ChainId, foreign_height: Height, height: Height) -> StateEntry:
        """The ledger's leaf about a foreign header, proven, or its proven absence."""
        return await self.entry(attested_header_key(foreign, foreign_height), height)

    async def anchor(
        self, trusting_period_s: Seconds = DEFAULT_TRUSTING_PERIOD_S, height: Height | None = None
    ) -> Anchor:
        """Return the anchor at `height` (None: where this prover's evidence starts), as *this endpoint* states it: for
        whoever trusts it."""
        height = self._trusted_height if height is None else height
        trusted = (await self._signed_header(height)).header
        return Anchor(
            chain=self._chain,
            genesis_hash=self._genesis_hash,
            trusted_height=height,
            trusted_hash=parsed(lambda: header_hash(trusted)),
            trusting_period_s=trusting_period_s,
        )

    # --- trails --------------------------------------------------------------------------------------------------

    async def trail(self, target: Height, trusted: Height | None = None) -> Trail:
        """From the header at `trusted` (None: the prover's own) to that of `target`.

        Raise `RejectedError` if the way is too long, `NotYetFinalError` if the trusted header is not there yet.

        The newest ones are kept: what was signed stays signed, and many answers hang under one header.
        """
        start = self._trusted_height if trusted is None else trusted
        known = self._trails.get((start, target))
        if known is None:
            known = self._trails[start, target] = await self._new_trail(start, target)
            while len(self._trails) > MAX_TRAILS:
                self._trails.pop(next(iter(self._trails)))
        return known

    async def _new_trail(self, start: Height, target: Height) -> Trail:
        trusted = (await self._signed_header(start)).header
        if target <= start:
            links = await self._links(start, target)
            return Trail(self._genesis_hash, trusted, None, (), links)
        following = await self._validators(Height(start + 1))
        steps = await self._steps(trusted, following, target)
        return Trail(self._genesis_hash, trusted, following, steps)

    async def _links(self, start: Height, target: Height) -> tuple[Header, ...]:
        if start - target > MAX_LINKS:
            raise RejectedError(f"height {target} is more than {MAX_LINKS} blocks before the trusted header")
        heights = range(start - 1, target - 1, -1)
        return tuple([(await self._signed_header(Height(height))).header for height in heights])

    async def _steps(self, trusted: Header, following: ValidatorSet, target: Height) -> tuple[LightBlock, ...]:
        """Skip as far as more than ⅔ of the validators trusted before have signed; bisect if they have not."""
        steps: list[LightBlock] = []
        wanted = [await self.light_block(target)]
        while wanted:
            block = wanted[-1]
            if block.header.height > trusted.height + 1 and not parsed(partial(_vouches, following, block)):
                middle = Height((trusted.height + block.header.height) // 2)
                wanted.append(await self.light_block(middle))
            else:
                steps.append(wanted.pop())
                trusted, following = block.header, block.next_validators or block.validators
            if len(steps) + len(wanted) > MAX_STEPS:
                raise RejectedError("the validators changed too often since the trusted header: take a newer anchor")
        return tuple(steps)

    async def light_block(self, height: Height) -> LightBlock:
        """The header at `height` with its commit and validators, which agree with each other."""
        signed = await self._signed_header(height)
        validators = await self._validators(height)
        following = None
        if signed.header.next_validators_hash != signed.header.validators_hash:
            following = await self._validators(Height(height + 1))
        block = LightBlock(signed, validators, following)
        parsed(lambda: verify_light_block(block, signed.header.chain_id))
        return block

    async def _signed_header(self, height: Height | None) -> SignedHeader:
        """None: the newest."""
        answer = await (self._rpc.call("commit") if height is None else self._rpc.call("commit", height=str(height)))
        signed = parsed(lambda: signed_header_from_json(object_from_json(answer.get("signed_header"))))
        if height is not None and signed.header.height != height:
            raise RetryableError(f"{self._rpc.origin} answers with another commit than it was asked for")
        return signed

    async def _validators(self, height: Height) -> ValidatorSet:
        """All pages; proposer priorities are left out, since they are in no hash."""
        members = []
        for page in range(1, MAX_VALIDATORS // VALIDATORS_PER_PAGE + 1):
            answer = await self._rpc.call(
                "validators", height=str(height), page=str(page), per_page=str(VALIDATORS_PER_PAGE)
            )
            listed = parsed(lambda: list_from_json(answer.get("validators"), VALIDATORS_PER_PAGE))  # noqa: B023
            members += parsed(lambda: [replace(validator_from_json(one), proposer_priority=0) for one in listed])  # noqa: B023
            if len(members) >= parsed(lambda: integer_from_json(answer.get("total"))) or not listed:  # noqa: B023
                break
        return parsed(lambda: ValidatorSet.of(members))


class _Block:
    """A block's entries by hash, and the trees of its entries and of their results."""

    __slots__ = ("entries", "outcomes", "places", "raw", "results")

    def __init__(self, raw: RawBlock, results: list[TxResult]) -> None:
        hashes = [transaction_hash(one) for one in raw.entries]
        self.raw, self.results = raw, results
        self.places: dict[bytes, int] = {}
        for index, one in enumerate(hashes):
            # The same bytes may stand in a block more than once: what took effect did so once.
            if one not in self.places or not results[index].code:
                self.places[one] = index
        self.entries = merkle.Tree(hashes)
        self.outcomes = merkle.Tree([encode_tx_result(one) for one in results])


def _result(value: Mapping[str, Any]) -> TxResult:
    """The part of an ExecTxResult that the next header commits to."""
    data = value.get("data")
    return TxResult(
        integer_from_json(value.get("code") or 0),
        b"" if data is None else bytes_of(data),
        integer_from_json(value.get("gas_wanted") or 0),
        integer_from_json(value.get("gas_used") or 0),
    )


def _needed(question: Question, values: Mapping[bytes, bytes | None]) -> tuple[bytes, ...]:
    """The keys. Raise `RejectedError` for what is wrong with the question, `RetryableError` for a wrong leaf."""
    try:
        return needed_keys(question, values)
    except ProofError as error:
        raise RetryableError(f"the endpoint shows an invalid leaf: {error.message}") from error
    except CausewayError:
        raise
    except Exception as error:
        raise RetryableError(f"the endpoint shows an invalid leaf: {type(error).__name__}") from error


def _vouches(trusted: ValidatorSet, block: LightBlock) -> bool:
    try:
        verify_commit_trusting(block.header.chain_id, trusted, block.commit, TWO_THIRDS)
    except NotEnoughTrustError:
        return False
    return True
