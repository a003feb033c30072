"""Traits of tokens that can cost whoever trades them, by the names that a configuration allows them with."""

from enum import StrEnum


class TokenTrait(StrEnum):
    """`PAUSABLE`: somebody can stop all transfers. `BLACKLIST`: somebody can stop an account's. `UPGRADEABLE`: somebody
    can replace its code. `FEE`: it can deliver less than was sent. `REBASING`: balances change without transfers."""

    PAUSABLE = "pausable"
    BLACKLIST = "blacklist"
    UPGRADEABLE = "upgradeable"
    FEE = "fee"
    REBASING = "rebasing"
