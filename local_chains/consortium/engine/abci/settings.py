"""The ledger's own settings of a node: the table `[causeway]` in its `config.toml`, which CometBFT passes over."""

import tomllib
from pathlib import Path
from typing import Final

import msgspec

from core.model.errors import RejectedError
from local_chains.consortium.engine.abci.state_sync import MIN_INTERVAL
from local_chains.consortium.state.store import PROOF_HEIGHTS

CONFIG_FILE: Final = "config/config.toml"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`snapshot_interval` heights lie between snapshots (0: none are taken); `keep_blocks` is how many of the newest
    blocks are kept (0: all of them)."""

    snapshot_interval: int = 0
    keep_blocks: int = 0


def load_settings(home: Path) -> Settings:
    """Raise `RejectedError` if they make no sense."""
    path = home / CONFIG_FILE
    try:
        table = tomllib.loads(path.read_text()).get("causeway", {}) if path.exists() else {}
        settings = msgspec.convert(table, Settings)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise RejectedError(f"[causeway] in {path} cannot be read: {error}") from None
    if settings.snapshot_interval and settings.snapshot_interval < MIN_INTERVAL:
        raise RejectedError(f"{path}: snapshot_interval is 0 or at least {MIN_INTERVAL} heights")
    if settings.keep_blocks and settings.keep_blocks < PROOF_HEIGHTS:
        raise RejectedError(
            f"{path}: keep_blocks is 0 or at least {PROOF_HEIGHTS}, the heights that state is proven of"
        )
    return settings
