"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Final

import typer

RelayerFile = Annotated[Path, typer.Option("--config", "-c", help="The relayer's TOML configuration.")]
RegulatorFile = Annotated[Path, typer.Option("--config", "-c", help="The supervision API's TOML configuration.")]
REGULATOR_FILE: Final = Path("regulator.toml")
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of lines.")]
PassphraseVariable = Annotated[
    str, typer.Option("--passphrase-env", help="The environment variable with the keystore's passphrase.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="A file whose first line is the passphrase; else the variable."),
]
EvmChain = Annotated[
    str | None, typer.Option("--evm", help="ethereum, sepolia, base, op, arbitrum, polygon, bnb, gnosis or anvil.")
]
EvmEndpoints = Annotated[list[str] | None, typer.Option("--rpc", help="An endpoint of that chain, once for each.")]
EvmContract = Annotated[str | None, typer.Option("--contract", help="The HashedTimelock's address on it.")]
EvmTokens = Annotated[list[str] | None, typer.Option("--token", help="A token's address on it, once for each.")]
ConsortiumNodes = Annotated[
    list[str] | None, typer.Option("--consortium", help="The RPC of a consortium chain's node, once for each.")
]
PASSPHRASE: Final = "CAUSEWAY_PASSPHRASE"
"""The variable that is meant if no other is named."""
