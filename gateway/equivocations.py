"""`causeway chain accuse`: a double attestation from two transactions of a ledger, shown, kept, and reported."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.consortium.chain import ConsortiumChain
from adapters.consortium.rpc import base64_of, parsed
from core.model.consortium import NAMESPACE, ReportEquivocation, caip_account, caip_chain, transaction_hash
from core.model.errors import RejectedError, RetryableError
from core.proofs.cometbft.json import bytes_from_base64
from core.proofs.equivocation import (
    MAX_ATTESTATION_BYTES,
    Equivocation,
    decode_equivocation,
    encode_equivocation,
    verify_equivocation,
)
from gateway.members import chain_at, send_as

MAX_FILE_BYTES: Final = 5 * MAX_ATTESTATION_BYTES
_HASH: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Accusation:
    """A proof that holds: its two transactions, and what they show."""

    first: bytes
    second: bytes
    proven: Equivocation

    @property
    def file(self) -> bytes:
        """The proof as a file."""
        return encode_equivocation(self.proven.ledger, self.first, self.second)


def read_accusation(path: Path, ledger: str | None) -> Accusation:
    """The proof in a file, verified offline. `ledger`: the CometBFT chain id that it has to be about, None for the
    one that it names. Raise `RejectedError` for a file that cannot be read, a `ProofError` if it proves nothing."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RejectedError(f"cannot read {path}: {error.strerror}") from None
    named, first, second = decode_equivocation(raw)
    return Accusation(first, second, verify_equivocation(ledger or named, first, second))


async def find_accusation(url: str, first: str, second: str) -> Accusation:
    """The proof from two transactions that a node has, by their hashes. Raise as `read_accusation`, and
    `NotFoundError` or `RetryableError` if the node does not give them."""
    async with chain_at(url) as chain:
        one, other = [await _transaction(chain, name) for name in (first, second)]
        return Accusation(one, other, verify_equivocation(_ledger(chain), one, other))


async def report(url: str, key_file: Path, found: Accusation) -> dict[str, Any]:
    """Report it to the ledger, by any account's key. Raise `RevertedError` if the ledger refuses it."""
    async with chain_at(url) as chain:
        if _ledger(chain) != found.proven.ledger:
            raise RejectedError(f"the proof is about {found.proven.ledger}, this node is on {_ledger(chain)}")
        message = ReportEquivocation(found.first, found.second)
        return {"height_of_report": await send_as(chain, key_file, [message], "report a double attestation")}


def shown(found: Accusation) -> dict[str, Any]:
    """The proof's content as JSON has it."""
    one = found.proven
    ballots = [{"block_hash": block.hex(), "time": time} for block, time in (one.first, one.second)]
    signer = caip_account(caip_chain(one.ledger), one.attestor)
    return {"ledger": one.ledger, "attestor": signer, "chain": one.chain, "height": one.height, "attested": ballots}


def _ledger(chain: ConsortiumChain) -> str:
    return chain.access.parameters.chain.removeprefix(f"{NAMESPACE}:")


async def _transaction(chain: ConsortiumChain, name: str) -> bytes:
    match = _HASH.fullmatch(name)
    if match is None:
        raise RejectedError(f"{name[:80]!r} is not a transaction's hash: write its 64 hex digits")
    wanted = bytes.fromhex(match[1])
    answer = await chain.rpc.call("tx", hash=base64_of(wanted), prove=False)
    raw = parsed(lambda: bytes_from_base64(answer.get("tx")))
    if transaction_hash(raw) != wanted:
        raise RetryableError("the node answers with another transaction than was asked for")
    return raw
