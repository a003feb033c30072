"""`causeway relayer accounts`: which accounts a keystore's keys are on each chain, and what they hold."""

from pathlib import Path
from typing import Any

from core.model.types import chain_of
from gateway import wiring
from gateway.amounts import readable
from gateway.config import RelayerConfig


async def collect_accounts(config: RelayerConfig, base: Path) -> list[dict[str, Any]]:
    """One entry per account of ours, with its duty and its balances at the head: unproven, for display.

    Raise `RejectedError` for a keystore that does not open or lacks a key, `RetryableError` while a chain is silent.
    """
    keys = wiring.open_keystore(config, base)
    async with wiring.connected(config.chains) as chains:
        duties = [
            *((signer, "swaps") for signer in wiring.signers(config, chains, keys).values()),
            *((signer, "retiring") for signer in wiring.retiring_signers(config, chains, keys)),
            *((signer, "gas money") for _, signer in wiring.top_ups(config, chains, keys)),
        ]
        found = []
        for signer, duty in duties:
            chain = chain_of(signer.account)
            access = chains[chain].access
            balances = [
                {"asset": asset_id, "amount": str(held), "readable": readable(asset, held)}
                for asset_id, asset in access.parameters.assets.items()
                for held in [await access.state.balance(signer.account, asset_id)]
            ]
            found.append({"chain": chain, "account": signer.account, "duty": duty, "balances": balances})
        return found
