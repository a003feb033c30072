"""Call data of all our contracts' functions, against web3's encoding of the same arguments."""

import random
import re
from typing import Any

import pytest
from eth_abi.exceptions import EncodingError
from web3 import Web3

from adapters.evm.calls import encode_call, encode_creation
from adapters.evm.contracts.artifacts import ARTIFACTS_DIR, load_artifact

CONTRACTS = sorted(str(file.relative_to(ARTIFACTS_DIR).with_suffix("")) for file in ARTIFACTS_DIR.rglob("*.json"))
ROUNDS = 5


def drawn(rng: random.Random, item: dict[str, Any], kind: str | None = None) -> Any:
    """A value of an ABI parameter's type."""
    kind = kind or str(item["type"])
    if (array := re.fullmatch(r"(.*)\[(\d*)\]", kind)) is not None:
        size = int(array[2]) if array[2] else rng.randrange(3)
        return [drawn(rng, item, array[1]) for _ in range(size)]
    if kind == "tuple":
        return tuple(drawn(rng, one) for one in item["components"])
    if kind.startswith("uint"):
        return rng.randrange(2 ** int(kind.removeprefix("uint")))
    if kind == "address":
        return rng.randbytes(20)
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "string":
        return "word" * rng.randrange(20)
    return rng.randbytes(int(kind.removeprefix("bytes") or rng.randrange(70)))


@pytest.mark.parametrize("name", CONTRACTS)
def test_calls_are_encoded_as_web3_encodes_them(name: str) -> None:
    rng, artifact = random.Random(name), load_artifact(name)
    contract = Web3().eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    for entry in artifact.abi * ROUNDS:
        arguments = [drawn(rng, item) for item in entry.get("inputs", ())]
        if entry["type"] == "function":
            expected = contract.encode_abi(entry["name"], args=arguments)
            assert f"0x{encode_call(name, entry['name'], *arguments).hex()}" == expected
        elif entry["type"] == "constructor":
            expected = contract.constructor(*arguments).data_in_transaction
            assert f"0x{encode_creation(name, *arguments).hex()}" == str(expected)


@pytest.mark.parametrize("arguments", [(), (1, 2), (b"\1" * 33, 1), (b"\1" * 32, -1), (b"\1" * 32, 2**256)])
def test_arguments_of_another_type_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(EncodingError):
        encode_call("HashedTimelock", "lock", *arguments)


def test_a_function_that_no_contract_has_is_refused() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        encode_call("HashedTimelock", "withdraw")
