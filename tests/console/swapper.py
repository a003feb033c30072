"""A person at the swap page, with a wallet in their browser and a passphrase in their head."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, BrowserContext, Page

from gateway.devnet import Devnet
from tests.console.visitor import Visitor

WALLET = (Path(__file__).parent / "wallet.js").read_text(encoding="utf-8")
PASSPHRASE = "a passphrase of a test"
LOOK_MS = 120_000


@dataclass(frozen=True)
class Place:
    """A devnet, as a page and a wallet of its browser see it."""

    devnet: Devnet
    account: str

    @classmethod
    async def of(cls, devnet: Devnet) -> "Place":
        """The wallet has an account whose key the devnet's node holds."""
        place = cls(devnet, "")
        return cls(devnet, (await place.rpc("eth_accounts"))[-1])

    async def rpc(self, method: str, *params: Any) -> Any:
        """Ask the Ethereum node."""
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with aiohttp.ClientSession() as session, session.post(self.ethereum, json=call) as answer:
            found = await answer.json()
        assert "error" not in found, found
        return found["result"]

    @property
    def token(self) -> str:
        """The address of the devnet's token."""
        return self.devnet.info.token.rsplit(":", 1)[-1]

    async def has_tokens(self, base_units: int) -> None:
        """The wallet's account gets tokens of a user's."""
        giver = self.devnet.info.user("alice").ethereum_account.rsplit(":", 1)[-1]
        data = f"0xa9059cbb{self.account[2:].lower():0>64}{base_units:064x}"  # transfer(address,uint256)
        await self.rpc("anvil_impersonateAccount", giver)
        await self.rpc("eth_sendTransaction", {"from": giver, "to": self.token, "data": data})
        await self.rpc("anvil_stopImpersonatingAccount", giver)

    async def allowance(self) -> int:
        """Return how many tokens of the account the contract of locks may take."""
        contract = str(self.devnet.info.chain("evm").contract).rsplit(":", 1)[-1]
        data = f"0xdd62ed3e{self.account[2:].lower():0>64}{contract[2:].lower():0>64}"  # allowance(address,address)
        return int(await self.rpc("eth_call", {"to": self.token, "data": data}, "latest"), 16)

    @property
    def relayer(self) -> str:
        """By name: passkeys are bound to one."""
        [url] = self.devnet.info.relayers.values()
        return url.replace("127.0.0.1", "localhost")

    @property
    def ethereum(self) -> str:
        return self.devnet.info.chain("evm").endpoints[0].url

    @property
    def consortium(self) -> str:
        return self.devnet.info.chain("consortium").endpoints[0].url

    async def profile(self, browser: Browser, lone: bool = False, **options: Any) -> BrowserContext:
        """A browser's profile with the test's wallet in it. `lone`: one that announces nothing (EIP-1193 alone)."""
        context = await browser.new_context(**options)
        context.set_default_timeout(LOOK_MS)
        told = {"rpc": self.ethereum, "chain": "0x7a69", "account": self.account, "lone": lone}
        await context.add_init_script(f"({WALLET.strip().removesuffix(';').split(chr(10), 1)[1]})({json.dumps(told)})")
        return context

    async def visited(self, context: BrowserContext) -> Visitor:
        visitor = Visitor(context, await context.new_page(), self.relayer, (self.ethereum, self.consortium))
        await visitor.page.goto(f"{self.relayer}/swap")
        await visitor.page.wait_for_selector("#door:not([hidden])")
        return visitor


async def enters(page: Page, fresh: bool = True) -> None:
    await page.fill("#passphrase", PASSPHRASE)
    if fresh:
        await page.fill("#again", PASSPHRASE)
    await page.click("#unlock")


async def connects(page: Page, name: str = "Test wallet") -> None:
    await page.click(f"#wallets button:has-text('{name}')")
    await page.wait_for_selector("#give option", state="attached")


async def priced(page: Page, amount: str, give: str, get: str) -> None:
    await page.select_option("#give", label=give)
    await page.select_option("#get", label=get)
    await page.fill("#give-amount", amount)
    await page.click("#price")


async def swaps(page: Page, amount: str, give: str, get: str) -> None:
    await priced(page, amount, give, get)
    await page.click("#offer button:text-is('Swap')")


async def comes(page: Page, stage: str, result: str = "", count: int = 1) -> str:
    """Wait until the newest of `count` swaps is there; return its card's text."""
    newest = f"#swaps:has(article:nth-child({count})) article:first-child"
    wanted = f"{newest}[data-stage='{stage}'][data-result='{result}']"
    await page.wait_for_selector(wanted)
    return await page.inner_text("#swaps article:first-child")
