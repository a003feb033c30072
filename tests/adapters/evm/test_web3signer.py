"""A signer on another machine: its API as Web3Signer speaks it, over HTTP, and what it may answer instead."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from coincurve import PrivateKey

from adapters.evm.names import account
from adapters.evm.rpc_signer import Dialect, remote_signer
from adapters.evm.signing import SECP256K1_ORDER, LocalSigner, address_of_key
from adapters.evm.transactions import EvmTransactionSender
from adapters.evm.web3signer import MAX_KEYS_BYTES, Web3Signer
from core.model.errors import RejectedError, RetryableError
from core.model.transactions import Consent, FeeBid, SigningRequest, UnsignedTransaction
from core.model.types import AccountId, ChainId
from core.proofs.keccak import keccak256
from core.runtime.sockets import HOST, free_port
from tests.adapters.evm.harness import CHAIN, EvmHarness

KEY = PrivateKey(b"\x07" * 32)
OWNER = account(CHAIN, address_of_key(KEY.public_key))
NAME = KEY.public_key.format(compressed=False)[1:].hex()


def signature(data: bytes) -> bytes:
    """As web3j makes it: low s, v 27 or 28."""
    made = KEY.sign_recoverable(keccak256(data), hasher=None)
    return made[:64] + bytes([made[64] + 27])


class Machine:
    """The signer's machine. `answer` makes its answer of the signature over the data."""

    def __init__(self) -> None:
        self.keys: object = [f"0x{NAME}"]
        self.answer: Callable[[bytes], web.Response] = lambda made: web.Response(text=f"0x{made.hex()}")
        self.asked: list[str] = []

    async def list_keys(self, _: web.Request) -> web.Response:
        return web.json_response(self.keys)

    async def sign(self, request: web.Request) -> web.Response:
        self.asked.append(request.match_info["key"])
        data = (await request.json())["data"]
        return self.answer(signature(bytes.fromhex(data[2:])))


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Machine, Web3Signer]]:
    machine, app, port = Machine(), web.Application(), free_port()
    app.router.add_get("/api/v1/eth1/publicKeys", machine.list_keys)
    app.router.add_post("/api/v1/eth1/sign/{key}", machine.sign)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    try:
        signer = remote_signer(CHAIN, f"http://{HOST}:{port}/", OWNER, Dialect.WEB3SIGNER)
        assert isinstance(signer, Web3Signer)
        yield machine, signer
    finally:
        await runner.cleanup()


def request_for(evm: EvmHarness, sender: AccountId = OWNER) -> SigningRequest:
    unsigned = UnsignedTransaction(CHAIN, sender, payment(sender).body, False, "pay")
    return evm.access.transactions.assemble(unsigned, 0, FeeBid(10**10, 1), None)


def payment(sender: AccountId) -> UnsignedTransaction:
    from adapters.evm.calls import unsigned_call

    return unsigned_call(sender, b"\x11" * 20, b"", gas=21_000, value=5, summary="pay")


async def test_transaction_signed_elsewhere_is_the_accounts(evm: EvmHarness) -> None:
    request = request_for(evm)
    async with running() as (machine, signer):
        made = await signer.sign(request)
        assert made == await LocalSigner(CHAIN, KEY.secret).sign(request)
        evm.access.transactions.attach(request, made)
        machine.answer = lambda given: web.Response(text=f'"{given.hex()}"')
        assert await signer.sign(request) == made
        machine.answer = lambda given: web.Response(text=high(given).hex())
        assert await signer.sign(request) == made
        assert machine.asked == [f"0x{NAME}"] * 3


def high(given: bytes) -> bytes:
    """The same signature with s in the upper half, which Ethereum refuses (EIP-2)."""
    s = SECP256K1_ORDER - int.from_bytes(given[32:64], "big")
    return given[:32] + s.to_bytes(32, "big") + bytes([55 - given[64]])


async def test_consent_signed_elsewhere_is_the_accounts() -> None:
    asked = Consent(OWNER, "{}", b"\x19\x01" + bytes(64), "a consent")
    async with running() as (_, signer):
        assert await signer.consent(asked) == await LocalSigner(CHAIN, KEY.secret).consent(asked)
        for other in (replace(asked, payload=b"\x02" + bytes(65)), replace(asked, account=AccountId(f"{CHAIN}:0x00"))):
            with pytest.raises(RejectedError):
                await signer.consent(other)


@pytest.mark.parametrize(
    "answer",
    [
        lambda made: web.Response(text="0x" + made[:-1].hex()),
        lambda made: web.Response(text="0x" + bytes(65).hex()),
        lambda made: web.Response(text="0x" + signature(b"something else").hex()),
        lambda made: web.Response(text="nonsense"),
        lambda made: web.Response(body=b"\xff\xfe"),
        lambda made: web.Response(text="0" * 10_000),
        lambda made: web.Response(status=404, text="no such key"),
        lambda made: web.Response(status=500),
        lambda made: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}),
    ],
    ids=["short", "zeros", "other bytes", "words", "not text", "long", "no key", "broken", "elsewhere"],
)
async def test_other_answer_is_tried_again(evm: EvmHarness, answer: Callable[[bytes], web.Response]) -> None:
    async with running() as (machine, signer):
        machine.answer = answer
        with pytest.raises(RetryableError):
            await signer.sign(request_for(evm))
        machine.answer = lambda made: web.Response(text=made.hex())
        assert len(await signer.sign(request_for(evm))) == 65


@pytest.mark.parametrize("keys", [[], {"keys": 1}, ["0x00"], [NAME[:-2] + "zz"], ["a" * MAX_KEYS_BYTES], None, 7])
async def test_signer_without_the_key_is_asked_again(evm: EvmHarness, keys: object) -> None:
    async with running() as (machine, signer):
        machine.keys = keys
        with pytest.raises(RetryableError):
            await signer.find_key()
        machine.keys = ["0xnothing", NAME]
        assert await signer.find_key() == NAME


async def test_dead_signer_is_retried_and_strange_requests_refused(evm: EvmHarness) -> None:
    request = request_for(evm)
    with pytest.raises(RetryableError, match="does not answer"):
        await Web3Signer(f"http://{HOST}:{free_port()}", OWNER).sign(request)
    signer = Web3Signer("http://127.0.0.1:9", OWNER)
    for other in (
        replace(request, scheme="ed25519"),
        replace(request, payload=b"\x19\x01" + bytes(64)),
        request_for(evm, account(CHAIN, b"\x22" * 20)),
    ):
        with pytest.raises(RejectedError):
            await signer.sign(other)
    with pytest.raises(RejectedError, match="is not an account on"):
        remote_signer(ChainId("eip155:1"), "http://127.0.0.1:9", OWNER, Dialect.WEB3SIGNER)
    assert NAME not in repr(signer)
    assert isinstance(evm.access.transactions, EvmTransactionSender)
