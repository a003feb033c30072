"""Two attestations by one account for different headers at one height: evidence against its operator.

An attestation is a signed transaction of the ledger with a `bridge/attest` message. What counts is that it was signed:
in a block or not, refused or expired. Who sees both transactions can prove it to anybody, and to the ledger.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.model.consortium import AttestHeader, Transaction, address, decode_transaction, sign_bytes
from core.model.errors import RejectedError
from core.proofs.ed25519 import verify_ed25519
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.evidence import canonical

MAX_ATTESTATION_BYTES: Final = 30 * 1024
"""Of one transaction in a proof, so that a transaction that reports both fits. An attestor's has about 200 bytes."""
BLOCK_HASH_BYTES: Final = 32
FORMAT_VERSION: Final = 1
KIND: Final = "double-attestation"

Ballot = tuple[bytes, int]
"""A block's hash and its own time in Unix seconds."""
Place = tuple[str, int]
"""A foreign chain (CAIP-2) and a height of it."""


@dataclass(frozen=True, slots=True)
class Equivocation:
    """A proven fact: the account `attestor` (20 bytes) of the ledger `ledger` (its CometBFT chain id) called both
    ballots final at `height` of the foreign chain `chain` (CAIP-2)."""

    ledger: str
    attestor: bytes
    chain: str
    height: int
    first: Ballot
    second: Ballot


def verify_equivocation(ledger: str, first: bytes, second: bytes) -> Equivocation:
    """Prove it from the two transactions' bytes; one transaction that attests both may stand twice.

    `ledger` is the reader's own: transactions of another chain prove nothing here. Raise MalformedProofError for bytes
    that are not transactions, InvalidProofError for a signature that does not hold or transactions that agree.
    """
    one, other = _signed(ledger, first), _signed(ledger, second)
    if one.body.public_key != other.body.public_key:
        raise InvalidProofError("the two transactions are of different accounts")
    ballots: dict[Place, Ballot] = {}
    for place, ballot in _ballots(one):
        # Of several for one height in one transaction the first counts; a second one is met again below.
        ballots.setdefault(place, ballot)
    for (chain, height), ballot in (*_ballots(other), *_ballots(one)):
        before = ballots.get((chain, height), ballot)
        if before != ballot:
            return Equivocation(ledger, address(one.body.public_key), chain, height, before, ballot)
    raise InvalidProofError("the two transactions attest no two headers at one height")


def signed_ballots(ledger: str, raw: bytes) -> tuple[bytes, Sequence[tuple[Place, Ballot]]]:
    """Return who signed the transaction `raw` (20 bytes) and each ballot in it, in order; none in most transactions.

    Signatures are verified if there is a ballot. Raise as `verify_equivocation`.
    """
    found = _decoded(ledger, raw)
    ballots = tuple(_ballots(found))
    if ballots:
        _require_signed(found)
    return address(found.body.public_key), ballots


def _signed(ledger: str, raw: bytes) -> Transaction:
    found = _decoded(ledger, raw)
    _require_signed(found)
    return found


def _decoded(ledger: str, raw: bytes) -> Transaction:
    if len(raw) > MAX_ATTESTATION_BYTES:
        raise MalformedProofError("an attestation is too long for a proof", limit=MAX_ATTESTATION_BYTES, size=len(raw))
    try:
        transaction = decode_transaction(raw)
    except RejectedError as error:
        raise MalformedProofError(f"not a transaction of a ledger: {error.message}") from error
    if transaction.body.chain_id != ledger:
        raise InvalidProofError(f"the transaction is of ledger {transaction.body.chain_id[:64]!r}, not of {ledger}")
    return transaction


def _require_signed(transaction: Transaction) -> None:
    if not verify_ed25519(transaction.body.public_key, sign_bytes(transaction.body), transaction.signature):
        raise InvalidProofError("the transaction's signature does not hold")


def _ballots(transaction: Transaction) -> Iterator[tuple[Place, Ballot]]:
    for message in transaction.body.messages:
        if isinstance(message, AttestHeader) and len(message.block_hash) == BLOCK_HASH_BYTES:
            yield (message.chain, message.height), (message.block_hash, message.time)


# --- files -------------------------------------------------------------------------------------------------------


def encode_equivocation(ledger: str, first: bytes, second: bytes) -> bytes:
    """A file with the proof: canonical JSON."""
    body = {"version": FORMAT_VERSION, "kind": KIND, "ledger": ledger, "first": first.hex(), "second": second.hex()}
    return canonical.dump(body)


def decode_equivocation(data: bytes) -> tuple[str, bytes, bytes]:
    """(ledger, first, second) of a file, in any layout. Nothing is proven by this. Raise MalformedProofError."""
    value: Any = canonical.load(data, any_layout=True)
    fields = canonical.members(value, "version", "kind", "ledger", "first", "second")
    if (fields["version"], fields["kind"]) != (FORMAT_VERSION, KIND):
        raise MalformedProofError("this is not a proof of a double attestation in a form that is known here")
    first, second = (canonical.hex_bytes(fields[name], MAX_ATTESTATION_BYTES) for name in ("first", "second"))
    return canonical.text(fields["ledger"], 64), first, second
