"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Final

import typer

RelayerFile = Annotated[Path, typer.Option("--config", "-c", help="The relayer's TOML configuration.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of lines.")]
PassphraseVariable = Annotated[
    str, typer.Option("--passphrase-env", help="The environment variable with the keystore's passphrase.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="A file whose first line is the passphrase; else the variable."),
]
PASSPHRASE: Final = "CAUSEWAY_PASSPHRASE"
"""The variable that is meant if no other is named."""
