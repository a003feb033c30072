"""`causeway relayer accounts`, on a real consortium node."""

import json
from pathlib import Path

import aiohttp
from msgspec.structs import replace
from nacl.signing import SigningKey

from core.model.consortium import address
from gateway.config import AccountConfig, EndpointConfig
from gateway.processes import Daemon
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset
from local_chains.consortium.node import init_home
from relayer.keys.keystore import write_keystore
from tests.gateway.test_cli import causeway
from tests.gateway.test_config import LEDGER, relayer, stored

SECRET = bytes(range(32))
PASSPHRASE = "correct horse battery"


async def test_an_operator_sees_which_accounts_to_fund(tmp_path: Path) -> None:
    holder = address(bytes(SigningKey(SECRET).verify_key))
    init_home(
        tmp_path / "home",
        "devnet-1",
        assets=[GenesisAsset("cnyd", holder.hex(), 2)],
        accounts=[GenesisAccount(holder.hex(), {"cnyd": "123450"})],
    )
    write_keystore(tmp_path / "keystore.json", PASSPHRASE, {"consortium": SECRET})
    daemon = Daemon(
        "chain", ["chain", "run", str(tmp_path / "home"), "--listen", "127.0.0.1:0", "--json"], tmp_path / "log"
    )
    await daemon.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{daemon.url}/block?height=1") as response:
            first = (await response.json())["result"]["block_id"]["hash"]
        ledger = replace(LEDGER, genesis=first.lower(), endpoints=(EndpointConfig(daemon.url, "us"),))
        changes = {"chains": (ledger,), "accounts": (AccountConfig(LEDGER.id, "consortium"),), "pairs": ()}
        stored(tmp_path, relayer(**changes))
        shown = causeway("relayer", "accounts", "--json", cwd=tmp_path, PASSPHRASE=PASSPHRASE)
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout) == [
            {
                "chain": LEDGER.id,
                "account": f"{LEDGER.id}:{holder.hex()}",
                "duty": "swaps",
                "balances": [{"asset": LEDGER.assets[0], "amount": "123450", "readable": "1,234.5 CNYD"}],
            }
        ]
        wrong = causeway("relayer", "accounts", cwd=tmp_path, PASSPHRASE="another passphrase")
        assert wrong.returncode != 0
        assert "passphrase" in wrong.stderr
        assert "Traceback" not in wrong.stderr
    finally:
        await daemon.stop()
