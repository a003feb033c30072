"""Claims of answers about Ethereum: what shows a transfer, a lock, a contract, and what does not."""

from dataclasses import replace
from typing import Any

import pytest

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
)
from core.model.types import AccountId, BlockRef, ChainId, ChainTime, Height, Preimage
from regulator_api import bodies
from regulator_api.proofs import answers
from regulator_api.proofs.claims import NO_CODE, NO_LOG, TRANSFER_TOPIC, Claim, Where, code_claim, lock_claim
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
