"""Gas limits that grow, and what a transaction may take, on anvil."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.conformance.harness import claim, lock
from adapters.evm.calls import body_of, encode_call, unsigned_call
from adapters.evm.limits import MOST_GAS, MOST_TIMES, cost, fitted
from adapters.evm.names import account, evm_chain, native_asset, token_asset
from core.model.errors import RetryableError
from core.model.transactions import FeeBid
from core.model.types import AssetId
from tests.adapters.evm.harness import EvmHarness

CHAIN = evm_chain(31337)
SENDER = account(CHAIN, bytes(20))


class Estimator:
    """An endpoint that answers every estimate with the same number, or not at all."""

    def __init__(self, gas: int | None) -> None:
        self.gas = gas
        self.asked = 0

    async def call(self, *_: object, **__: object) -> str:
        self.asked += 1
        if self.gas is None:
            raise RetryableError("silent")
        return hex(self.gas)


@pytest.mark.parametrize(
    ("estimate", "tries", "expected"),
    [
        (50_000, 0, 100_000),
        (200_000, 0, 260_000),
        (200_000, 1, 390_000),
        (None, 0, 100_000),
        (None, 2, 225_000),
        (2**60, 0, 100_000 * MOST_TIMES),
        (None, 10**9, 100_000 * MOST_TIMES),
    ],
)
async def test_a_limit_follows_the_estimate_within_bounds(estimate: int | None, tries: int, expected: int) -> None:
    public = unsigned_call(SENDER, bytes(20), b"", gas=100_000, summary="x")
    assert int(body_of(await fitted(Estimator(estimate), public, tries)).gas, 16) == expected


async def test_what_reveals_is_never_shown_for_an_estimate() -> None:
    endpoint = Estimator(10**6)
    hidden = unsigned_call(SENDER, bytes(20), b"", gas=100_000, summary="x", reveals=True)
    larger = await fitted(endpoint, hidden, 1)
    assert (endpoint.asked, int(body_of(larger).gas, 16), larger.reveals) == (0, 150_000, True)


async def test_a_claim_on_anvil_grows_with_its_tries(evm: EvmHarness) -> None:
    leg = await lock(evm)
    public = replace(claim(evm, leg, leg.receiver), reveals=False)
    limits = [int(body_of(await evm.access.transactions.fitted(public, tries)).gas, 16) for tries in range(3)]
    assert limits[0] == int(body_of(public).gas, 16) < limits[1] < limits[2] <= MOST_GAS


def test_the_cost_of_a_batch_of_token_locks_is_its_sum() -> None:
    items = [(bytes(32), 1, 5), (bytes(32), 2, 7)]
    data = encode_call("HashedTimelock", "bulkLock", True, items, 1 << 160 | 9)
    token = token_asset(CHAIN, bytes(19) + b"\x09")

    def counted(data: bytes) -> dict[AssetId, int]:
        return dict(cost(CHAIN, body_of(unsigned_call(SENDER, bytes(20), data, gas=0, summary="x")), None))

    assert counted(data) == {token: 12}
    assert counted(encode_call("HashedTimelock", "bulkLock", True, items, 0)) == {}
    for cut in range(len(data)):
        assert counted(data[:cut]) == {}, cut


@given(st.binary(max_size=200), st.integers(0, 2**128), st.integers(0, 10**7), st.integers(0, 10**12))
def test_the_cost_of_any_call_is_its_value_and_its_gas(data: bytes, value: int, gas: int, price: int) -> None:
    call = body_of(unsigned_call(SENDER, bytes(20), data, gas=gas, value=value, summary="x"))
    whole = value + gas * price
    assert cost(CHAIN, call, FeeBid(price, 0)) == ({native_asset(CHAIN): whole} if whole else {})
