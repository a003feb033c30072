"""Claims: what an answer says that a chain can prove, each with the questions whose proof shows it. Pure.

Claims are derived from the answer alone, by whoever gives it and again by whoever reads it: nothing that could be
proven can be left out unsaid. A claim names several questions if any of them shows it.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from core.model.consortium import (
    CLOCK_KEY,
    AssetLeaf,
    Burn,
    Issue,
    Message,
    RecordLeaf,
    Transfer,
    WriteRecord,
    address,
    asset_key,
    asset_symbol,
    caip_account,
    caip_asset,
    decode_leaf,
    decode_transaction,
    raw_address,
    record_key,
    sequence_key,
    value_of,
)
from core.model.consortium_orders import (
    ORDERS,
    ApproveLift,
    ApproveOrder,
    HeldLeaf,
    OrderLeaf,
    PrepareLift,
    PrepareOrder,
    held_key,
)
from core.model.errors import RejectedError
from core.model.facts import OrderStep
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.questions import (
    MAX_LIST_ENTRIES,
    Answer,
    AsOf,
    BalanceAnswer,
    BalanceQuestion,
    LeafAnswer,
    LeafQuestion,
    ListAnswer,
    ListQuestion,
    LockAnswer,
    LockQuestion,
    LogAnswer,
    LogQuestion,
    Question,
    RecordAnswer,
    RecordQuestion,
    StorageAnswer,
    StorageQuestion,
    TransactionAnswer,
    TransactionQuestion,
)
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    address_of,
    chain_of,
)
from core.proofs.keccak import keccak256
from regulator_api import bodies

Fault = Callable[[Question, Answer, AsOf], str]
"""Return what a proven answer contradicts, empty if the claim holds."""

NATIVE: Final = "/slip44:"
TOKEN: Final = "/erc20:"
ETHEREUM: Final = "eip155:"
LEDGER: Final = "causeway:"
NOBODY: Final = bytes(20)
NO_CODE: Final = keccak256(b"")
TRANSFER_TOPIC: Final = keccak256(b"Transfer(address,address,uint256)")

NO_LOG: Final = "a payment of a native coin writes no log"
NO_PROVER: Final = "chains of this kind prove nothing"
OF_THE_LOCK: Final = "the swap that the lock belongs to proves it: ask for /v1/swaps with evidence"
NATIVE_SUM: Final = "of a native coin this is the sum of indexed payments, and not a balance"
TOO_LONG: Final = f"a list of more than {MAX_LIST_ENTRIES} entries is proven piece by piece: ask for its evidence"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim. `at` is a JSON pointer (RFC 6901) into the answer. `height` is the block that the answer is as of, or
    in which it happened, None if the claim holds for ever. `whole`: that nothing is left out, which is asked for
    callers who see all. Without questions, `reason` says why nothing proves it."""

    at: str
    chain: ChainId
    questions: tuple[Question, ...]
    fault: Fault
    height: Height | None = None
    whole: bool = False
    reason: str = ""


def unproven(at: str, chain: str, reason: str) -> Claim:
    """A claim that nothing proves."""
    return Claim(at, ChainId(chain), (), lambda *_: reason, reason=reason)


def form_of(question: Question) -> Question:
    """A question without what the answer cannot say: the place of a log, and which contract keeps a lock."""
    if isinstance(question, LogQuestion):
        return replace(question, index=0)
    return replace(question, holder=None) if isinstance(question, LockQuestion) else question


def raw_hash(text: str) -> bytes:
    """The bytes of a hash, with `0x` or without. Raise `RejectedError`."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise RejectedError(f"{text[:80]!a} is not a hash") from None


def amount_of(text: str) -> int:
    """Base units. Raise `RejectedError` for what is not a decimal integer."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 100:
        raise RejectedError(f"{text[:80]!a} is not an amount")
    return int(text)


def differs(what: str, proven: object, said: object) -> str:
    """Empty if both are the same."""
    return "" if proven == said else f"{what} is {proven}, and not {said}"


# --- blocks ------------------------------------------------------------------------------------------------------


def block_claim(at: str, chain: str, block: bodies.BlockView) -> Claim:
    """The chain has this block, and it is final."""

    def fault(_: Question, __: Answer, as_of: AsOf) -> str:
        proven, said = (as_of.block.height, as_of.block.hash), (block.height, raw_hash(block.hash))
        return "" if proven == said else f"block {block.height} of {chain} is another one"

    known = parse_chain(chain)
    question: Question
    if chain.startswith(LEDGER):
        question = LeafQuestion(known, CLOCK_KEY)
    elif chain.startswith(ETHEREUM):
        nobody, coin = AccountId(f"{known}:0x{NOBODY.hex()}"), parse_asset(f"{known}{NATIVE}60")
        question = BalanceQuestion(known, nobody, coin)
    else:
        return unproven(at, chain, NO_PROVER)
    return Claim(at, known, (question,), fault, Height(block.height))


# --- values ------------------------------------------------------------------------------------------------------


def balance_claim(
    at: str, account: str, asset: str, amount: int, height: Height | None, *, asked: bool = False
) -> Claim:
    """The account holds that much. `asked`: the chain was asked, so that of a native coin, too, it is a balance."""
    if NATIVE in asset and not asked:
        return unproven(at, account.rpartition(":")[0], NATIVE_SUM)

    def fault(_: Question, answer: Answer, __: AsOf) -> str:
        held = answer.amount if isinstance(answer, BalanceAnswer) else None
        return differs(f"the balance of {account}", held, amount)

    whose = parse_account(account)
    question = BalanceQuestion(chain_of(whose), whose, parse_asset(asset))
    return Claim(at, chain_of(whose), (question,), fault, height)


@dataclass(frozen=True, slots=True)
class Where:
    """A transaction in a block; the block's hash is empty if the answer does not say it."""

    tx_hash: str
    height: int
    block_hash: str = ""


def place_of(placed: bodies.PlacedView) -> Where:
    """The place of a transaction as answers say it."""
    return Where(placed.tx_hash, placed.block.height, placed.block.hash)


def transfer_claim(
    at: str, chain: str, amount: bodies.AmountView, sender: str | None, receiver: str | None, placed: Where
) -> Claim:
    """A transaction moved that amount. For tokens on Ethereum its log shows it, on a ledger its message."""
    if chain.startswith(LEDGER):
        return _ledger_transfer_claim(at, parse_chain(chain), amount, sender, receiver, placed)
    if not chain.startswith(ETHEREUM):
        return unproven(at, chain, NO_PROVER)
    if TOKEN not in amount.asset:
        return unproven(at, chain, NO_LOG)
    token = amount.asset.partition(TOKEN)[2].lower()
    words = [TRANSFER_TOPIC, *(_word(party) for party in (sender, receiver))]

    def fault(_: Question, answer: Answer, as_of: AsOf) -> str:
        if not isinstance(answer, LogAnswer) or answer.log is None or not answer.succeeded:
            return "the transaction has no such log"
        log = answer.log
        if (address_of(log.contract).lower(), list(log.topics)) != (token, words):
            return "the log is of another transfer"
        if as_of.block.height != placed.height or placed.block_hash not in ("", f"0x{as_of.block.hash.hex()}"):
            return "the log stands in another block"
        return differs("the amount", int.from_bytes(log.data, "big"), amount_of(amount.base_units))

    known = parse_chain(chain)
    return Claim(at, known, (LogQuestion(known, raw_hash(placed.tx_hash), 0),), fault)


def _ledger_transfer_claim(
    at: str, chain: ChainId, amount: bodies.AmountView, sender: str | None, receiver: str | None, placed: Where
) -> Claim:
    said = parse_asset(amount.asset), amount_of(amount.base_units), sender, receiver

    def found(signer: bytes, message: Message) -> bool:
        return _moved(chain, signer, message) == said

    return _message_claim(at, chain, placed, found, "the transaction makes no such transfer")


def _moved(chain: ChainId, signer: bytes, message: Message) -> tuple[AssetId, int, str | None, str | None] | None:
    """Asset, amount, sender and receiver of a message that moves value outright, None for any other."""
    match message:
        case Issue():
            parties: tuple[bytes | None, bytes | None] = (None, message.receiver)
        case Transfer():
            parties = signer, message.receiver
        case Burn():
            parties = signer, None
        case _:
            return None
    out, into = (None if one is None else caip_account(chain, one) for one in parties)
    return caip_asset(chain, message.asset), value_of(message.amount), out, into


def written_claim(at: str, record: tuple[str, str, str], author: str, digest: str, placed: Where) -> Claim:
    """A transaction wrote a document of this digest at a record. `record`: chain, namespace, key."""
    name, namespace, key = record
    if not name.startswith(LEDGER):
        return unproven(at, name, NO_PROVER)
    chain = parse_chain(name)

    def found(signer: bytes, message: Message) -> bool:
        if not isinstance(message, WriteRecord) or caip_account(chain, signer) != author:
            return False
        written = message.namespace, message.key, hashlib.sha256(message.document).hexdigest()
        return written == (namespace, key, digest)

    return _message_claim(at, chain, placed, found, "the transaction writes no such version")


def signed_claim(at: str, account: str, order: int, step: str, officer: str, placed: Where) -> Claim:
    """A transaction has this officer's half of an order about the account. Its number is given to an order when it is
    prepared, so that the first half does not name it."""
    chain, whose = chain_of(parse_account(account)), raw_address(parse_account(account))

    def found(signer: bytes, message: Message) -> bool:
        if caip_account(chain, signer) != officer:
            return False
        match message:
            case PrepareOrder():
                return (step, message.terms.address) == (OrderStep.PREPARED, whose)
            case ApproveOrder():
                said = OrderStep.IN_FORCE, message.terms.address
            case PrepareLift():
                said = OrderStep.LIFT_PREPARED, message.address
            case ApproveLift():
                said = OrderStep.LIFTED, message.address
            case _:
                return False
        return said == (step, whose) and message.order == order

    return _message_claim(at, chain, placed, found, "the transaction has no such half")


def _message_claim(
    at: str, chain: ChainId, placed: Where, found: Callable[[bytes, Message], bool], otherwise: str
) -> Claim:
    """A transaction of a ledger took effect in this block, and `found` knows one of its messages by it and its
    signer."""

    def fault(_: Question, answer: Answer, as_of: AsOf) -> str:
        if not isinstance(answer, TransactionAnswer) or answer.code:
            return "the transaction took no effect"
        if as_of.block.height != placed.height or placed.block_hash not in ("", as_of.block.hash.hex()):
            return "the transaction stands in another block"
        body = decode_transaction(answer.raw).body
        signer = address(body.public_key)
        return "" if any(found(signer, message) for message in body.messages) else otherwise

    question = TransactionQuestion(chain, raw_hash(placed.tx_hash))
    return Claim(at, chain, (question,), fault, Height(placed.height))


def _word(party: str | None) -> bytes:
    raw = NOBODY if party is None else raw_hash(address_of(parse_account(party)))
    return raw.rjust(32, b"\0")


def lock_claim(at: str, lock: bodies.LockView, hashlock: str, height: Height | None) -> Claim:
    """The lock stands like this under exactly these terms."""
    terms = lock.terms
    chain = parse_chain(terms.chain)
    agreed = LockTerms(
        parse_asset(terms.amount.asset),
        BaseUnits(amount_of(terms.amount.base_units)),
        parse_account(terms.sender),
        parse_account(terms.receiver),
        Hashlock(raw_hash(hashlock)),
        ChainTime(chain, terms.timelock_s),
    )

    def fault(_: Question, answer: Answer, __: AsOf) -> str:
        if not isinstance(answer, LockAnswer) or not answer.terms_match:
            return "there is no such lock under these terms"
        return differs("the lock", answer.status.value, lock.status)

    question = LockQuestion(chain, LockId(lock.lock_id), agreed, None)
    return Claim(at, chain, (question,), fault, None if lock.settled is not None else height)


# --- ledgers -----------------------------------------------------------------------------------------------------


def _entry(question: Question, answer: Answer, place: int) -> bytes | None:
    """The leaf at a place of a list, out of either kind of answer."""
    if isinstance(answer, LeafAnswer):
        return answer.value
    if isinstance(answer, ListAnswer) and isinstance(question, ListQuestion):
        return answer.entries[place - question.first] if question.first <= place <= question.last else None
    return None


def version_claim(
    at: str, record: tuple[str, str, str], version: int, said: tuple[str, str, int], pieces: Sequence[ListQuestion]
) -> Claim:
    """A version of a record has this author, digest and time. `said`: these three, `record`: chain, namespace, key."""
    name, namespace, key = record
    chain = parse_chain(name)
    if not name.startswith(LEDGER):
        return unproven(at, name, NO_PROVER)

    def fault(question: Question, answer: Answer, _: AsOf) -> str:
        raw = _entry(question, answer, version)
        if raw is None:
            return "there is no such version"
        leaf = decode_leaf(raw, RecordLeaf)
        found = caip_account(chain, leaf.author), hashlib.sha256(leaf.document).hexdigest(), leaf.time_ms // 1_000
        return differs(f"version {leaf.version}", (leaf.version, *found), (version, *said))

    leaf = LeafQuestion(chain, record_key(namespace, key, version))
    return Claim(at, chain, (*(one for one in pieces if one.first <= version <= one.last), leaf), fault)


def newest_claim(at: str, chain: str, namespace: str, key: str, said: tuple[int, str, str], height: Height) -> Claim:
    """The newest version of a record. `said`: version, author and digest of the document."""
    if not chain.startswith(LEDGER):
        return unproven(at, chain, NO_PROVER)

    def fault(_: Question, answer: Answer, __: AsOf) -> str:
        if not isinstance(answer, RecordAnswer):
            return "there is no such record"
        return differs("the record", (answer.version, answer.author, hashlib.sha256(answer.document).hexdigest()), said)

    known = parse_chain(chain)
    return Claim(at, known, (RecordQuestion(known, namespace, key),), fault, height)


def count_claim(at: str, question: ListQuestion, count: int, height: Height | None) -> Claim:
    """A list of a ledger has that many entries, so that none is left out."""

    def fault(_: Question, answer: Answer, __: AsOf) -> str:
        return differs(
            f"the length of {question.name}", answer.count if isinstance(answer, ListAnswer) else None, count
        )

    return Claim(at, question.chain, (question,), fault, height, whole=True)


def names_claim(at: str, question: ListQuestion, among: frozenset[str], exactly: bool, height: Height | None) -> Claim:
    """Every entry of a list of a ledger is among these names; with `exactly`, each of them is an entry."""

    def fault(_: Question, answer: Answer, __: AsOf) -> str:
        if not isinstance(answer, ListAnswer):
            return f"{question.chain} has no such list"
        if answer.count > question.last - question.first + 1:
            return TOO_LONG
        binary = question.name.startswith("locks/")
        found = {entry.hex() if binary else entry.decode("utf-8", "replace") for entry in answer.entries}
        left = sorted(found - among)
        if left:
            return f"{left[0][:80]} of the list {question.name} is left out"
        return f"{min(among - found)[:80]} is not in the list {question.name}" if exactly and among - found else ""

    return Claim(at, question.chain, (question,), fault, height, whole=True)


def defined_claim(at: str, asset: bodies.AssetView, height: Height | None) -> Claim:
    """A ledger defines the asset like this."""

    def fault(_: Question, answer: Answer, __: AsOf) -> str:
        if not isinstance(answer, LeafAnswer) or answer.value is None:
            return "the ledger has no such asset"
        leaf = decode_leaf(answer.value, AssetLeaf)
        issuer = caip_account(known, leaf.issuer)
        # People write symbols in capitals.
        said = (asset.symbol or symbol).lower(), leaf.decimals if asset.decimals is None else asset.decimals
        return differs("the asset", (symbol, leaf.decimals), said) or (
            "" if asset.issuer is None else differs("the issuer", issuer, asset.issuer)
        )

    known, symbol = parse_chain(asset.chain), asset_symbol(parse_asset(asset.asset))
    return Claim(at, known, (LeafQuestion(known, asset_key(symbol)),), fault, height)


def supply_claim(at: str, chain: str, asset: str, amount: int, height: Height | None) -> Claim:
    """A ledger says how much of an asset there is, locks included."""
    if not chain.startswith(LEDGER):
        return unproven(at, chain, "the chain's state has no place that every token keeps its supply at")

    def fault(_: Question, answer: Answer, __: AsOf) -> str:
        if not isinstance(answer, LeafAnswer) or answer.value is None:
            return "the ledger has no such asset"
        return differs("the supply", value_of(decode_leaf(answer.value, AssetLeaf).supply), amount)

    known = parse_chain(chain)
    return Claim(at, known, (LeafQuestion(known, asset_key(asset_symbol(parse_asset(asset)))),), fault, height)


def hold_claim(at: str, account: str, order: int | None, until: int | None) -> Claim:
    """An order holds the account until then, or none does."""

    def fault(_: Question, answer: Answer, as_of: AsOf) -> str:
        value = answer.value if isinstance(answer, LeafAnswer) else None
        leaf = None if value is None else decode_leaf(value, HeldLeaf)
        holds = leaf is not None and leaf.holds_at(as_of.time.seconds * 1_000)
        found = (leaf.order, leaf.until) if leaf is not None and holds else (None, None)
        return differs("the hold", found, (order, until))

    whose = parse_account(account)
    return Claim(at, chain_of(whose), (LeafQuestion(chain_of(whose), held_key(raw_address(whose))),), fault)


def order_claim(
    at: str, chain: str, number: int, fault_of: Callable[[OrderLeaf, AsOf], str], height: Height | None = None
) -> Claim:
    """An order of the ledger, compared by `fault_of`."""

    def fault(_: Question, answer: Answer, as_of: AsOf) -> str:
        value = answer.value if isinstance(answer, LeafAnswer) else None
        return "there is no such order" if value is None else fault_of(decode_leaf(value, OrderLeaf), as_of)

    known = parse_chain(chain)
    return Claim(at, known, (LeafQuestion(known, sequence_key(ORDERS, number)),), fault, height)


def code_claim(at: str, contract: str, height: Height | None) -> Claim:
    """There is a contract."""
    whose = parse_account(contract)
    chain = chain_of(whose)
    if not chain.startswith(ETHEREUM):
        return unproven(at, chain, NO_PROVER)

    def fault(_: Question, answer: Answer, __: AsOf) -> str:
        code = answer.code_hash if isinstance(answer, StorageAnswer) else NO_CODE
        return f"{contract} has no code" if code in (NO_CODE, bytes(32)) else ""

    return Claim(at, chain, (StorageQuestion(chain, whose, 0),), fault, height)
