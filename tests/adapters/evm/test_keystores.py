"""Keystore files of Ethereum clients: what they ask for is checked before any work is done."""

import json
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from eth_account import Account

from adapters.evm import keystore_signer
from core.model.errors import FatalError
from core.model.types import ChainId

CHAIN = ChainId("eip155:31337")
KEY = bytes(range(1, 33))


def keystore(kdf: Literal["pbkdf2", "scrypt"], rounds: int) -> dict[str, Any]:
    return dict(Account.encrypt(KEY, "word", kdf=kdf, iterations=rounds))


def opened(path: Path, file: Any, password: str = "word") -> str:
    path.write_text(file if isinstance(file, str) else json.dumps(file))
    return keystore_signer(CHAIN, path, password).account


@pytest.mark.parametrize(("kdf", "rounds"), [("scrypt", 1 << 12), ("pbkdf2", 1_000)])
def test_keystore_opens_in_any_spelling_of_its_names(tmp_path: Path, kdf: Any, rounds: int) -> None:
    file = keystore(kdf, rounds)
    expected = f"{CHAIN}:{Account.from_key(KEY).address.lower()}"
    assert opened(tmp_path / "k", file) == expected
    assert opened(tmp_path / "k", {name.upper(): value for name, value in file.items()}) == expected
    assert opened(tmp_path / "k", {**file, "address": f"0x{file['address']}", "x-by": {"a": 1}}) == expected
    with pytest.raises(FatalError, match="does not open"):
        opened(tmp_path / "k", file, "wrong")
    with pytest.raises(FatalError, match="holds the key of"):
        opened(tmp_path / "k", {**file, "address": "00" * 20})


@pytest.mark.parametrize(
    ("kdf", "parameters", "said"),
    [
        ("scrypt", {"n": 2**40}, "bytes of memory"),
        ("scrypt", {"n": 2**20, "r": 2**20}, "bytes of memory"),
        ("scrypt", {"p": 2**30}, "bytes of work"),
        ("scrypt", {"n": 3}, "power of 2"),
        ("scrypt", {"n": 0}, "power of 2"),
        ("scrypt", {"r": -1}, "positive"),
        ("scrypt", {"n": "262144"}, "damaged"),
        ("scrypt", {"n": 1.5}, "damaged"),
        ("scrypt", {"dklen": 10**9}, "32 to 64"),
        ("scrypt", {"dklen": 16}, "32 to 64"),
        ("scrypt", {"salt": 1}, "damaged"),
        ("scrypt", {"salt": "xyz"}, "does not open"),
        ("pbkdf2", {"c": 2**40}, "10000000 are allowed"),
        ("pbkdf2", {"c": 0}, "10000000 are allowed"),
        ("pbkdf2", {"prf": "hmac-md5"}, "does not open"),
    ],
)
def test_absurd_parameters_are_refused_before_work(tmp_path: Path, kdf: Any, parameters: Any, said: str) -> None:
    file = keystore(kdf, 1 << 10)
    file["crypto"]["kdfparams"] |= parameters
    begun = time.monotonic()
    with pytest.raises(FatalError, match=said):
        opened(tmp_path / "k", file)
    assert time.monotonic() - begun < 2.0


NOT_KEYSTORES = {
    "empty": "",
    "null": "null",
    "list": "[]",
    "cut": "{",
    "no crypto": '{"version":3}',
    "version 4": '{"version":4,"crypto":{}}',
    "wrong type": '{"version":3,"crypto":[]}',
    "deep list": "[" * 60_000,
    "deep object": '{"a":' * 10_000,
    "large": " " * (1 << 20),
}


@pytest.mark.parametrize("text", NOT_KEYSTORES.values(), ids=NOT_KEYSTORES)
def test_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FatalError):
        opened(tmp_path / "k", text)
