"""A block's effect as it is stored."""

import pytest

from core.model.consortium import AssetMoved, LockCreated, RecordStored, ResultCode
from core.model.types import MAX_BASE_UNITS
from local_chains.consortium.engine.rendering import encode_outcome, outcome_of
from local_chains.consortium.ledger.execution import BlockResult, Result
from local_chains.consortium.state.store import StoredBlock


@pytest.mark.parametrize("amount", [0, 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**255, MAX_BASE_UNITS])
def test_results_with_any_amount_are_stored_and_shown(amount: int) -> None:
    events = (
        AssetMoved("cnyd", b"\1" * 20, b"", amount),
        # A name of digits stays a name, and bytes stay bytes.
        RecordStored("123", "456", 7, b"12345678901234567890", b"9" * 32),
        LockCreated("123", amount, b"\1" * 20, b"2" * 20, b"3" * 32, 1_700_000_000),
    )
    results = (Result(ResultCode.OK, "", events, 1_234), Result(ResultCode.BAD_AMOUNT, "bad-amount: 5", (), 5))
    outcome = BlockResult(results, {}, {})
    stored = StoredBlock(1, b"", 0, b"", b"", b"", encode_outcome(outcome), b"", b"")
    found = outcome_of(stored)
    assert found.results == results
    assert all(type(event.amount) is int for event in found.results[0].events if isinstance(event, AssetMoved))
