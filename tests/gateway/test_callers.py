"""Limits on strangers' openings and watched swaps, as an operator writes them."""

from typing import Any

import msgspec
import pytest

from core.model.errors import RejectedError
from core.model.types import BaseUnits, ChainId
from gateway import wiring
from gateway.config import OpeningConfig, ReserveConfig, WatchtowerConfig, WebhookConfig, WebhooksConfig, verified
from tests.gateway.test_config import ETHEREUM, LEDGER, relayer

ETHER = ETHEREUM.assets[0]


def test_watching_is_off_until_it_is_written() -> None:
    assert not wiring.relayer_policy(relayer()).watch.enabled
    written = relayer(watchtower=WatchtowerConfig(enabled=True, max_exit_cost=(ReserveConfig(ETHER, 10**15),)))
    policy = wiring.relayer_policy(verified(written))
    assert policy.watch.enabled
    assert policy.watch.max_exit_cost == {ETHER: BaseUnits(10**15)}


def test_a_fee_ceiling_is_in_force_on_its_chain() -> None:
    chains = relayer().chains
    dear = msgspec.structs.replace(chains[0], max_fee_gwei=90)
    ceilings = wiring.relayer_policy(verified(relayer(chains=(dear, *chains[1:]))))
    assert ceilings.pipeline_on(ChainId(dear.id)).fees.ceiling == 90 * 10**9
    assert ceilings.pipeline_on(ChainId(chains[1].id)) == ceilings.pipeline


def test_what_is_written_of_openings_is_in_force() -> None:
    policy = wiring.relayer_policy(verified(relayer(opening=OpeningConfig(hold_s=60, max_per_account=2))))
    assert (policy.opening.hold_s, policy.opening.max_per_account) == (60, 2)


HOOK = WebhookConfig("https://hooks.example/", "HOOK_SECRET")


def hooks(**changes: str) -> WebhooksConfig:
    return WebhooksConfig(targets=(msgspec.structs.replace(HOOK, **changes),))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"opening": OpeningConfig(hold_s=0)}, "opening: "),
        ({"opening": OpeningConfig(max_per_account=33)}, "opening: "),
        ({"opening": OpeningConfig(caller_share_percent=101)}, "opening: "),
        ({"opening": OpeningConfig(account_share_percent=0)}, "opening: "),
        ({"webhooks": hooks(url="http://hooks.example/")}, "webhooks.targets[0].url: "),
        ({"webhooks": hooks(url="https://10.0.0.1/")}, "webhooks.targets[0].url: "),
        ({"webhooks": hooks(secret_env="1")}, "webhooks.targets[0].secret_env: "),
        ({"webhooks": WebhooksConfig(openers=True, allow=("10.0.0.1/8",))}, "webhooks.allow[0]: "),
        ({"webhooks": WebhooksConfig(allow=("10.0.0.0/8",))}, "webhooks.allow: "),
        ({"webhooks": WebhooksConfig(targets=(HOOK, HOOK))}, "webhooks.targets[1].url: "),
        ({"watchtower": WatchtowerConfig(max_watches=0)}, "watchtower: "),
        ({"watchtower": WatchtowerConfig(max_per_caller=101)}, "watchtower: "),
        ({"watchtower": WatchtowerConfig(unseen_s=-1)}, "watchtower: "),
        ({"watchtower": WatchtowerConfig(max_exit_cost=(ReserveConfig(ETHER, 0),))}, "max_exit_cost[0].amount"),
        ({"watchtower": WatchtowerConfig(max_exit_cost=(ReserveConfig("ETH", 1),))}, "max_exit_cost[0].asset"),
        ({"watchtower": WatchtowerConfig(max_exit_cost=(ReserveConfig(LEDGER.assets[0], 1),))}, "gas is not paid in"),
    ],
)
def test_what_allows_nothing_is_refused_with_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(RejectedError) as refused:
        verified(relayer(**changes))
    assert place in str(refused.value)
