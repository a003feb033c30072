"""The register of tokens: what a token shows against what the configuration allows, and what becomes of its pairs."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from adapters.traits import TokenTrait
from core.model.errors import RejectedError, RetryableError
from core.model.types import AssetId, ChainId
from gateway import tokens
from gateway.config import PairConfig, RelayerConfig, TokenConfig, verified
from tests.gateway.test_config import ETHEREUM, LEDGER, relayer

TOKEN = f"{ETHEREUM.id}/erc20:0x" + "ab" * 20
CHAIN = msgspec.structs.replace(ETHEREUM, assets=(*ETHEREUM.assets, TOKEN))
PAIR = PairConfig(TOKEN, LEDGER.assets[0], "1/5", 10, 20)


def configured(*allow: str, asset: str = TOKEN) -> RelayerConfig:
    listed = (TokenConfig(asset, allow),) if allow else ()
    return verified(relayer(chains=(CHAIN, LEDGER), pairs=(PAIR,), limits=(), tokens=listed))


def connected(*traits: TokenTrait, error: Exception | None = None) -> Any:
    async def read(asset: AssetId, holder: object) -> frozenset[TokenTrait]:
        assert "/erc20:" in asset
        if error is not None:
            raise error
        return frozenset(traits)

    return SimpleNamespace(access=SimpleNamespace(chain=ChainId(ETHEREUM.id)), traits=read)


async def test_token_with_a_trait_is_refused_with_the_remedy() -> None:
    [shown] = await tokens.register(configured(), connected(TokenTrait.FEE, TokenTrait.PAUSABLE))
    assert shown.refused is not None
    assert "is pausable, fee: no pair with it is offered" in shown.refused
    assert f'[[tokens]] asset = "{TOKEN}", allow = ["pausable", "fee"]' in shown.refused


async def test_traits_are_allowed_one_by_one() -> None:
    both = connected(TokenTrait.PAUSABLE, TokenTrait.BLACKLIST)
    [shown] = await tokens.register(configured("pausable"), both)
    assert shown.refused is not None
    assert "is blacklist" in shown.refused
    [shown] = await tokens.register(configured("pausable", "blacklist"), both)
    assert shown.refused is None
    assert shown.traits == {TokenTrait.PAUSABLE, TokenTrait.BLACKLIST}


async def test_token_of_a_pair_that_comes_later_was_looked_at() -> None:
    """Every token that is followed is, so that a reload may trade it; one that is new to all is not offered."""
    without = verified(relayer(chains=(CHAIN, LEDGER), pairs=(), limits=()))
    looks = await tokens.look(without, connected(TokenTrait.PAUSABLE))
    assert looks[AssetId(TOKEN)] == frozenset({TokenTrait.PAUSABLE})
    [shown] = tokens.judged(configured("pausable"), looks, ChainId(ETHEREUM.id))
    assert shown.refused is None
    [shown] = tokens.judged(configured("pausable"), {}, ChainId(ETHEREUM.id))
    assert shown.refused == f"nobody has looked at {TOKEN} yet"


async def test_plain_token_is_offered() -> None:
    [shown] = await tokens.register(configured(), connected())
    assert (shown.refused, shown.traits) == (None, frozenset())


async def test_address_without_code_is_refused() -> None:
    [shown] = await tokens.register(configured(), connected(error=RejectedError("there is no contract")))
    assert shown.refused == "there is no contract"


async def test_token_that_nobody_can_read_is_waited_for() -> None:
    with pytest.raises(RetryableError):
        await tokens.register(configured(), connected(error=RetryableError("no endpoint answers")))


@pytest.mark.parametrize(
    ("allow", "asset", "says"),
    [
        (("pauseable",), TOKEN, "did you mean pausable?"),
        (("pausable", "pausable"), TOKEN, "allow"),
        (("pausable",), ETHEREUM.assets[0], "is in no pair"),
        (("pausable",), LEDGER.assets[0], "is not a token of a contract"),
        (("pausable",), "nonsense", "asset"),
    ],
)
def test_leave_that_means_nothing_is_refused(allow: tuple[str, ...], asset: str, says: str) -> None:
    with pytest.raises(RejectedError, match="tokens") as refusal:
        configured(*allow, asset=asset)
    assert says in refusal.value.message
