"""Any contract by its ABI: real logs of a real node, hostile ones, and ABIs that are refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from adapters.evm import EvmChain
from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.chain import ContractAbi
from adapters.evm.contract_events import MAX_DECODED_BYTES, ContractDecoder, parse_abi
from adapters.evm.contracts.artifacts import ARTIFACTS_DIR
from adapters.evm.names import account
from core.model.errors import FatalError, RejectedError
from core.model.facts import ContractEvent, Transferred
from core.model.types import Height
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address
from tests.adapters.evm.harness import CHAIN, EvmHarness, settings_for

LOGGER = bytes.fromhex("77" * 20)
LOGGER_CODE = "0x60203560003560403603806040600037" + "6000a200"
"""LOG2 of the call data: two topics of 32 bytes, then the data."""

NOTE = {
    "type": "event",
    "name": "Note",
    "inputs": [
        {"type": "address", "name": "author", "indexed": True},
        {"type": "tuple", "name": "place", "components": [{"type": "int8"}, {"type": "bytes4"}]},
        {"type": "string[]", "name": "lines"},
        {"type": "bool"},
        {"type": "address", "name": "to"},
    ],
}
NOTE_TOPIC = keccak256(b"Note(address,(int8,bytes4),string[],bool,address)")
NOTE_TYPES = ["(int8,bytes4)", "string[]", "bool", "address"]
AUTHOR, READER = bytes.fromhex("a1" * 20), bytes.fromhex("b2" * 20)


def event_abi(**changes: Any) -> str:
    return json.dumps([{**NOTE, **changes}])


def hexed(*topics: bytes) -> list[str]:
    return [f"0x{topic.hex()}" for topic in topics]


def decoder(abi: str) -> ContractDecoder:
    return ContractDecoder(CHAIN, {LOGGER: parse_abi(abi, "contract")})


async def test_contracts_are_followed_by_their_abi(evm: EvmHarness) -> None:
    """Events of a token beside its transfers, and of a contract with every kind of argument."""
    token = evm.contracts.tokens[0]
    owner = await evm.account()
    await evm.rpc("anvil_setCode", f"0x{LOGGER.hex()}", LOGGER_CODE)
    artifact = (ARTIFACTS_DIR / "TestToken.json").read_text()
    settings = replace(
        settings_for(evm.anvil, evm.contracts),
        contracts=(ContractAbi(token, artifact), ContractAbi(account(CHAIN, LOGGER), event_abi())),
    )
    chain = await EvmChain.connect(settings)
    try:
        data = encode(NOTE_TYPES, [(-5, b"\1\2\3\4"), ["first", "snow ❄"], True, f"0x{READER.hex()}"])
        topics = NOTE_TOPIC + AUTHOR.rjust(32, b"\0")
        calls = [
            (evm_address(token), encode_call("TestToken", "approve", AUTHOR, 7)),
            (evm_address(token), encode_call("TestToken", "transfer", AUTHOR, 8)),
            (LOGGER, topics + data),
            (LOGGER, topics + b"\xff" * 31),
            (LOGGER, b"\x42" * 64),
        ]
        await evm.send(
            owner, *[unsigned_call(owner.account, to, call, gas=200_000, summary="call") for to, call in calls]
        )
        head = (await chain.heads.head()).head.height
        (block,) = await chain.blocks.blocks(head, head)
    finally:
        await chain.close()
    approved, moved, noted, strange = [logged.event for logged in block.events]
    assert approved == ContractEvent(
        token, "Approval", (("owner", owner.account), ("spender", account(CHAIN, AUTHOR)), ("value", "7"))
    )
    assert isinstance(moved, Transferred)
    assert moved.amount == 8
    assert noted == ContractEvent(
        account(CHAIN, LOGGER),
        "Note",
        (
            ("author", account(CHAIN, AUTHOR)),
            ("place", ("-5", "0x01020304")),
            ("lines", ("first", "snow ❄")),
            ("arg3", True),
            ("to", account(CHAIN, READER)),
        ),
    )
    assert strange == ContractEvent(account(CHAIN, LOGGER), "Note", (), AUTHOR.rjust(32, b"\0") + b"\xff" * 31)


async def test_wrong_contracts_are_refused_at_start(evm: EvmHarness) -> None:
    plain = settings_for(evm.anvil, evm.contracts)
    nowhere, logger = account(CHAIN, b"\x66" * 20), account(CHAIN, LOGGER)
    for contracts, error, sentence in (
        ((ContractAbi(nowhere, event_abi()),), FatalError, "no contract at"),
        ((ContractAbi(logger, "[]"),), RejectedError, "declares 0 events"),
        ((ContractAbi(plain.htlc, event_abi()),), RejectedError, "is followed anyway"),
        ((ContractAbi(logger, event_abi()),) * 2, RejectedError, "named twice"),
    ):
        with pytest.raises(error, match=sentence):
            await EvmChain.connect(replace(plain, contracts=contracts))
    assert (await evm.access.heads.head()).head.height >= Height(0)


@pytest.mark.parametrize(
    ("abi", "sentence"),
    [
        ("no json", "no ABI"),
        ('{"name": "an artifact without its abi"}', "no ABI"),
        (event_abi(anonymous=True), "declares 0 events"),
        (event_abi(inputs=[{"type": "uint7"}]), "'uint7' is no type"),
        (event_abi(inputs=[{"type": "tuple"}]), "no type"),
        (event_abi(inputs=[{"type": "uint256[0]"}]), "no type"),
        (event_abi(inputs=[{"type": "string[][]"}]), "nests dynamic types"),
        (event_abi(inputs=[{"type": "uint8", "indexed": True}] * 4), "more than three indexed"),
        (event_abi(inputs=[{"type": "uint8", "name": "same"}] * 2), "two arguments of one name"),
        (event_abi(name=""), "no name"),
        (json.dumps([NOTE, NOTE]), "an event twice"),
    ],
)
def test_what_is_no_abi_is_refused_with_a_sentence(abi: str, sentence: str) -> None:
    with pytest.raises(RejectedError, match=f"contract x.*{sentence}"):
        parse_abi(abi, "contract x")


@given(st.binary(max_size=400), st.lists(st.binary(min_size=32, max_size=32), max_size=3))
def test_no_log_stops_a_follower(data: bytes, topics: list[bytes]) -> None:
    event = decoder(event_abi()).decode(f"0x{LOGGER.hex()}", hexed(NOTE_TOPIC, *topics), data)
    assert event is not None
    assert event.arguments or event.undecoded == b"".join(topics) + data


@given(st.lists(st.text(max_size=20), max_size=4), st.integers(-128, 127), st.booleans())
def test_what_was_encoded_is_decoded(lines: list[str], number: int, flag: bool) -> None:
    encodable = [line.encode(errors="replace").decode() for line in lines]
    data = encode(NOTE_TYPES, [(number, b"abcd"), encodable, flag, f"0x{READER.hex()}"])
    event = decoder(event_abi()).decode(f"0x{LOGGER.hex()}", hexed(NOTE_TOPIC, AUTHOR.rjust(32, b"\0")), data)
    assert event is not None
    shown = dict(event.arguments)
    assert shown["place"] == (str(number), "0x61626364")
    assert shown["lines"] == tuple(encodable)
    assert shown["arg3"] is flag


def test_indexed_texts_are_their_hash() -> None:
    abi = event_abi(inputs=[{"type": "string", "name": "title", "indexed": True}])
    digest = keccak256(b"a title")
    event = decoder(abi).decode(f"0x{LOGGER.hex()}", hexed(keccak256(b"Note(string)"), digest), b"")
    assert event == ContractEvent(account(CHAIN, LOGGER), "Note", (("title", f"0x{digest.hex()}"),))


def test_data_that_could_explode_is_kept_undecoded() -> None:
    abi = event_abi(inputs=[{"type": "string[]", "name": "lines"}])
    topics = hexed(keccak256(b"Note(string[])"))
    for length, decoded in ((MAX_DECODED_BYTES, True), (MAX_DECODED_BYTES + 32, False)):
        data = encode(["string[]"], [["x" * (length - 128)]])
        event = decoder(abi).decode(f"0x{LOGGER.hex()}", topics, data)
        assert event is not None
        assert bool(event.arguments) is decoded
