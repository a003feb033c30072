"""One quorum: more than half of the configured operators, each with one voice."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import quorum
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.rpc import RpcClient
from core.model.errors import DisagreementError, RetryableError

SILENT = RetryableError("no answer")
operators = st.sampled_from("abcde")
pools = st.lists(operators, min_size=1, max_size=8)


@given(pools, st.data())
def test_a_winner_has_most_operators_whole(pool: list[str], data: st.DataObject) -> None:
    answers = [data.draw(st.sampled_from((1, 2, SILENT))) for _ in pool]
    said = list(zip(pool, answers, strict=True))
    voices = [{answer for name, answer in said if name == one and answer is not SILENT} for one in set(pool)]
    votes = Counter(next(iter(voice)) for voice in voices if len(voice) == 1)
    found = quorum.winners(said, Counter(pool))
    assert found == [answer for answer, count in votes.items() if 2 * count > len(set(pool))]
    assert len(found) <= 1


@given(pools, st.data())
def test_a_number_is_reached_by_most_operators(pool: list[str], data: st.DataObject) -> None:
    said = [(name, data.draw(st.integers(0, 9))) for name in pool if data.draw(st.booleans())]
    number = quorum.reached(said, Counter(pool))
    least = {name: min(n for other, n in said if other == name) for name, _ in said}
    if 2 * len(least) <= len(set(pool)):
        assert number is None
    else:
        assert number is not None
        assert 2 * sum(n >= number for n in least.values()) > len(set(pool))
        assert 2 * sum(n > number for n in least.values()) <= len(set(pool))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([("a", 1), ("a", 2), ("b", 1)], []),  # a contradicts itself, b is one of two
        ([("a", 1), ("b", 1)], []),  # a's second endpoint was not heard yet
        ([("a", 1), ("a", SILENT), ("b", 1)], [1]),
        ([("a", 1), ("a", 1), ("b", 2)], []),
    ],
)
def test_an_operator_with_two_endpoints_has_one_voice(said: list[tuple[str, Any]], expected: list[int]) -> None:
    assert quorum.winners(said, Counter({"a": 2, "b": 1})) == expected


async def test_an_ethereum_pool_has_the_same_rule() -> None:
    pool = Endpoints([Endpoint("http://one", "a"), Endpoint("http://two", "a"), Endpoint("http://three", "b")])
    answers = dict(zip(pool.clients, (1, 2, 1), strict=True))

    async def ask(client: RpcClient) -> int:
        return answers[client]

    with pytest.raises(DisagreementError):
        await pool.agreed(ask)
    assert await pool.at_least(ask) == 1
    answers[pool.clients[1]] = 1
    assert await pool.agreed(ask) == 1
    await pool.close()
