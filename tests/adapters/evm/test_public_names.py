"""Programs of others import the adapter's public names from the package."""

import subprocess
import sys

import pytest

import adapters.evm


@pytest.mark.parametrize("name", adapters.evm.__all__)
def test_public_name_is_found_in_its_module(name: str) -> None:
    assert getattr(adapters.evm, name) is not None


def test_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        adapters.evm.nothing_of_ours  # noqa: B018


def test_the_package_alone_does_not_import_web3() -> None:
    shown = "import adapters.evm, adapters.evm.keystore, sys; print('web3' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
