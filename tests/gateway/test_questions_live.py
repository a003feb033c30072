"""A contract reads the ledger, and the ledger a token's balance: through a running relayer, on both engines."""

import json
from pathlib import Path

import pytest

from adapters.consortium.messages import write_record
from core.model.consortium import record_key
from core.model.identifiers import parse_account, parse_asset
from core.model.questions import BalanceQuestion
from gateway import wiring
from gateway.devnet import Devnet, DevnetSettings
from gateway.devnet.asking import DevnetAsker
from gateway.sending import send
from tests.local_chains.consortium.abci.comet import need_cometbft

DOCUMENT = json.dumps({"donation": 17, "for": "what it was given for"}).encode()


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.parametrize("comet_nodes", [0, 1], ids=["embedded", "cometbft"])
async def test_both_chains_are_answered_by_a_running_relayer(tmp_path: Path, comet_nodes: int) -> None:
    if comet_nodes:
        need_cometbft()
    settings = DevnetSettings(tmp_path / "devnet", users=("alice",), comet_nodes=comet_nodes)
    async with Devnet(settings) as net, wiring.connected(net.info.chains) as chains:
        info = net.info
        connected = chains[info.consortium]
        signer = connected.signer(bytes.fromhex(info.user("alice").consortium))
        written = write_record(signer.account, "charity", "donation-17", DOCUMENT)
        height = await send(connected.access.transactions, connected.access.heads, signer, written)
        asker = DevnetAsker(info, chains)
        heard = await asker.contract(record_key("charity", "donation-17", 1), first=height + 1)
        assert DOCUMENT in heard.answer
        holder, token = parse_account(info.user("alice").ethereum_account), parse_asset(info.token)
        kept = await asker.ledger(BalanceQuestion(info.ethereum, holder, token))
        held = await chains[info.ethereum].access.state.balance(holder, token)
        assert kept.answer == {"type": "balance", "amount": str(held)}
        assert held > 0
