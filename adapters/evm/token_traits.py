"""Traits of an ERC-20 token that its code, its storage and a simulated transfer show.

    proxy slots, implementation()    EIP-1967 (also its beacon), EIP-1822, ZeppelinOS, EIP-897; any DELEGATECALL in the
                                     code but that of a minimal proxy (EIP-1167), whose target is fixed
    selectors in the code            functions by which well-known tokens pause, list accounts, take fees and rebase,
                                     in the token's own code and in that of its implementation
    eth_simulateV1                   a transfer of all that `holder` has: less may arrive

What this cannot show: a rule under a name that nobody knows, a fee or list that only some accounts meet, and what an
upgrade will bring. A trait that is shown may never be used. It is a reason to ask, not a verdict.
"""

from typing import Any, Final

from adapters.evm.endpoints import Endpoints
from adapters.evm.limits import TRANSFER
from adapters.evm.names import hex_address
from adapters.evm.rpc import Call, RpcClient, data_bytes
from adapters.evm.state import BALANCE_OF
from adapters.traits import TokenTrait
from core.model.errors import CausewayError, RejectedError, RetryableError, UnclearRefusalError
from core.proofs.keccak import keccak256

MAX_CODES: Final = 4
"""Contracts that are looked into for one token: itself, and proxies behind proxies."""
MAX_CODE_BYTES: Final = 64 * 1024
_DELEGATECALL: Final = frozenset({0xF4, 0xF2})
"""DELEGATECALL and CALLCODE."""
_PUSH1, _PUSH32 = 0x60, 0x7F
_MINIMAL_HEAD: Final = bytes.fromhex("363d3d373d3d3d363d73")
_MINIMAL_TAIL: Final = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
"""A minimal proxy (EIP-1167) is these around the address of its target."""


def _slot(name: str, less: int) -> str:
    return f"0x{int.from_bytes(keccak256(name.encode()), 'big') - less:064x}"


_IMPLEMENTATION_SLOTS: Final = (
    _slot("eip1967.proxy.implementation", 1),
    _slot("PROXIABLE", 0),  # EIP-1822
    _slot("org.zeppelinos.proxy.implementation", 0),
)
_BEACON_SLOT: Final = _slot("eip1967.proxy.beacon", 1)
_IMPLEMENTATION: Final = "0x5c60da1b"
"""Selector of `implementation()`: of beacons (EIP-1967) and of proxies by EIP-897."""

_FUNCTIONS: Final = {
    TokenTrait.PAUSABLE: (
        "paused()",
        "pause()",
        "unpause()",
        "isPaused()",
        "setPaused(bool)",
        "stopped()",
        "stop()",
        "transfersEnabled()",
        "enableTransfers(bool)",
        "mintingAndTransfersPaused()",
        "tradingActive()",
        "tradingEnabled()",
    ),
    TokenTrait.BLACKLIST: (
        "isBlacklisted(address)",
        "isBlackListed(address)",
        "blacklisted(address)",
        "blacklist(address)",
        "blackList(address)",
        "unBlacklist(address)",
        "blacklister()",
        "addBlackList(address)",
        "removeBlackList(address)",
        "getBlackListStatus(address)",
        "addToBlacklist(address)",
        "setBlacklist(address,bool)",
        "isBlocked(address)",
        "blocked(address)",
        "blockUser(address)",
        "blockList(address)",
        "isBlocklisted(address)",
        "isFrozen(address)",
        "frozen(address)",
        "freeze(address)",
        "freezeAccount(address,bool)",
        "frozenAccount(address)",
        "wipeFrozenAddress(address)",
        "setAddressFrozen(address,bool)",
        "denied(address)",
        "deniedAddresses(address)",
        "isSanctioned(address)",
        "isDenylisted(address)",
        "destroyBlackFunds(address)",
        "setFrozen(address,bool)",
        "accountsFrozen(address)",
    ),
    TokenTrait.FEE: (
        "basisPointsRate()",
        "setParams(uint256,uint256)",
        "transferFee()",
        "feeRate()",
        "transferFeeRate()",
        "setTransferFee(uint256)",
        "setFeeRate(uint256)",
        "getFeeFor(uint256)",
        "taxFee()",
        "_taxFee()",
        "totalFees()",
        "liquidityFee()",
        "_liquidityFee()",
        "isExcludedFromFee(address)",
        "isExcludedFromFees(address)",
        "excludeFromFee(address)",
        "excludeFromFees(address,bool)",
        "setTaxFeePercent(uint256)",
        "buyTax()",
        "sellTax()",
        "buyTotalFees()",
        "sellTotalFees()",
        "burnRate()",
    ),
    TokenTrait.REBASING: (
        "rebase(uint256,int256)",
        "rebase(uint256)",
        "rebase()",
        "gonsForBalance(uint256)",
        "scaledBalanceOf(address)",
        "scaledTotalSupply()",
        "sharesOf(address)",
        "getTotalShares()",
        "getSharesByPooledEth(uint256)",
        "getPooledEthByShares(uint256)",
        "rebasingCreditsPerToken()",
        "rebaseOptIn()",
        "creditsBalanceOf(address)",
        "tokenFromReflection(uint256)",
        "reflectionFromToken(uint256,bool)",
        "setMultiplier(uint256)",
        "multiplier()",
    ),
}
"""Functions of tokens that are widely held (USDT, USDC, BUSD, PAXG, AMPL, stETH, aTokens, OUSD, reflections) and of the
templates that others are made from."""
_UPGRADES: Final = ("upgradeTo(address)", "upgradeToAndCall(address,bytes)", "facetAddress(bytes4)", "proxiableUUID()")
_SELECTORS: Final = {
    trait: tuple(keccak256(one.encode())[:4] for one in functions)
    for trait, functions in {**_FUNCTIONS, TokenTrait.UPGRADEABLE: _UPGRADES}.items()
}


async def read_traits(endpoints: Endpoints, token: bytes, holder: bytes | None = None) -> frozenset[TokenTrait]:
    """Return the traits that are found. `holder`: an account whose balance is moved in a simulation, if it has any.

    Raise `RejectedError` if there is no code at the address, `RetryableError` if no endpoint answers.
    """
    found, seen, waiting = set[TokenTrait](), set[bytes](), [token]
    while waiting and len(seen) < MAX_CODES:
        address = waiting.pop()
        seen.add(address)
        code = data_bytes(await endpoints.call("eth_getCode", hex_address(address), "latest"))[:MAX_CODE_BYTES]
        if not code and address == token:
            raise RejectedError(f"there is no contract at {hex_address(token)}: it is not a token")
        target = _minimal_target(code)
        if target is None:
            found |= traits_of(code)
        behind = [target] if target is not None else await _behind(endpoints, address)
        if behind and target is None:
            found.add(TokenTrait.UPGRADEABLE)
        waiting += [one for one in behind if one not in seen]
    if holder is not None and await _delivers_less(endpoints, token, holder):
        found.add(TokenTrait.FEE)
    return frozenset(found)


def traits_of(code: bytes) -> set[TokenTrait]:
    """Return the traits that code shows by itself.

    A selector is found wherever its four bytes stand, since compilers keep them in comparisons or in tables: some
    hundred selectors in 24 KiB of other bytes are found by chance once in more than a thousand tokens.
    """
    found = {trait for trait, selectors in _SELECTORS.items() if any(one in code for one in selectors)}
    return found | ({TokenTrait.UPGRADEABLE} if _delegates(code) else set())


def _delegates(code: bytes) -> bool:
    """Return true if an instruction hands the work to other code. What PUSH1 to PUSH32 carry does not count, nor does
    the compiler's own data at the end (CBOR, its length in the last two bytes)."""
    size = int.from_bytes(code[-2:], "big") + 2
    end = len(code) - size if size < len(code) and code[-size] >> 5 == 5 else len(code)
    at = 0
    while at < end:
        if code[at] in _DELEGATECALL:
            return True
        at += code[at] - _PUSH1 + 2 if _PUSH1 <= code[at] <= _PUSH32 else 1
    return False


def _minimal_target(code: bytes) -> bytes | None:
    """The target of a minimal proxy, None for any other code."""
    head, tail = len(_MINIMAL_HEAD), len(_MINIMAL_TAIL)
    if len(code) == head + 20 + tail and code.startswith(_MINIMAL_HEAD) and code.endswith(_MINIMAL_TAIL):
        return code[head : head + 20]
    return None


async def _behind(endpoints: Endpoints, address: bytes) -> list[bytes]:
    """The contracts that a proxy's storage, its beacon, or `implementation()` name."""
    where = hex_address(address)
    slots = [Call("eth_getStorageAt", (where, slot, "latest")) for slot in (*_IMPLEMENTATION_SLOTS, _BEACON_SLOT)]
    *direct, beacon = [_address_in(data_bytes(word)) for word in await endpoints.batch(slots)]
    asked = [address] if beacon is None else [address, beacon]
    said = await endpoints.batch_each(
        [Call("eth_call", ({"to": hex_address(one), "data": _IMPLEMENTATION}, "latest")) for one in asked]
    )
    named = []
    for answer in said:
        if isinstance(answer, RejectedError | UnclearRefusalError):
            continue  # it has no such function, in whatever words a node says that
        if isinstance(answer, CausewayError):
            raise answer
        named.append(_address_in(data_bytes(answer)))
    return list(dict.fromkeys(one for one in (*direct, *named, beacon) if one is not None))


def _address_in(word: bytes) -> bytes | None:
    """The address in a word, None for no word, for zero, and for anything longer than an address."""
    if len(word) != 32 or any(word[:12]) or not any(word):
        return None
    return word[12:]


async def _delivers_less(endpoints: Endpoints, token: bytes, holder: bytes) -> bool:
    """Return true if a transfer of all that the holder has would bring less than that. False if it holds nothing, if
    the transfer fails, and if no endpoint simulates."""
    where, receiver = hex_address(token), keccak256(token + holder)[:20]
    balances = [f"0x{BALANCE_OF}{account.hex():0>64}" for account in (holder, receiver)]
    held, had = [
        int.from_bytes(data_bytes(one)[:32], "big")
        for one in await endpoints.batch(
            [Call("eth_call", ({"to": where, "data": data}, "latest")) for data in balances]
        )
    ]
    if held == 0:
        return False
    data = f"0x{TRANSFER.hex()}{receiver.hex():0>64}{held:064x}"
    calls = [{"from": hex_address(holder), "to": where, "data": data}, {"to": where, "data": balances[1]}]

    async def simulated(client: RpcClient) -> Any:
        return await client.call("eth_simulateV1", {"blockStateCalls": [{"calls": calls}]}, "latest", into=Any)

    for answer in await endpoints.each(simulated):
        moved = None if isinstance(answer, CausewayError) else _balance_after(answer)
        if moved is not None:
            return moved - had < held
    return False


def _balance_after(answer: Any) -> int | None:
    """The receiver's balance after both calls; None for an answer of another shape, or if one of them failed."""
    try:
        transfer, balance = answer[0]["calls"]
        if transfer["status"] != "0x1" or balance["status"] != "0x1":
            return None
        return int.from_bytes(data_bytes(balance["returnData"])[:32], "big")
    except (LookupError, TypeError, ValueError, RetryableError, RejectedError):
        return None
