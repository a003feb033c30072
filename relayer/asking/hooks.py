"""Webhooks of subscriptions: each changed answer with its evidence, posted and signed as changes of swaps are.

The message about one version of one question has one id in every try. An answer that has changed again before it was
taken is posted as it is then, under the id of its new version.
"""

from functools import partial
from typing import Final

import msgspec

from core.model.errors import NotFoundError, RetryableError
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.deliveries import Answer, Deliverer, Delivery, DeliveryStatus
from core.runtime.supervisor import Worker
from relayer.asking import follow_rows
from relayer.asking.follow_rows import Followed, Subscription
from relayer.asking.pusher import Pusher
from relayer.notices.webhook_rows import SUBSCRIPTIONS
from relayer.notices.webhooks import GONE, Post, send_signed

LOOK_S: Final = 1.0
IDLE_LOOK_S: Final = 5.0
NO_EVIDENCE: Final = msgspec.Raw(b"null")


class SubscriptionHooks:
    """Posts the changes that subscriptions with a webhook have not heard of; `post` goes over the network."""

    def __init__(self, database: Database, pusher: Pusher, clock: Clock, post: Post) -> None:
        self._database = database
        self._pusher = pusher
        self._clock = clock
        self._post = post
        self._deliverer = Deliverer(database, SUBSCRIPTIONS, clock)

    def workers(self) -> list[Worker]:
        return [
            Worker("subscription messages", self.watch, contained=True),
            Worker("subscription webhooks", self.deliver, contained=True),
        ]

    async def watch(self) -> None:
        """Look for changed answers for ever."""
        while True:
            seen = self._pusher.changed.count
            any_open = await self.look()
            await self._clock.sleep(LOOK_S)
            if not any_open:
                await self._pusher.changed.wait_beyond(seen, IDLE_LOOK_S)

    async def look(self) -> bool:
        """Write down what has changed, and end what nobody takes. Return true if a subscription has a webhook."""
        if not await self._database.read(follow_rows.any_posted):
            return False
        lost = await self._database.write(partial(follow_rows.collect, now_ns=self._clock.now_ns()))
        for subscription_id, reason in lost:
            await self._pusher.end(subscription_id, reason)
        self._deliverer.wake.notify()
        return True

    async def deliver(self) -> None:
        """Post for ever."""
        await self._deliverer.run(self._send)

    async def step(self) -> int:
        """Post what is due now; return how many messages were taken."""
        return await self._deliverer.step(self._send)

    async def _send(self, one: Delivery) -> Answer:
        place = int(one.topic.rpartition("/")[2])
        try:
            subscription = await self._pusher.find(one.destination)
        except NotFoundError:
            return Answer(DeliveryStatus.REFUSED, "it was deleted")
        if subscription.ended_ns is not None or subscription.url is None or subscription.secret is None:
            return Answer(DeliveryStatus.REFUSED, "it has ended")
        question = subscription.questions[place]
        found = await self._database.read(lambda c: follow_rows.read(c, [question]))
        if not found:
            return Answer(DeliveryStatus.REFUSED, "nobody follows the question any more")
        answer, name = found[0], f"msg_{subscription.id}_{place}_{found[0].version}"
        now_s, body = int(self._clock.now()), message(subscription, place, answer)
        status = await send_signed(self._post, subscription.url, subscription.secret, name, now_s, body)
        if 200 <= status < 300:
            await self._database.write(lambda c: follow_rows.posted(c, subscription.id, place, answer.version))
            return Answer(DeliveryStatus.TAKEN)
        if status == GONE:
            await self._pusher.end(subscription.id, f"its address answered {status}")
            return Answer(DeliveryStatus.REFUSED, f"it answered {status}")
        raise RetryableError(f"it answered {status}")


def message(subscription: Subscription, place: int, answer: Followed) -> bytes:
    """The body that is posted: the evidence byte for byte, or the reason why there is none now."""
    data = {
        "subscription": subscription.id,
        "place": place,
        "version": answer.version,
        "uri": answer.uri,
        "evidence": NO_EVIDENCE if answer.file is None else msgspec.Raw(answer.file),
        "problem": answer.problem,
        "detail": answer.detail,
    }
    return msgspec.json.encode({"type": "answer.changed", "data": data})
