"""Claims of answers about Ethereum: what shows a transfer, a lock, a contract, and what does not."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from core.model.consortium import (
    Burn,
    Issue,
    Message,
    Transaction,
    TransactionBody,
    WriteRecord,
    address,
    caip_account,
    encode_transaction,
    quantity,
    raw_address,
)
from core.model.consortium import Transfer as Payment
from core.model.consortium_orders import ApproveLift, ApproveOrder, OrderTerms, PrepareLift, PrepareOrder
from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.questions import (
    AsOf,
    EventLog,
    LockAnswer,
    LockQuestion,
    LogAnswer,
    LogQuestion,
    StorageAnswer,
    StorageQuestion,
    TransactionAnswer,
)
from core.model.types import AccountId, BlockRef, ChainId, ChainTime, Height, Preimage
from regulator_api import bodies
from regulator_api.proofs import answers
from regulator_api.proofs.claims import (
    NO_CODE,
    NO_LOG,
    TRANSFER_TOPIC,
    Claim,
    Where,
    code_claim,
    lock_claim,
    signed_claim,
    written_claim,
)
from regulator_api.proofs.claims import transfer_claim as claim_of

CHAIN = ChainId("eip155:1")
TOKEN, ANN, BEN, HTLC = (f"0x{digit * 40}" for digit in "abcd")
AMOUNT = bodies.AmountView(asset=f"{CHAIN}/erc20:{TOKEN}", base_units="500", decimals=6, symbol="TUSD")
TX = "0x" + "12" * 32
AS_OF = AsOf(BlockRef(CHAIN, Height(7), b"\x07" * 32), ChainTime(CHAIN, 1_700_000_000), "attested")
PLACED = Where(TX, 7, "0x" + "07" * 32)
PREIMAGE = Preimage(b"\x05" * 32)


def word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


LOG = EventLog(AccountId(f"{CHAIN}:{TOKEN}"), (TRANSFER_TOPIC, word(ANN), word(BEN)), (500).to_bytes(32, "big"))


def transfer(**changes: Any) -> Claim:
    said = {"sender": f"{CHAIN}:{ANN}", "receiver": f"{CHAIN}:{BEN}", "amount": AMOUNT, "placed": PLACED, **changes}
    return claim_of("/items/0", CHAIN, said["amount"], said["sender"], said["receiver"], said["placed"])


def fault(claim: Claim, log: EventLog | None = LOG, succeeded: bool = True, index: int = 3) -> str:
    question = LogQuestion(CHAIN, bytes.fromhex(TX[2:]), index)
    return answers.holds(claim, question, LogAnswer(succeeded, 4, log), AS_OF)


def test_log_at_any_place_shows_its_transfer() -> None:
    assert fault(transfer()) == ""
    minted = replace(LOG, topics=(TRANSFER_TOPIC, bytes(32), word(BEN)))
    assert fault(transfer(sender=None), minted) == ""


@pytest.mark.parametrize(
    ("claim", "log", "succeeded"),
    [
        (transfer(), None, True),
        (transfer(), LOG, False),
        (transfer(), replace(LOG, contract=AccountId(f"{CHAIN}:{HTLC}")), True),
        (transfer(), replace(LOG, topics=(bytes(32), *LOG.topics[1:])), True),
        (transfer(), replace(LOG, data=(501).to_bytes(32, "big")), True),
        (transfer(receiver=f"{CHAIN}:{ANN}"), LOG, True),
        (transfer(sender=None), LOG, True),
        (transfer(placed=Where(TX, 8, PLACED.block_hash)), LOG, True),
        (transfer(placed=Where(TX, 7, "0x" + "08" * 32)), LOG, True),
        (transfer(placed=Where("0x" + "13" * 32, 7, PLACED.block_hash)), LOG, True),
    ],
    ids=["none", "reverted", "contract", "topic", "amount", "receiver", "issue", "height", "block", "transaction"],
)
def test_another_log_does_not_show_a_transfer(claim: Claim, log: EventLog | None, succeeded: bool) -> None:
    assert fault(claim, log, succeeded)


def test_native_payment_has_no_proof_and_says_so() -> None:
    claim = transfer(amount=bodies.AmountView(asset=f"{CHAIN}/slip44:60", base_units="5", decimals=18, symbol="ETH"))
    assert (claim.questions, claim.reason) == ((), NO_LOG)


LEDGER = ChainId("causeway:test-1")
KEY = b"\x09" * 32
SIGNER, OTHER = (caip_account(LEDGER, raw) for raw in (address(KEY), b"\x0b" * 20))
LEDGER_AS_OF = replace(AS_OF, block=replace(AS_OF.block, chain=LEDGER))


def ledger_fault(claim: Claim, *messages: Message, code: int = 0) -> str:
    body = TransactionBody("test-1", KEY, 1, 9, messages)
    raw = encode_transaction(Transaction(body, bytes(64)))
    [asked] = claim.questions
    return answers.holds(claim, asked, TransactionAnswer(code, raw), LEDGER_AS_OF)


def ledger_transfer(sender: str | None, receiver: str | None, amount: int = 500, placed: Where = PLACED) -> Claim:
    said = bodies.AmountView(asset=f"{LEDGER}/asset:cnyd", base_units=str(amount), decimals=2, symbol="CNYD")
    placed = replace(placed, block_hash=placed.block_hash.removeprefix("0x"))
    return claim_of("/items/0", LEDGER, said, sender, receiver, placed)


def test_message_that_moves_value_shows_a_transfer() -> None:
    raw, amount = raw_address(OTHER), quantity(500)
    moves: list[tuple[Message, str | None, str | None]] = [
        (Payment("cnyd", raw, amount), SIGNER, OTHER),
        (Issue("cnyd", raw, amount), None, OTHER),
        (Burn("cnyd", amount), SIGNER, None),
    ]
    noise: list[Message] = [Payment("grain", raw, amount), WriteRecord("notes", "one", b"{}")]
    for message, sender, receiver in moves:
        claim = ledger_transfer(sender, receiver)
        assert ledger_fault(claim, *noise, message) == ""
        assert ledger_fault(claim, *noise)
        assert ledger_fault(claim, message, code=5)
        assert ledger_fault(ledger_transfer(sender, receiver, 501), message)
        assert ledger_fault(ledger_transfer(receiver, sender), message)
        assert ledger_fault(ledger_transfer(sender, receiver, placed=replace(PLACED, height=8)), message)
        assert ledger_fault(ledger_transfer(sender, receiver, placed=replace(PLACED, block_hash="08" * 32)), message)


def test_message_that_writes_a_record_shows_who_wrote_what() -> None:
    record, digest = (str(LEDGER), "notes", "one"), hashlib.sha256(b"{}").hexdigest()
    placed = replace(PLACED, block_hash="07" * 32)
    claim = written_claim("/items/0/placed", record, SIGNER, digest, placed)
    assert ledger_fault(claim, WriteRecord("notes", "one", b"{}")) == ""
    for message in (WriteRecord("notes", "two", b"{}"), WriteRecord("notes", "one", b"[]"), Burn("cnyd", b"\x01")):
        assert ledger_fault(claim, message)
    assert ledger_fault(
        written_claim("/items/0/placed", record, OTHER, digest, placed), WriteRecord("notes", "one", b"{}")
    )


def test_message_of_an_officer_shows_their_half_alone() -> None:
    placed, held = replace(PLACED, block_hash="07" * 32), raw_address(OTHER)
    terms = OrderTerms(held, "fraud", bytes(32), 99)
    halves: dict[str, Message] = {
        "prepared": PrepareOrder(terms),
        "in-force": ApproveOrder(4, terms),
        "lift-prepared": PrepareLift(4, held, "over"),
        "lifted": ApproveLift(4, held, "over"),
    }
    for step in halves:
        claim = signed_claim("/items/0/placed", OTHER, 4, step, SIGNER, placed)
        for other, message in halves.items():
            assert (ledger_fault(claim, message) == "") is (other == step), (step, other)
        assert ledger_fault(signed_claim("/items/0/placed", OTHER, 4, step, OTHER, placed), halves[step])
        assert ledger_fault(signed_claim("/items/0/placed", SIGNER, 4, step, SIGNER, placed), halves[step])
        other_order = ledger_fault(signed_claim("/items/0/placed", OTHER, 5, step, SIGNER, placed), halves[step])
        assert (other_order == "") is (step == "prepared")


def test_bytes_that_nobody_can_read_show_nothing() -> None:
    claim = ledger_transfer(SIGNER, OTHER)
    [asked] = claim.questions
    with pytest.raises(RejectedError):
        answers.holds(claim, asked, TransactionAnswer(0, b"nonsense"), LEDGER_AS_OF)


def test_lock_is_shown_whatever_contract_keeps_it() -> None:
    lock = bodies.LockView(
        lock_id=f"{ANN}/1/1",
        terms=bodies.TermsView(
            chain=CHAIN, amount=AMOUNT, sender=f"{CHAIN}:{ANN}", receiver=f"{CHAIN}:{BEN}", timelock_s=1_800_000_000
        ),
        status="locked",
        locked=bodies.PlacedView(tx_hash=TX, block=bodies.BlockView(height=7, hash=TX, time_s=1), final=True),
        settled=None,
        preimage=None,
    )
    claim = lock_claim("/swap", lock, PREIMAGE.hashlock().hex(), Height(7))
    [asked] = claim.questions
    assert isinstance(asked, LockQuestion)
    kept = replace(asked, holder=AccountId(f"{CHAIN}:{HTLC}"))
    for status, terms_match, holds in (("locked", True, True), ("claimed", True, False), ("locked", False, False)):
        answer = LockAnswer(LockStatus(status), terms_match, bytes(32))
        assert (answers.holds(claim, kept, answer, AS_OF) == "") is holds
    other = replace(kept, terms=replace(kept.terms, receiver=kept.terms.sender))
    assert answers.holds(claim, other, LockAnswer(LockStatus.LOCKED, True, bytes(32)), AS_OF)


def test_address_without_code_is_no_contract() -> None:
    claim = code_claim("/items/0/contract", f"{CHAIN}:{HTLC}", Height(7))
    question = StorageQuestion(CHAIN, AccountId(f"{CHAIN}:{HTLC}"), 0)
    assert answers.holds(claim, question, StorageAnswer(0, b"\x01" * 32), AS_OF) == ""
    assert answers.holds(claim, question, StorageAnswer(0, NO_CODE), AS_OF)
