"""Traits that a token shows: its code, its storage, its proxies, and a transfer that is simulated on a real node."""

import pytest

from adapters.evm.names import token_asset
from adapters.evm.token_traits import MAX_CODE_BYTES, traits_of
from adapters.traits import TokenTrait
from core.model.errors import RejectedError
from core.model.types import AccountId, AssetId
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address
from tests.adapters.evm.harness import CHAIN, EvmHarness
from tests.adapters.evm.test_payouts import call, deployed

PAUSABLE, BLACKLIST, UPGRADEABLE, FEE, REBASING = TokenTrait
ADDRESS = bytes.fromhex("00000000000000000000000000000000c0de0001")
BEHIND = bytes.fromhex("00000000000000000000000000000000c0de0002")
BEACON = bytes.fromhex("00000000000000000000000000000000c0de0003")
STOP = b"\x00"


def having(*functions: str) -> bytes:
    """Code that compares with these selectors, as a compiler's dispatcher does."""
    return b"".join(b"\x63" + keccak256(one.encode())[:4] + b"\x14" for one in functions) + STOP


def slot(name: str, less: int = 1) -> str:
    return f"0x{int.from_bytes(keccak256(name.encode()), 'big') - less:064x}"


async def put(evm: EvmHarness, address: bytes, code: bytes, slots: dict[str, bytes] | None = None) -> AssetId:
    await evm.rpc("anvil_setCode", "0x" + address.hex(), "0x" + code.hex())
    for place, word in (slots or {}).items():
        await evm.rpc("anvil_setStorageAt", "0x" + address.hex(), place, f"0x{word.hex():0>64}")
    return token_asset(CHAIN, address)


@pytest.mark.parametrize(
    ("functions", "trait"),
    [
        (
            ("pause()", "paused()", "getBlackListStatus(address)", "basisPointsRate()"),
            {PAUSABLE, BLACKLIST, FEE},
        ),  # USDT
        (("isBlacklisted(address)",), {BLACKLIST}),
        (("getPooledEthByShares(uint256)",), {REBASING}),  # stETH
        (("scaledBalanceOf(address)",), {REBASING}),  # aTokens
        (("isExcludedFromFee(address)",), {FEE}),
        (("upgradeTo(address)",), {UPGRADEABLE}),
        (("transfer(address,uint256)", "balanceOf(address)", "permit(address,address,uint256)"), set()),
    ],
)
def test_functions_show_traits(functions: tuple[str, ...], trait: set[TokenTrait]) -> None:
    assert traits_of(having(*functions)) == trait


def test_selector_in_a_table_is_found() -> None:
    """Vyper keeps selectors in data, behind the code, packed."""
    assert traits_of(STOP + b"\x11\x22" + keccak256(b"paused()")[:4] + b"\x33") == {PAUSABLE}


@pytest.mark.parametrize(
    ("code", "delegates"),
    [
        (b"\x60\x01\xf4", True),
        (b"\x60\xf4\x00", False),  # pushed
        (b"\x7f" + b"\xf4" * 32 + b"\x00", False),
        (b"\x7f\xf4", False),  # pushed beyond the end
        (b"\x00" + b"\xa1\xf4" + b"\x00\x02", False),  # in the compiler's own data
        (b"\x60\x01\xf2", True),
        (b"", False),
    ],
)
def test_delegating_instruction_is_told_from_data(code: bytes, delegates: bool) -> None:
    assert (UPGRADEABLE in traits_of(code)) == delegates


async def test_plain_token_shows_nothing(evm: EvmHarness) -> None:
    [token] = evm.contracts.tokens
    holder = await evm.account()
    asset = token_asset(CHAIN, evm_address(token))
    assert await evm.chain.traits(asset, holder.account) == frozenset()
    assert await evm.chain.traits(evm.assets[0]) == frozenset()


async def test_address_without_code_is_no_token(evm: EvmHarness) -> None:
    with pytest.raises(RejectedError, match="no contract"):
        await evm.chain.traits(token_asset(CHAIN, bytes.fromhex("11" * 20)))


@pytest.mark.parametrize(
    "slots",
    [
        {slot("eip1967.proxy.implementation"): BEHIND},
        {slot("PROXIABLE", 0): BEHIND},
        {slot("org.zeppelinos.proxy.implementation", 0): BEHIND},
    ],
    ids=["eip1967", "eip1822", "zos"],
)
async def test_proxy_shows_what_its_implementation_does(evm: EvmHarness, slots: dict[str, bytes]) -> None:
    await put(evm, BEHIND, having("isBlacklisted(address)", "paused()"))
    asset = await put(evm, ADDRESS, STOP, slots)
    assert await evm.chain.traits(asset) == {UPGRADEABLE, BLACKLIST, PAUSABLE}


async def test_beacon_leads_to_the_implementation(evm: EvmHarness) -> None:
    address, behind, beacon = (bytes([number]) * 20 for number in (0x51, 0x52, 0x53))
    await put(evm, behind, having("rebase(uint256,int256)"))
    # PUSH20 implementation PUSH0 MSTORE PUSH1 32 PUSH0 RETURN, whatever is asked
    await put(evm, beacon, b"\x73" + behind + bytes.fromhex("5f5260205ff3"))
    asset = await put(evm, address, STOP, {slot("eip1967.proxy.beacon"): beacon})
    assert await evm.chain.traits(asset) == {UPGRADEABLE, REBASING}


async def test_minimal_proxy_is_its_target_and_fixed(evm: EvmHarness) -> None:
    minimal, target = bytes([0x61]) * 20, bytes([0x62]) * 20
    await put(evm, target, having("paused()"))
    code = bytes.fromhex("363d3d373d3d3d363d73") + target + bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
    assert await evm.chain.traits(await put(evm, minimal, code)) == {PAUSABLE}


async def test_proxies_in_a_circle_end(evm: EvmHarness) -> None:
    one, two = bytes([0x71]) * 20, bytes([0x72]) * 20
    await put(evm, two, STOP, {slot("eip1967.proxy.implementation"): one})
    asset = await put(evm, one, STOP, {slot("eip1967.proxy.implementation"): two})
    assert await evm.chain.traits(asset) == {UPGRADEABLE}


async def test_fee_is_seen_in_a_simulated_transfer(evm: EvmHarness) -> None:
    token: AccountId = await deployed(evm, "testing/FeeToken")
    holder = await evm.account()
    asset = token_asset(CHAIN, evm_address(token))
    assert FEE not in await evm.chain.traits(asset, holder.account)  # it holds none of it
    await call(evm, token, "mint(address,uint256)", "0x" + evm_address(holder.account).hex(), 1_000)
    assert FEE in await evm.chain.traits(asset, holder.account)


def test_code_of_any_length_is_bounded() -> None:
    assert traits_of(bytes(MAX_CODE_BYTES)) == set()
