"""Tokens' names for themselves, however they say them, and whatever they say."""

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from adapters.evm.chain import EvmChain
from adapters.evm.names import account, token_asset
from adapters.evm.tokens import MAX_MARKS, MAX_NAME_CHARS, MAX_SYMBOL_CHARS, abi_text, clean_text, read_token
from core.model.errors import RejectedError
from core.model.types import Asset
from tests.adapters.evm.harness import CHAIN, EvmHarness, settings_for

TOKEN = bytes.fromhex("70" * 20)
NAME, SYMBOL, DECIMALS = "06fdde03", "95d89b41", "313ce567"
SIX = (6).to_bytes(32, "big")


def string(text: str) -> bytes:
    return encode(["string"], [text])


def saying(answers: dict[str, bytes]) -> str:
    """Runtime code that answers calls by their selectors, and refuses others."""
    first = 5 + 11 * len(answers) + 3
    code, body, data = bytes.fromhex("5f3560e01c"), b"", b""
    for selector, answer in answers.items():
        code += bytes.fromhex(f"8063{selector}1461{first + len(body):04x}57")
        at = first + 14 * len(answers) + len(data)
        body += bytes.fromhex(f"5b61{len(answer):04x}61{at:04x}5f3961{len(answer):04x}5ff3")
        data += answer
    return f"0x{(code + bytes.fromhex('5f5ffd') + body + data).hex()}"


async def read(evm: EvmHarness, answers: dict[str, bytes]) -> Asset:
    await evm.rpc("anvil_setCode", f"0x{TOKEN.hex()}", saying(answers))
    return await read_token(evm.chain.endpoints, CHAIN, TOKEN)


async def test_our_own_token(evm: EvmHarness) -> None:
    token = evm.access.parameters.assets[evm.assets[1]]
    assert (token.name, token.symbol, token.decimals) == ("Test Dollar", "TUSD", 6)


async def test_tokens_older_than_strings(evm: EvmHarness) -> None:
    told = {NAME: b"Maker".ljust(32, b"\0"), SYMBOL: b"MKR".ljust(32, b"\0"), DECIMALS: SIX}
    assert await read(evm, told) == Asset(token_asset(CHAIN, TOKEN), "MKR", 6, "Maker")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (string("A\u202eB\0C\r\n\tD\u200b"), "ABC D"),
        (string("x" * 20_000), "x" * MAX_NAME_CHARS),
        (string("Z" + "\u0301" * 500 + "a"), "Z" + "\u0301" * MAX_MARKS + "a"),
        (encode(["bytes"], [b"caf\xe9"]), "caf\ufffd"),
        ((2**255).to_bytes(32, "big") * 2, ""),
        (b"", ""),
        (b"\0" * 31, ""),
        (string(""), ""),
    ],
)
async def test_hostile_names_are_cut_and_cleaned(evm: EvmHarness, name: bytes, shown: str) -> None:
    assert (await read(evm, {NAME: name, SYMBOL: string("S"), DECIMALS: SIX})).name == shown


async def test_a_name_may_be_missing(evm: EvmHarness) -> None:
    assert (await read(evm, {SYMBOL: string("S"), DECIMALS: SIX})).name == ""


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({NAME: string("N"), DECIMALS: SIX}, "not an ERC-20"),
        ({NAME: string("N"), SYMBOL: string("S")}, "not an ERC-20"),
        ({SYMBOL: string("\u200b\n"), DECIMALS: SIX}, "not an ERC-20"),
        ({SYMBOL: string("S"), DECIMALS: b""}, "not an ERC-20"),
        ({SYMBOL: string("S"), DECIMALS: (78).to_bytes(32, "big")}, "decimals, which cannot be shown"),
        ({SYMBOL: string("S"), DECIMALS: b"\xff" * 32}, "decimals, which cannot be shown"),
    ],
)
async def test_a_token_without_symbol_and_decimals_is_none(
    evm: EvmHarness, answers: dict[str, bytes], sentence: str
) -> None:
    await evm.rpc("anvil_setCode", f"0x{TOKEN.hex()}", saying(answers))
    settings = replace(settings_for(evm.anvil, evm.contracts), tokens=(account(CHAIN, TOKEN),))
    with pytest.raises(RejectedError, match=sentence):
        await EvmChain.connect(settings)


@given(st.text())
def test_cleaned_texts_can_be_shown_anywhere(text: str) -> None:
    cleaned = clean_text(text, MAX_SYMBOL_CHARS)
    assert len(cleaned) <= MAX_SYMBOL_CHARS
    assert cleaned.isprintable()
    assert cleaned == cleaned.strip()
    assert clean_text(cleaned, MAX_SYMBOL_CHARS) == cleaned
    cleaned.encode()


@given(st.binary(max_size=200))
def test_no_answer_is_too_strange(data: bytes) -> None:
    text = abi_text(data)
    assert len(text) <= len(data)
    assert text.encode().decode() == text


@given(st.text(max_size=60))
def test_what_was_encoded_is_read(text: str) -> None:
    sendable = text.encode(errors="replace").decode()
    assert abi_text(encode(["string"], [sendable])) == sendable
