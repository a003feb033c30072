"""A dApp on the client that openapi-python-client made of the relayer's own document: `relayer_api`, run apart."""

import sys

from relayer_api import Client
from relayer_api.api.api import (
    get_v1_chains,
    get_v1_pairs,
    get_v1_relayer,
    get_v1_swaps,
    get_v1_swaps_id,
    post_v1_quotes,
    post_v1_swaps,
    post_v1_swaps_id_transactions,
)
from relayer_api.models import Problem, QuoteBody, QuoteCall, SwapBody, SwapCall, TransactionCall, WalletTransactionBody

address, hashlock, sender, receiver = sys.argv[1:]
with Client(base_url=address) as client:
    pairs = get_v1_pairs.sync(client=client)
    assert isinstance(pairs, list)
    wanted = QuoteCall(pairs[0].initiator.id, pairs[0].participant.id, initiator_amount="1000")
    quote = post_v1_quotes.sync(client=client, body=wanted, idempotency_key="generated-2")
    assert isinstance(quote, QuoteBody)
    assert quote.initiator_lock_s < quote.expires_at
    opened = post_v1_swaps.sync(client=client, body=SwapCall(quote, hashlock, sender, receiver))
    assert isinstance(opened, SwapBody), opened
    again = get_v1_swaps_id.sync(opened.id, client=client)
    assert isinstance(again, SwapBody)
    assert again.to_dict() == {**opened.to_dict(), **again.to_dict()}
    listed = get_v1_swaps.sync(client=client, id=[opened.id], done=False)
    assert isinstance(listed, list)
    assert [swap.id for swap in listed] == [opened.id]
    lock = post_v1_swaps_id_transactions.sync(opened.id, client=client, body=TransactionCall.from_dict({"act": "lock"}))
    assert isinstance(lock, WalletTransactionBody), lock
    assert isinstance(get_v1_chains.sync(client=client), list)
    assert get_v1_relayer.sync(client=client) is not None
    missing = get_v1_swaps_id.sync("0" * 32, client=client)
    assert isinstance(missing, Problem)
    print(opened.id)
