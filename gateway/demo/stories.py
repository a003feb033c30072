"""The demo's stories. Each is a real dApp on real chains; they run side by side and return what became of them."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from core.model.errors import ConflictError
from core.model.identifiers import parse_asset
from gateway.demo.stage import Stage, swap_result
from htlc.model import SwapState
from relayer.api import wire
from relayer.api.bodies import WatchCall
from relayer.client import ClientSwap, RelayerApi, SwapClient, SwapProgress, SwapStep

HONEST: Final = "relayer-a"
CRASHING: Final = "relayer-b"
VANISHING: Final = "relayer-c"

ETHER_FOR_YUAN: Final = 5 * 10**17
YUAN_FOR_TOKENS: Final = 710_00
TOKENS_FOR_YUAN: Final = 250 * 10**6
YUAN_FOR_ETHER: Final = 4_000_00


def _settled(swap: dict[str, Any]) -> bool:
    return bool(swap["final"]) and swap["status"] in ("claimed", "refunded", "one-sided")


async def _agree(stage: Stage, client: SwapClient, story: str, give: str, get: str, amount: int) -> ClientSwap:
    """Quote, check, agree: nothing is locked yet."""
    quote = await client.quote(parse_asset(give), parse_asset(get), initiator_amount=amount)
    stage.timeline.show(
        story,
        f"quoted: {stage.amount(give, quote.initiator_amount)} for {stage.amount(get, quote.participant_amount)}",
    )
    return await client.open(quote)


async def plain_swap(
    stage: Stage, user: str, story: str, give: str, get: str, amount: int, direction: str
) -> dict[str, Any]:
    """Quoted, locked, locked, claimed, claimed."""
    async with stage.client(user, HONEST, story) as client:
        swap = await _agree(stage, client, story, give, get, amount)
        outcome = await client.run(swap, stage.reporter(story))
        seen = await stage.supervised(swap.id, _settled)
        stage.timeline.show(story, f"{outcome.phase}: both legs {seen['status']}, final on both chains", "bold green")
    return swap_result(direction, seen)


async def vanishes_after_first_lock(stage: Stage) -> dict[str, Any]:
    """The relayer agrees, the initiator locks, and the relayer is never heard of again."""
    story, info = "no answer", stage.devnet.info
    async with stage.client("carol", VANISHING, story) as client:
        swap = await _agree(stage, client, story, info.ether, info.yuan, ETHER_FOR_YUAN)
        # It still reports what it agreed to, as it has to: a supervisor then knows whose swap that was.
        await stage.supervised(swap.id, lambda seen: seen["agreed_source"] is not None)

        async def vanish(_: SwapState) -> None:
            await stage.devnet.relayers[VANISHING].kill()
            stage.timeline.show(story, f"{VANISHING} vanishes for good", "bold red")

        outcome = await client.run(swap, stage.reporter(story), before_lock=vanish)
        seen = await stage.supervised(swap.id, _settled)
        stage.timeline.show(story, f"{outcome.phase}: the initiator has its coins back", "bold green")
    return swap_result("ethereum → consortium, participant vanishes after the first lock", seen)


async def vanishes_after_second_lock(stage: Stage) -> dict[str, Any]:
    """Both legs are locked and the initiator never reveals: the relayer refunds its leg, a watchtower the other."""
    story, info = "no reveal", stage.devnet.info
    async with stage.client("dave", HONEST, story) as client:
        swap = await _agree(stage, client, story, info.token, info.yuan, TOKENS_FOR_YUAN)
        async with RelayerApi(info.relayers[CRASHING]) as tower:
            legs = swap.agreement.initiator_leg, swap.agreement.participant_leg
            initiator, participant = map(wire.terms_body, legs)
            await tower.watch(WatchCall(initiator=initiator, participant=participant))
        stage.timeline.show(story, f"{CRASHING} watches over this swap, with no key of either party")
        await client.lock(swap)
        await shown_until(client, swap, stage.reporter(story), SwapStep.PARTICIPANT_LOCKED)
    stage.timeline.show(story, "the initiator vanishes before it reveals", "bold red")
    seen = await stage.supervised(swap.id, participant_refunded)
    stage.timeline.show(story, "the relayer has taken its lock back")
    seen = await stage.supervised(swap.id, _settled)
    stage.timeline.show(story, "refunded: a watchtower has sent the initiator's refund, too", "bold green")
    return swap_result("ethereum → consortium, initiator vanishes after the second lock", seen)


def participant_refunded(seen: dict[str, Any]) -> bool:
    """Of a swap as a regulator sees it, who may not have seen the lock yet."""
    lock = seen["participant"]["lock"] if seen["participant"] is not None else None
    return lock is not None and lock["status"] == "refunded"


async def shown_until(
    client: SwapClient, swap: ClientSwap, show: Callable[[SwapProgress], None], step: SwapStep
) -> None:
    """Show every step up to this one. Raise `ConflictError`, with the last step shown, if the swap ends before it."""
    message = "it never began"
    async for made in client.progress(swap):
        show(made)
        message = made.message
        if made.step is step:
            return
    raise ConflictError(f"the swap ended before {step}: {message}; on a machine that is busy, run it again")


async def killed_and_restarted(stage: Stage) -> tuple[dict[str, Any], dict[str, str]]:
    """SIGKILL between the relayer's lock and its claim; the preimage becomes public while it is down."""
    story, info = "crash", stage.devnet.info
    killed_at: list[str] = []
    daemon = stage.devnet.relayers[CRASHING]
    async with stage.client("erin", CRASHING, story) as client, RelayerApi(info.relayers[CRASHING]) as api:
        swap = await _agree(stage, client, story, info.yuan, info.ether, YUAN_FOR_ETHER)

        async def kill(_: SwapState) -> None:
            killed_at.append((await api.swap(swap.id)).phase)
            pid = daemon.pid
            await daemon.kill()
            stage.timeline.show(
                story, f"{CRASHING} (process {pid}) is killed with SIGKILL: it was {killed_at[0]}", "bold red"
            )

        async def restart() -> None:
            await client.claimed(swap)
            stage.timeline.show(story, "the preimage is public, and the relayer is down; it is started again")
            await daemon.start()
            stage.timeline.show(story, f"{CRASHING} (process {daemon.pid}) is back")

        restarting = asyncio.create_task(restart())
        try:
            outcome = await client.run(swap, stage.reporter(story), before_reveal=kill)
            await restarting
        finally:
            restarting.cancel()
        seen = await stage.supervised(swap.id, _settled)
        stage.timeline.show(
            story, f"{outcome.phase}: the restarted relayer found the preimage and claimed", "bold green"
        )
    if not killed_at:
        raise ConflictError("the relayer was never killed: the swap ended before its reveal")
    result = swap_result("consortium → ethereum, relayer killed and restarted", seen)
    return result, {"killed_at_state": killed_at[0], "outcome": result["outcome"]}
