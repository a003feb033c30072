"""Keystore files of Ethereum clients: what they ask for is checked before any work is done."""

import json
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from eth_account import Account

from adapters.evm.keystore import encode_keystore, keystore_key, keystore_signer
from core.model.errors import FatalError, RejectedError
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


def published(kdf: dict[str, Any], iv: str, ciphertext: str, mac: str) -> dict[str, Any]:
    name = "pbkdf2" if "c" in kdf else "scrypt"
    return {
        "version": 3,
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv},
            "ciphertext": ciphertext,
            "kdf": name,
            "kdfparams": {"dklen": 32, **({"prf": "hmac-sha256"} if name == "pbkdf2" else {}), **kdf},
            "mac": mac,
        },
    }


WEB3_KEY = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
PUBLISHED = {
    # Web3 Secret Storage, test vectors.
    "scrypt": (
        published(
            {"n": 262144, "r": 1, "p": 8, "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
            "83dbcc02d8ccb40e466191a123791e0e",
            "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
            "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
        ),
        "testpassword",
        WEB3_KEY,
    ),
    "pbkdf2": (
        published(
            {"c": 262144, "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
            "6087dab2f9fdbbfaddc31a909735c1e6",
            "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
            "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
        ),
        "testpassword",
        WEB3_KEY,
    ),
    # go-ethereum, accounts/keystore/testdata/v3_test_vector.json: keys that were written without their zeros.
    "31 bytes": (
        published(
            {"n": 2, "r": 8, "p": 1, "salt": "711f816911c92d649fb4c84b047915679933555030b3552c1212609b38208c63"},
            "e0c41130a323adc1446fc82f724bca2f",
            "9517cd5bdbe69076f9bf5057248c6c050141e970efa36ce53692d5d59a3984",
            "d5e116151c6aa71470e67a7d42c9620c75c4d23229847dcc127794f0732b0db5",
        ),
        "foo",
        "fa7b3db73dc7dfdf8c5fbdb796d741e4488628c41fc4febd9160a866ba0f35",
    ),
    "30 bytes": (
        published(
            {"n": 2, "r": 8, "p": 1, "salt": "d0769e608fb86cda848065642a9c6fa046845c928175662b8e356c77f914cd3b"},
            "3ca92af36ad7c2cd92454c59cea5ef00",
            "108b7d34f3442fc26ab1ab90ca91476ba6bfa8c00975a49ef9051dc675aa",
            "75d0e6759f7b3cefa319c3be41680ab6beea7d8328653474bd06706d4cc67420",
        ),
        "foo",
        "81c29e8142bb6a81bef5a92bda7a8328a5c85bb2f9542e76f9b0f94fc018",
    ),
}


@pytest.mark.parametrize(("file", "password", "key"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_keystores_open_to_their_keys(tmp_path: Path, file: Any, password: str, key: str) -> None:
    (tmp_path / "k").write_text(json.dumps(file))
    assert keystore_key(tmp_path / "k", password) == bytes.fromhex(key.rjust(64, "0"))


@pytest.mark.parametrize("typed", ["cafe\u0301 noir", "caf\u00e9 noir"])
def test_password_opens_in_either_unicode_form(tmp_path: Path, typed: str) -> None:
    (tmp_path / "k").write_text(json.dumps(Account.encrypt(KEY, "cafe\u0301 noir", kdf="scrypt", iterations=2)))
    assert keystore_key(tmp_path / "k", typed) == KEY
    (tmp_path / "k").write_bytes(encode_keystore(KEY, "cafe\u0301 noir"))
    assert keystore_key(tmp_path / "k", typed) == KEY


def test_number_that_is_not_a_key_is_refused(tmp_path: Path) -> None:
    for number in (bytes(32), b"\xff" * 32):
        with pytest.raises(RejectedError, match="not an Ethereum key"):
            encode_keystore(number, "word")


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
