"""Answers from the consortium ledger's state, and the proof of the leaves they are read from.

One function says which leaves a question needs and what they mean. Provers run it over the leaves they fetch,
verifiers over the leaves that a proof establishes, so the two cannot disagree.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from core.model.consortium import (
    CLOCK_KEY,
    NAME_PATTERN,
    AccountLeaf,
    HeaderLeaf,
    Leaf,
    LockLeaf,
    RecordLeaf,
    account_key,
    asset_symbol,
    attested_header_key,
    caip_account,
    decode_leaf,
    lock_id,
    lock_key,
    parse_lock_id,
    raw_address,
    record_count_key,
    record_key,
    sequence_count_key,
    sequence_key,
    sequence_of,
    value_of,
)
from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.questions import (
    MAX_LIST_ENTRIES,
    Answer,
    BalanceAnswer,
    BalanceQuestion,
    LeafAnswer,
    LeafQuestion,
    ListAnswer,
    ListQuestion,
    LockAnswer,
    LockQuestion,
    Question,
    RecordAnswer,
    RecordQuestion,
)
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, ChainTime, LockTerms, chain_of
from core.proofs import smt
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.evidence import canonical

MAX_ENTRIES = MAX_LIST_ENTRIES + 2
"""A list's entries, its length and the ledger's clock."""
MAX_LEAF_BYTES = 1 << 18
COUNT_SIZE = 8

L = TypeVar("L", bound=Leaf)
ReadLeaf = Callable[[bytes], bytes | None]
"""The leaf at a state key, None if there is none."""


@dataclass(frozen=True, slots=True)
class StateEntry:
    """One leaf, or None if its key is absent, with its proof. The key is not stored: the question gives it."""

    value: bytes | None
    proof: smt.SmtProof


class _Unknown(Exception):
    """The prover does not know this leaf yet."""


def answer_from_state(question: Question, read: ReadLeaf, app_version: int) -> tuple[Answer, ChainTime]:
    """(answer, ledger time of the block) from the state after a block. `app_version` is that block's successor's.

    Raise InvalidProofError for leaves that contradict each other, RejectedError for a question that the ledger does
    not know.
    """
    time = ChainTime(question.chain, _count(read(CLOCK_KEY)) // 1000)
    if isinstance(question, RecordQuestion):
        return _record(question, read), time
    if isinstance(question, LockQuestion):
        return _lock(question, read, app_version), time
    if isinstance(question, BalanceQuestion):
        return _balance(question, read), time
    if isinstance(question, LeafQuestion):
        return LeafAnswer(read(question.key)), time
    if isinstance(question, ListQuestion):
        return _list(question, read), time
    raise RejectedError(f"{question.chain} is a consortium ledger, which has neither storage slots nor lanes nor logs")


def needed_keys(question: Question, known: Mapping[bytes, bytes | None]) -> tuple[bytes, ...]:
    """State keys that the answer is read from, in the order of a proof's entries, as far as `known` lets one see.

    A prover fetches the leaves that it does not know and asks again, until none is new.
    """
    keys: list[bytes] = []

    def read(key: bytes) -> bytes | None:
        keys.append(key)
        if key not in known:
            raise _Unknown
        return known[key]

    with contextlib.suppress(_Unknown):
        answer_from_state(question, read, 0)
    if isinstance(question, ListQuestion) and len(keys) > 2:
        # A list's length shows all its keys at once.
        return (*keys[:2], *_places(question, _count(known[keys[1]])))
    return tuple(keys)


def attested_header(chain: ChainId, height: int, read: ReadLeaf) -> HeaderLeaf:
    """The foreign header that the ledger attests at this height. Raise InvalidProofError if there is none."""
    raw = read(attested_header_key(chain, height))
    if raw is None:
        raise InvalidProofError("the ledger has not attested a header at this height", height=height)
    return _leaf(raw, HeaderLeaf)


def ledger_code_hash(app_version: int) -> bytes:
    """Return what stands for the ledger's code, as a code hash does for a contract."""
    return hashlib.sha256(b"causeway ledger app version %d" % app_version).digest()


class ProvenState:
    """Reads leaves off a proof's entries, in order, each proven under `root` before it is handed out."""

    def __init__(self, root: bytes, entries: Sequence[StateEntry]) -> None:
        self._root = root
        self._remaining = iter(entries)

    def read(self, key: bytes) -> bytes | None:
        """The next entry's leaf, which must be `key`'s. Raise InvalidProofError."""
        entry = next(self._remaining, None)
        if entry is None:
            raise InvalidProofError("proof lacks a leaf that the question needs")
        if entry.value is None:
            smt.verify_absence(self._root, key, entry.proof)
        else:
            smt.verify_inclusion(self._root, key, entry.value, entry.proof)
        return entry.value

    def finish(self) -> None:
        """Refuse entries that nobody asked for."""
        if next(self._remaining, None) is not None:
            raise InvalidProofError("proof has more leaves than the question needs")


# --- what the leaves say -----------------------------------------------------------------------------------------


def _record(question: RecordQuestion, read: ReadLeaf) -> RecordAnswer:
    for name in (question.namespace, question.key):
        if not re.fullmatch(NAME_PATTERN, name):
            raise RejectedError(f"{name[:64]!r} is not a name of a record")
    version = _count(read(record_count_key(question.namespace, question.key)))
    if not version:
        return RecordAnswer(0, None, b"")
    raw = read(record_key(question.namespace, question.key, version))
    if raw is None:
        raise InvalidProofError("the newest version of the record is missing")
    leaf = _leaf(raw, RecordLeaf)
    if leaf.version != version:
        raise InvalidProofError("the record's leaf is of another version")
    return RecordAnswer(version, caip_account(question.chain, leaf.author), leaf.document)


def _lock(question: LockQuestion, read: ReadLeaf, app_version: int) -> LockAnswer:
    if question.holder is not None:
        raise RejectedError("locks of a consortium chain are held by the ledger, not by a contract")
    _require_chain(question.chain, question.terms.asset)
    sender, hashlock = parse_lock_id(question.lock_id)
    if lock_id(question.chain, sender, hashlock) != question.lock_id:
        raise RejectedError("a lock id is written in lower-case hex")
    raw = read(lock_key(sender, hashlock))
    code_hash = ledger_code_hash(app_version)
    if raw is None:
        return LockAnswer(LockStatus.ABSENT, False, code_hash)
    leaf = _leaf(raw, LockLeaf)
    return LockAnswer(LockStatus(leaf.status), _same_terms(leaf, question.terms), code_hash)


def _same_terms(leaf: LockLeaf, terms: LockTerms) -> bool:
    """Compared member by member in the ledger's own form."""
    return (leaf.asset, leaf.sender, leaf.receiver, leaf.hashlock, leaf.timelock) == (
        asset_symbol(terms.asset),
        raw_address(terms.sender),
        raw_address(terms.receiver),
        terms.hashlock,
        terms.timelock.seconds,
    ) and _amount(leaf.amount) == terms.amount


def _balance(question: BalanceQuestion, read: ReadLeaf) -> BalanceAnswer:
    _require_chain(question.chain, question.account)
    _require_chain(question.chain, question.asset)
    raw = read(account_key(raw_address(question.account)))
    if raw is None:
        return BalanceAnswer(BaseUnits(0))
    balances = _leaf(raw, AccountLeaf).balances
    symbol = asset_symbol(question.asset)
    return BalanceAnswer(BaseUnits(next((_amount(held) for name, held in balances if name == symbol), 0)))


def _list(question: ListQuestion, read: ReadLeaf) -> ListAnswer:
    """Complete: the proven length says which of the places exist, and each of these is proven."""
    count = _count(read(sequence_count_key(sequence_of(question.name))))
    entries = []
    for key in _places(question, count):
        entry = read(key)
        if entry is None:
            raise InvalidProofError("an entry within the list's length is missing", key=key.hex())
        entries.append(entry)
    return ListAnswer(count, tuple(entries))


def _places(question: ListQuestion, count: int) -> tuple[bytes, ...]:
    """Keys of the entries that are asked for and exist."""
    sequence = sequence_of(question.name)
    return tuple(sequence_key(sequence, place) for place in range(question.first, min(question.last, count) + 1))


def _require_chain(chain: ChainId, identifier: AccountId | AssetId) -> None:
    if chain_of(identifier) != chain:
        raise RejectedError(f"{identifier[:128]!r} is not of {chain}")


def _count(raw: bytes | None) -> int:
    """A counter of 8 big-endian bytes, 0 if there is none."""
    if raw is None:
        return 0
    if len(raw) != COUNT_SIZE:
        raise InvalidProofError("a counter's leaf has eight bytes")
    return int.from_bytes(raw, "big")


def _amount(raw: bytes) -> int:
    try:
        return value_of(raw)
    except RejectedError as error:
        _refuse_leaf(error)


def _leaf(raw: bytes, kind: type[L]) -> L:
    try:
        return decode_leaf(raw, kind)
    except RejectedError as error:
        _refuse_leaf(error)


def _refuse_leaf(error: RejectedError) -> NoReturn:
    raise InvalidProofError(f"the proven leaf is not what its key says: {error.message}") from error


# --- JSON --------------------------------------------------------------------------------------------------------


def entries_to_json(entries: Sequence[StateEntry]) -> list[dict[str, Any]]:
    """Leaves with their proofs, hex; an absent leaf is null."""
    return [
        {
            "value": None if entry.value is None else entry.value.hex(),
            "proof": smt.encode_proof(entry.proof).hex(),
        }
        for entry in entries
    ]


def entries_from_json(value: Any) -> tuple[StateEntry, ...]:
    """Inverse of `entries_to_json`. Raise MalformedProofError."""
    return tuple(_entry_from_json(entry) for entry in canonical.items(value, MAX_ENTRIES))


def _entry_from_json(value: Any) -> StateEntry:
    fields = canonical.members(value, "value", "proof")
    leaf = canonical.optional(fields["value"], lambda raw: canonical.hex_bytes(raw, MAX_LEAF_BYTES))
    if leaf == b"":
        raise MalformedProofError("a leaf is never empty")
    return StateEntry(leaf, smt.decode_proof(canonical.hex_bytes(fields["proof"], smt.MAX_ENCODED_BYTES)))
