"""Any contract by its ABI: real logs of a real node, hostile ones, and ABIs that are refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.chain import ContractAbi, EvmChain
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


NO_TYPES = (
    "uint7", "uint264", "uint08", "uint0", "Uint256", "bytes33", "bytes0", "bool8", "address20", "string5", "fixed128",
    "fixed128x81", "fixed8x0", "uint256[0]", "uint256[-1]", "uint256[01]", "uint256[2", "tuple", "tuples", "()[]", "",
    " uint256", "uint256 ", "address payable", "contract IERC20", "enum Kind", "mapping(uint8=>bool)", "uint256,bool",
)  # fmt: skip
DEEP = (
    '[{"type": "event", "name": "E", "inputs": ['
    + '{"type": "tuple", "components": [' * 3_000
    + '{"type": "bool"}'
    + "]}" * 3_000
    + "]}]"
)


def event_abi(**changes: Any) -> str:
    return json.dumps([{**NOTE, **changes}])


def hexed(*topics: bytes) -> list[str]:
    return [f"0x{topic.hex()}" for topic in topics]


def decoder(abi: str) -> ContractDecoder:
    return ContractDecoder(CHAIN, {LOGGER: parse_abi(abi, "contract")})


async def test_contracts_are_followed_by_their_abi(evm: EvmHarness) -> None:
    """Events of a token other than its transfers, and of a contract with every kind of argument."""
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
        ("no json", "not a valid ABI"),
        ('{"name": "an artifact without its abi"}', "not a valid ABI"),
        (event_abi(anonymous=True), "declares 0 events"),
        *((event_abi(inputs=[{"type": kind}]), "is not a type of the ABI specification") for kind in NO_TYPES),
        (event_abi(inputs=[{"type": "uint8", "components": [{"type": "bool"}]}]), "which only a tuple has"),
        (event_abi(inputs=[{"type": "(" * 20 + "bool" + ")" * 20}]), "nests deeper"),
        (event_abi(inputs=[{"type": "bool" + "[1]" * 400}]), "is longer"),
        (DEEP, "not a valid ABI"),
        (json.dumps([{**NOTE, "inputs": [{"type": kind}]} for kind in ("uint", "uint256")]), "an event twice"),
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


@pytest.mark.parametrize(
    ("inputs", "signature"),
    [
        ([{"type": "address"}, {"type": "address"}, {"type": "uint"}], "Note(address,address,uint256)"),
        ([{"type": "int"}, {"type": "uint8"}, {"type": "int[2][]"}], "Note(int256,uint8,int256[2][])"),
        ([{"type": "fixed"}, {"type": "ufixed[3]"}], "Note(fixed128x18,ufixed128x18[3])"),
        ([{"type": "function"}, {"type": "byte[]"}], "Note(function,bytes1[])"),
        (
            [{"type": "tuple[]", "components": [{"type": "uint"}, {"type": "tuple", "components": [{"type": "int"}]}]}],
            "Note((uint256,(int256))[])",
        ),
        ([{"type": "(uint,byte)[2]"}], "Note((uint256,bytes1)[2])"),
    ],
)
def test_aliases_of_types_have_the_topic_of_what_they_mean(inputs: list[dict[str, Any]], signature: str) -> None:
    named = [{**one, "name": f"a{number}"} for number, one in enumerate(inputs)]
    (event,) = parse_abi(event_abi(inputs=named), "contract")
    assert event.topic == f"0x{keccak256(signature.encode()).hex()}"
    types = signature.removeprefix("Note(").removesuffix(")")
    assert ",".join(argument.text for argument in event.arguments) == types


def test_an_event_declared_with_an_alias_is_decoded() -> None:
    abi = event_abi(inputs=[{"type": "uint", "name": "id", "indexed": True}, {"type": "fixed", "name": "price"}])
    topics = hexed(keccak256(b"Note(uint256,fixed128x18)"), (7).to_bytes(32, "big"))
    for raw, price in ((10**17, "0.1"), (1, "0." + "0" * 17 + "1"), (10**37, "1" + "0" * 19)):
        event = decoder(abi).decode(f"0x{LOGGER.hex()}", topics, raw.to_bytes(32, "big", signed=True))
        assert event is not None
        assert dict(event.arguments) == {"id": "7", "price": price}


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
