"""A signer on another machine that speaks JSON-RPC: it signs what it understood, and only what was asked for counts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from aiohttp import web
from eth_account import Account

from adapters.conformance.harness import make_terms
from adapters.evm.calls import AccessEntry, body_of, unsigned_call
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.names import account
from adapters.evm.rpc_signer import MAX_ANSWER_BYTES, Dialect, RpcSigner, remote_signer
from adapters.evm.signing import SECP256K1_ORDER, LocalSigner
from adapters.evm.signing_rules import EvmSigningRules
from adapters.evm.transactions import EvmTransactionSender
from adapters.signing_rules import SigningLimits, guarded
from core.model.errors import RejectedError, RetryableError
from core.model.ports import ConsentSigner
from core.model.transactions import FeeBid, SigningRequest, UnsignedTransaction
from core.model.types import AccountId, BaseUnits, Preimage
from core.proofs.lanes import evm_address
from core.runtime.sockets import HOST, free_port
from tests.adapters.evm.harness import CHAIN, EvmHarness

SECRET = b"\x07" * 32
LOCAL = LocalSigner(CHAIN, SECRET)
OWNER = LOCAL.account
FEE = FeeBid(10**10, 7)
METHODS = [Dialect.ETH, Dialect.CLEF]


def signed(asked: dict[str, Any], secret: bytes = SECRET, **changed: Any) -> str:
    """The transaction as another implementation encodes and signs it."""
    wanted = {name: value for name, value in {**asked, **changed}.items() if name != "from"}
    return str("0x" + Account.sign_transaction(wanted, secret).raw_transaction.hex().removeprefix("0x"))


class Machine:
    """The signer's machine. `answer` makes the result of what is asked, or a whole answer."""

    def __init__(self) -> None:
        self.accounts: object = [f"0x{evm_address(OWNER).hex()}"]
        self.answer: Callable[[dict[str, Any]], Any] = signed
        self.methods: list[str] = []

    async def call(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.methods.append(asked["method"])
        lists = asked["method"] in ("eth_accounts", "account_list")
        result = self.accounts if lists else self.answer(asked["params"][0])
        if isinstance(result, web.Response):
            return result
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})


@asynccontextmanager
async def running(dialect: Dialect = Dialect.ETH) -> AsyncIterator[tuple[Machine, RpcSigner]]:
    machine, app, port = Machine(), web.Application(), free_port()
    app.router.add_post("/", machine.call)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    try:
        signer = remote_signer(CHAIN, f"http://{HOST}:{port}", OWNER, dialect)
        assert isinstance(signer, RpcSigner)
        yield machine, signer
    finally:
        await runner.cleanup()


def legacy(evm: EvmHarness) -> EvmTransactionSender:
    return EvmTransactionSender(CHAIN, Endpoints((Endpoint(evm.anvil.rpc_url, "us"),)), base_fees=False)


def call(sender: AccountId = OWNER) -> UnsignedTransaction:
    return unsigned_call(sender, b"\x11" * 20, b"\xab\xcd", gas=30_000, value=5, summary="call")


def request_for(evm: EvmHarness, dynamic: bool = True) -> SigningRequest:
    sender = evm.access.transactions if dynamic else legacy(evm)
    return sender.assemble(call(), 3, FEE, None)


@pytest.mark.parametrize("dialect", METHODS)
@pytest.mark.parametrize("dynamic", [True, False], ids=["EIP-1559", "EIP-155"])
async def test_transaction_is_asked_for_in_whole(evm: EvmHarness, dialect: Dialect, dynamic: bool) -> None:
    request = request_for(evm, dynamic)
    async with running(dialect) as (machine, signer):
        made = await signer.sign(request)
        assert made == await LOCAL.sign(request)
        (evm.access.transactions if dynamic else legacy(evm)).attach(request, made)
        machine.answer = lambda asked: {"raw": signed(asked), "tx": {"anything": 1}}
        assert await signer.sign(request) == made
        assert machine.methods == [dialect, dialect]


async def test_access_list_is_asked_for_in_whole(evm: EvmHarness) -> None:
    listed = (AccessEntry("0x" + "11" * 20, ("0x" + "22" * 32, "0x" + "00" * 32)),)
    body = msgspec.structs.replace(body_of(call()), access_list=listed)
    request = evm.access.transactions.assemble(replace(call(), body=msgspec.json.encode(body)), 0, FEE, None)
    async with running() as (_, signer):
        assert await signer.sign(request) == await LOCAL.sign(request)


async def test_anvil_signs_a_lock_that_the_chain_takes(evm: EvmHarness) -> None:
    friend, access = await evm.account(), evm.access
    bank = remote_signer(CHAIN, evm.anvil.rpc_url, evm.bank.account, Dialect.ETH)
    assert isinstance(bank, RpcSigner)
    await bank.check_key()
    terms = await make_terms(evm, bank, friend, Preimage.generate(), evm.assets[0], BaseUnits(1_000))
    lock = access.legs.lock(terms, await access.legs.lock_id(terms))
    [hash_] = await evm.send(bank, lock)
    await evm.advance(2)
    assert (await access.transactions.outcome(hash_)).status == "included"
    request = legacy(evm).assemble(call(bank.account), 9, FEE, None)
    legacy(evm).attach(request, await bank.sign(request))


OTHERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nonce": lambda asked: signed(asked, nonce=4),
    "chainId": lambda asked: signed(asked, chainId=1),
    "maxFeePerGas": lambda asked: signed(asked, maxFeePerGas=10**11),
    "maxPriorityFeePerGas": lambda asked: signed(asked, maxPriorityFeePerGas=8),
    "gas": lambda asked: signed(asked, gas=30_001),
    "to": lambda asked: signed(asked, to="0x" + "22" * 20),
    "value": lambda asked: signed(asked, value=6),
    "data": lambda asked: signed(asked, data="0xabce"),
    "accessList": lambda asked: signed(asked, accessList=[{"address": "0x" + "22" * 20, "storageKeys": []}]),
    "type": lambda asked: signed({n: v for n, v in asked.items() if not n.startswith("max")}, gasPrice=10**10),
    "key": lambda asked: signed(asked, b"\x08" * 32),
    "garbage": lambda asked: "0x" + "ab" * 100,
    "half": lambda asked: signed(asked)[:-2],
    "more": lambda asked: signed(asked) + "00",
    "zeros": lambda asked: signed(asked)[:-64] + "00" * 32,
    "empty": lambda asked: "0x",
    "number": lambda asked: 7,
    "null": lambda asked: None,
    "no raw": lambda asked: {"tx": {}},
    "words": lambda asked: "denied",
    "error": lambda asked: web.json_response({"id": 1, "error": {"code": -32000, "message": "Request denied\n" * 99}}),
    "not JSON": lambda asked: web.Response(body=b"\xff\xfe"),
    "nested": lambda asked: web.Response(text="[" * 100_000),
    "long": lambda asked: web.Response(body=b" " * (MAX_ANSWER_BYTES + 1)),
    "broken": lambda asked: web.Response(status=500),
    "elsewhere": lambda asked: web.Response(status=307, headers={"Location": "http://127.0.0.1:9/"}),
}


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS)
async def test_another_transaction_is_never_taken(evm: EvmHarness, answer: Callable[[dict[str, Any]], Any]) -> None:
    request = request_for(evm)
    async with running() as (machine, signer):
        machine.answer = answer
        with pytest.raises(RetryableError):
            await signer.sign(request)
        machine.answer = signed
        assert await signer.sign(request) == await LOCAL.sign(request)


@pytest.mark.parametrize(
    "changed", [{"nonce": 4}, {"gasPrice": 10**11}, {"gas": 1}, {"value": 6}, {"chainId": 1}, {"data": "0x"}]
)
async def test_another_legacy_transaction_is_never_taken(evm: EvmHarness, changed: dict[str, Any]) -> None:
    async with running() as (machine, signer):
        machine.answer = lambda asked: signed(asked, **changed)
        with pytest.raises(RetryableError, match="it signs"):
            await signer.sign(request_for(evm, dynamic=False))


async def test_upper_half_of_s_is_turned_down(evm: EvmHarness) -> None:
    request = request_for(evm)

    def high(asked: dict[str, Any]) -> str:
        raw = bytes.fromhex(signed(asked)[2:])
        s = SECP256K1_ORDER - int.from_bytes(raw[-32:], "big")
        parity = raw[-67:-66]
        other = b"\x80" if parity == b"\x01" else b"\x01"
        return "0x" + (raw[:-67] + other + raw[-66:-32] + s.to_bytes(32, "big")).hex()

    async with running() as (machine, signer):
        machine.answer = high
        made = await signer.sign(request)
        assert made == await LOCAL.sign(request)


@pytest.mark.parametrize("accounts", [[], None, 7, {"a": 1}, ["0x" + "11" * 20]])
async def test_signer_without_the_account_is_named(accounts: object) -> None:
    async with running(Dialect.CLEF) as (machine, signer):
        machine.accounts = accounts
        with pytest.raises(RetryableError):
            await signer.check_key()
        machine.accounts = ["0x" + "11" * 20, "0x" + evm_address(OWNER).hex().upper()]
        await signer.check_key()
        assert machine.methods == ["account_list", "account_list"]


async def test_strange_requests_and_dialects_are_refused(evm: EvmHarness) -> None:
    request, signer = request_for(evm), RpcSigner("http://127.0.0.1:9", OWNER, Dialect.ETH)
    for other in (
        replace(request, scheme="ed25519"),
        replace(request, payload=b"\x19\x01" + bytes(64)),
        replace(request, payload=b"\x02\xc0"),
        replace(request, payload=b"\xc0"),
        replace(request, transaction=call(account(CHAIN, b"\x22" * 20))),
    ):
        with pytest.raises(RejectedError):
            await signer.sign(other)
    with pytest.raises(RejectedError, match="unknown dialect"):
        remote_signer(CHAIN, "http://127.0.0.1:9", OWNER, "eth_sign")
    with pytest.raises(RetryableError, match="does not answer"):
        await signer.sign(request)


def test_guarded_signer_gives_consents_only_if_its_signer_does(evm: EvmHarness) -> None:
    rules = EvmSigningRules(CHAIN, evm_address(evm.contracts.htlc), [], SigningLimits(OWNER))
    assert isinstance(guarded(LOCAL, rules), ConsentSigner)
    assert not isinstance(guarded(RpcSigner("http://127.0.0.1:9", OWNER, Dialect.ETH), rules), ConsentSigner)
