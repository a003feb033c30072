"""The settings of whoever swaps with a relayer: canonical, or refused with their place."""

import re
from typing import Final

import msgspec

from gateway.config.chains import check_http_url, refuse_twins
from gateway.config.faults import Faults, shown
from gateway.config.model import SwapConfig
from gateway.config.trading import check_policy, check_variable, known_chain

_KEY: Final = re.compile("[0-9a-f]{64}")


def canonical_swap(config: SwapConfig, faults: Faults) -> SwapConfig:
    """The settings in canonical spelling. `config.chains` is canonical already."""
    chains = {chain.id: chain for chain in config.chains}
    check_http_url(config.relayer, "relayer", faults)
    check_policy(config, faults)
    check_variable(config.passphrase_env, "passphrase_env", faults)
    key = config.relayer_key.lower().removeprefix("0x")
    if _KEY.fullmatch(key) is None:
        faults.add("relayer_key", f"{shown(config.relayer_key)} is not a key: write its 64 hex digits")
    accounts = tuple(
        msgspec.structs.replace(one, chain=known_chain(one.chain, chains, f"accounts[{number}].chain", faults))
        for number, one in enumerate(config.accounts)
    )
    for number, one in enumerate(config.accounts):
        if not one.key or one.signer is not None or one.address is not None or one.max_take:
            faults.add(
                f"accounts[{number}]", "a swap of your own is signed with a key of your keystore: write key alone"
            )
    refuse_twins((one.chain for one in accounts), lambda number: f"accounts[{number}].chain", "account's chain", faults)
    for chain in sorted(chains.keys() - {one.chain for one in accounts}):
        faults.add(
            "accounts", f"there is no account on {chain}, and a swap needs one on either chain: add [[accounts]]"
        )
    return msgspec.structs.replace(config, relayer_key=key, accounts=accounts)
