"""Orders on their way to the ledger, as files: what an officer is asked to sign, and what has been signed.

A draft is one officer's half of an order, or of its lift, as a transaction without its signature. Whoever prepares it,
such as the supervision API, holds no key; the officer's own machine signs it, and anybody may submit it. Pure.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from core.model.consortium import (
    Transaction,
    TransactionBody,
    address,
    caip_account,
    decode_transaction,
    raw_address,
    sign_bytes,
)
from core.model.consortium_orders import (
    CASE_BYTES,
    ApproveLift,
    ApproveOrder,
    OrderMessage,
    OrderTerms,
    PrepareLift,
    PrepareOrder,
    reason_fault,
)
from core.model.errors import RejectedError
from core.model.identifiers import parse_account, parse_chain
from core.model.types import MAX_IDENTIFIER_CHARS, MAX_TIMELOCK_S, AccountId, ChainId, chain_of
from core.runtime.clock import show_time

FORMAT: Final = "causeway-order/1"
MAX_FILE_BYTES: Final = 16 * 1024
MAX_COUNT: Final = 2**63 - 1
VALID_BLOCKS: Final = 300_000
"""Blocks in which a signed half may be submitted: a day of the quickest chains, three days at a second a block."""
StepName = Literal["prepare", "approve", "prepare-lift", "approve-lift"]

Identifier = Annotated[str, msgspec.Meta(max_length=MAX_IDENTIFIER_CHARS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class OrderDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A half of an order as JSON. `case` (64 hex digits) and `expires` (Unix seconds) are parts of an order, not of a
    lift; `order` is the number that every half but the first names. `transaction` is the signed half in hex."""

    format: Literal["causeway-order/1"] = FORMAT
    chain: Identifier
    step: StepName
    officer: Identifier
    sequence: Count
    expiry_height: Count
    account: Identifier
    reason: Annotated[str, msgspec.Meta(max_length=1_024)]
    order: Count | None = None
    case: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    expires: Annotated[int, msgspec.Meta(ge=1, le=MAX_TIMELOCK_S)] | None = None
    transaction: Annotated[str, msgspec.Meta(max_length=MAX_FILE_BYTES)] | None = None


@dataclass(frozen=True, slots=True)
class Half:
    """The part that one officer signs: a message, by the account's `sequence`, in a block up to `expiry_height`."""

    officer: AccountId
    sequence: int
    expiry_height: int
    message: OrderMessage

    @property
    def chain(self) -> ChainId:
        return chain_of(self.officer)

    def body(self, public_key: bytes) -> TransactionBody:
        """The transaction to sign. Raise `RejectedError` for another account's public key."""
        if caip_account(self.chain, address(public_key)) != self.officer:
            raise RejectedError(f"this key is {address(public_key).hex()}'s: the draft is for {self.officer}")
        reference = self.chain.partition(":")[2]
        return TransactionBody(reference, public_key, self.sequence, self.expiry_height, (self.message,))


def to_draft(half: Half, transaction: bytes | None = None) -> OrderDraft:
    """The file of a half, signed or not."""
    message = half.message
    terms: OrderTerms | None
    match message:
        case PrepareOrder() | ApproveOrder():
            terms = message.terms
            raw, reason = terms.address, terms.reason
        case _:
            terms, raw, reason = None, message.address, message.reason
    return OrderDraft(
        chain=half.chain,
        step=_STEPS[type(message)],
        officer=half.officer,
        sequence=half.sequence,
        expiry_height=half.expiry_height,
        account=caip_account(half.chain, raw),
        reason=reason,
        order=None if isinstance(message, PrepareOrder) else message.order,
        case=None if terms is None else terms.case.hex(),
        expires=None if terms is None else terms.expires,
        transaction=None if transaction is None else transaction.hex(),
    )


def half_of(draft: OrderDraft) -> Half:
    """The half that a file asks to sign. Raise `RejectedError` with what is wrong in it."""
    chain = parse_chain(draft.chain)
    officer, account = _account(chain, draft.officer, "officer"), _account(chain, draft.account, "account")
    fault = reason_fault(draft.reason)
    if fault:
        raise RejectedError(f"the draft's reason cannot stand on the ledger: {fault}")
    return Half(officer, draft.sequence, draft.expiry_height, _message(draft, raw_address(account)))


def signed_half(draft: OrderDraft) -> tuple[Half, bytes]:
    """A half and its signed transaction. Raise `RejectedError` if it is not signed, or if the bytes are another's."""
    half = half_of(draft)
    if draft.transaction is None:
        raise RejectedError("the draft is not signed yet: `causeway supervise hold sign FILE --key …`")
    try:
        raw = bytes.fromhex(draft.transaction)
    except ValueError:
        raise RejectedError("the draft's transaction is not in hex") from None
    transaction = decode_transaction(raw)
    if transaction.body != half.body(transaction.body.public_key):
        raise RejectedError("the signed transaction is not what the draft says: have it prepared and signed again")
    _check_signature(transaction)
    return half, raw


def decode_draft(raw: bytes) -> OrderDraft:
    """Parse a file. Raise `RejectedError`."""
    if len(raw) > MAX_FILE_BYTES:
        raise RejectedError(f"a draft of an order has at most {MAX_FILE_BYTES} bytes, this file has more")
    try:
        return msgspec.json.decode(raw, type=OrderDraft)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"the file is not the draft of an order: {error}") from None


def encode_draft(draft: OrderDraft) -> bytes:
    """The file's bytes: JSON with a line for each member, those that do not apply left out."""
    members = {name: value for name, value in msgspec.to_builtins(draft).items() if value is not None}
    return msgspec.json.format(msgspec.json.encode(members), indent=2) + b"\n"


def in_words(half: Half) -> list[tuple[str, str]]:
    """The half as its officer reads it, line by line: (name, value)."""
    message = half.message
    match message:
        case PrepareOrder() | ApproveOrder():
            terms = message.terms
            what = "prepare an order" if isinstance(message, PrepareOrder) else f"put order {message.order} in force"
            raw, reason = terms.address, terms.reason
            rest = [("held until", show_time(terms.expires)), ("case (SHA-256)", terms.case.hex())]
        case _:
            what = f"{'prepare' if isinstance(message, PrepareLift) else 'approve'} the end of order {message.order}"
            raw, reason, rest = message.address, message.reason, []
    valid = f"as number {half.sequence} of the account, up to block {half.expiry_height:,}"
    lines = [("you sign to", what), ("address", caip_account(half.chain, raw)), ("reason", reason), *rest]
    return [*lines, ("officer", half.officer), ("valid", valid)]


_STEPS: Final[dict[type[OrderMessage], StepName]] = {
    PrepareOrder: "prepare",
    ApproveOrder: "approve",
    PrepareLift: "prepare-lift",
    ApproveLift: "approve-lift",
}


def _message(draft: OrderDraft, raw: bytes) -> OrderMessage:
    is_order = draft.step in ("prepare", "approve")
    if is_order is (draft.case is None) or is_order is (draft.expires is None):
        has = "a case and an expiry" if is_order else "neither case nor expiry"
        raise RejectedError(f"a draft of the step {draft.step} has {has}")
    if (draft.step == "prepare") is (draft.order is not None):
        has = "an order's number" if draft.order is None else "no order's number yet"
        raise RejectedError(f"a draft of the step {draft.step} has {has}")
    number = draft.order or 0
    if draft.step == "prepare-lift":
        return PrepareLift(number, raw, draft.reason)
    if draft.step == "approve-lift":
        return ApproveLift(number, raw, draft.reason)
    terms = OrderTerms(raw, draft.reason, _case(draft.case or ""), draft.expires or 0)
    return PrepareOrder(terms) if draft.step == "prepare" else ApproveOrder(number, terms)


def _case(text: str) -> bytes:
    try:
        case = bytes.fromhex(text)
    except ValueError:
        case = b""
    if len(case) != CASE_BYTES or len(text) != 2 * CASE_BYTES:
        raise RejectedError("a case is named by the SHA-256 of its id, 64 hex digits")
    return case


def _account(chain: ChainId, text: str, what: str) -> AccountId:
    account = parse_account(text)
    if chain_of(account) != chain:
        raise RejectedError(f"the {what} {account} is not an account of {chain}")
    return account


def _check_signature(transaction: Transaction) -> None:
    try:
        VerifyKey(transaction.body.public_key).verify(sign_bytes(transaction.body), transaction.signature)
    except (BadSignatureError, ValueError):
        raise RejectedError("the signature does not fit the transaction: have it signed again") from None
