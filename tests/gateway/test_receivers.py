"""Whom an operator pays by `causeway relayer send`: an account on the asset's chain, and somebody's."""

import pytest

from core.model.errors import RejectedError
from core.model.identifiers import parse_asset
from core.model.types import AccountId, Asset, ChainId
from gateway.treasury import Account, Seen, of_chain, parse_receiver
from relayer.treasury.teller import Purse
from tests.gateway.test_config import ETHEREUM, LEDGER, relayer

ADDRESS = f"0x{'1f' * 20}"
EVM, CONSORTIUM = ChainId(ETHEREUM.id), ChainId(LEDGER.id)


@pytest.mark.parametrize(("chain", "address"), [(EVM, ADDRESS), (CONSORTIUM, "1f" * 20)])
def test_receiver_is_an_address_or_an_account(chain: ChainId, address: str) -> None:
    assert parse_receiver(address, chain) == parse_receiver(f"{chain}:{address}", chain) == f"{chain}:{address}"


@pytest.mark.parametrize(
    ("chain", "text", "said"),
    [
        (EVM, f"0x{'0' * 40}", "is nobody's account"),
        (EVM, f"{EVM}:0x{'0' * 40}", "is nobody's account"),
        (CONSORTIUM, "0" * 40, "is nobody's account"),
        (EVM, f"eip155:1:{ADDRESS}", f"is not an account on {EVM}"),
        (EVM, f"{CONSORTIUM}:{'1f' * 20}", "is not"),
        (EVM, "0x12", "has 2 digits"),
    ],
)
def test_receiver_that_nobody_can_be_paid_at_is_refused(chain: ChainId, text: str, said: str) -> None:
    with pytest.raises(RejectedError, match=said):
        parse_receiver(text, chain)


def test_chain_that_is_not_configured_is_named() -> None:
    assert of_chain(relayer(), None) is None
    assert of_chain(relayer(), EVM) == EVM
    with pytest.raises(RejectedError, match=f"eip155:1 is not a configured chain: did you mean {EVM}"):
        of_chain(relayer(), "eip155:1")


def test_asset_is_one_while_an_account_of_its_chain_retires() -> None:
    """Both accounts may hold it: a withdrawal during a rotation has to find it."""
    ether, purse = Asset(parse_asset(ETHEREUM.assets[0]), "ETH", 18), Purse({}, {})
    present, former = (AccountId(f"{EVM}:0x{digit * 40}") for digit in "12")
    seen = Seen((Account(present, (ether,), purse), Account(former, (ether,), purse, retiring=True)), ())
    assert seen.asset("eth") == seen.asset(ether.id) == ether
    assert seen.present(EVM).account == present
