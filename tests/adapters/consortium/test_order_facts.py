"""Events of orders become facts, and one that no ledger of ours makes becomes none."""

from typing import Any

import msgspec
import pytest

from adapters.consortium.facts import fact_of
from core.model.consortium import LedgerEvent
from core.model.consortium_orders import AddressHeld, AddressReleased, LiftPrepared, OrderPrepared
from core.model.errors import RejectedError
from core.model.facts import OrderSigned, OrderStep
from core.model.types import AccountId, ChainId

CHAIN = ChainId("causeway:devnet-1")
HELD, OFFICER = b"h" * 20, b"o" * 20
ACCOUNT, SIGNER = AccountId(f"{CHAIN}:{HELD.hex()}"), AccountId(f"{CHAIN}:{OFFICER.hex()}")
PREPARED = OrderPrepared(3, HELD, OFFICER, "fraud", bytes(32), 99)
IN_FORCE = AddressHeld(3, HELD, OFFICER, 99, 2)
LIFTING = LiftPrepared(3, HELD, OFFICER, "explained")
LIFTED = AddressReleased(3, HELD, OFFICER)


@pytest.mark.parametrize(
    ("event", "fact"),
    [
        (PREPARED, OrderSigned(3, OrderStep.PREPARED, ACCOUNT, SIGNER, "fraud", bytes(32), 99)),
        (IN_FORCE, OrderSigned(3, OrderStep.IN_FORCE, ACCOUNT, SIGNER, expires=99, renews=2)),
        (LIFTING, OrderSigned(3, OrderStep.LIFT_PREPARED, ACCOUNT, SIGNER, "explained")),
        (LIFTED, OrderSigned(3, OrderStep.LIFTED, ACCOUNT, SIGNER)),
    ],
)
def test_each_half_is_a_fact(event: LedgerEvent, fact: OrderSigned) -> None:
    assert fact_of(CHAIN, event) == fact


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (PREPARED, {"order": 0}),
        (PREPARED, {"order": 2**63}),
        (PREPARED, {"address": b"h"}),
        (PREPARED, {"officer": b""}),
        (PREPARED, {"reason": "a\0b"}),
        (PREPARED, {"reason": "x" * 300}),
        (PREPARED, {"case": b""}),
        (PREPARED, {"expires": 0}),
        (IN_FORCE, {"expires": 10**30}),
        (IN_FORCE, {"renews": -1}),
        (IN_FORCE, {"renews": 10**30}),
        (LIFTING, {"reason": ""}),
        (LIFTED, {"order": -1}),
    ],
)
def test_half_that_no_ledger_makes_is_refused(event: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(RejectedError):
        fact_of(CHAIN, msgspec.structs.replace(event, **changes))
