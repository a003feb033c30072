"""`causeway relayer accounts`: which accounts a keystore's keys are on each chain, and what they hold."""

from pathlib import Path
from typing import Any

from gateway import wiring
from gateway.amounts import readable
from gateway.config import RelayerConfig


async def collect_accounts(config: RelayerConfig, base: Path) -> list[dict[str, Any]]:
    """One entry per configured account, with its balances at the head: unproven, for display.

    Raise `RejectedError` for a keystore that does not open or lacks a key, `RetryableError` while a chain is silent.
    """
    keys = wiring.open_keystore(config, base)
    async with wiring.connected(config.chains) as chains:
        signers = wiring.signers(config, chains, keys)
        found = []
        for chain, signer in signers.items():
            access = chains[chain].access
            balances = [
                {"asset": asset_id, "amount": str(held), "readable": readable(asset, held)}
                for asset_id, asset in access.parameters.assets.items()
                for held in [await access.state.balance(signer.account, asset_id)]
            ]
            found.append({"chain": chain, "account": signer.account, "balances": balances})
        return found
