"""The store of a browser, in Chromium: two tabs at once, a full disk, a database that goes away, a damaged record."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Route, async_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ORIGIN = "http://localhost"
"""A secure context, which browsers ask for before they encrypt; nothing listens there: the test gives the pages."""

PAGE = """
const record = (key) => ({ version: 1, key, createdS: 1, quote: {}, preimage: "ab".repeat(32), stage: "opening" });
let go, looked;
const gone = new Promise((resolve) => (go = resolve));
const sealing = new Promise((resolve) => (looked = resolve));
const held = () => {
  const { encrypt } = SubtleCrypto.prototype;
  crypto.subtle.encrypt = async (...given) => {
    looked();
    await gone;
    return encrypt.apply(crypto.subtle, given);
  };
};
const free = async (work) => {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error.code !== "busy") throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
};
// As a disk without room: the request succeeds, and the transaction is aborted when it would be written.
const full = async (work) => {
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function (...given) {
    const made = put.apply(this, given);
    this.transaction.abort();
    return made;
  };
  await work().finally(() => (IDBObjectStore.prototype.put = put));
};
const refusal = async (work) => {
  try {
    return { found: await work() };
  } catch (error) {
    return { refused: error instanceof kit.CausewayError ? `${error.code} ${error.retryable}` : `escaped: ${error}` };
  }
};
"""


@pytest.fixture(scope="module")
def script(kit: Path) -> str:
    """Return the kit's part for browsers, as `kit`. Skip without esbuild."""
    esbuild = ROOT / "node_modules/.bin/esbuild"
    if not esbuild.exists():
        pytest.skip("no esbuild here: `make setup` installs it")
    entry = kit.parent / "store.js"
    entry.write_text(
        'export * from "./dist/browser/index.js"; export { CausewayError } from "./dist/errors.js";', encoding="utf-8"
    )
    command = (esbuild, entry, "--bundle", "--format=iife", "--global-name=kit", "--target=es2022", "--log-level=error")
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout + PAGE


@pytest.fixture
async def context(script: str) -> AsyncIterator[BrowserContext]:
    """A browser in which every page of `ORIGIN` has the kit. Skip without Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: install it (Debian: apt-get install chromium)")

    async def given(route: Route) -> None:
        if route.request.url.endswith(".js"):
            await route.fulfill(body=script, content_type="text/javascript")
        else:
            await route.fulfill(body="<!doctype html><script src='/kit.js'></script>", content_type="text/html")

    async with async_playwright() as playwright:
        # Root, as containers have it, may not use Chromium's sandbox; the page is our own.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context()
        await context.route("**/*", given)
        yield context
        await browser.close()


async def tab(context: BrowserContext) -> Page:
    page = await context.new_page()
    await page.goto(ORIGIN)
    return page


async def told(page: Page, work: str) -> dict[str, Any]:
    """Return what `work`, an expression, gives there, as `found` or as what is `refused`."""
    answer: dict[str, Any] = await page.evaluate(f"refusal(async () => {{ {work} }})")
    return answer


def opened(passphrase: str, then: str = "") -> str:
    return f"window.store = await kit.IndexedDbStore.open({{ passphrase: {passphrase!r} }}); {then}"


async def test_two_tabs_that_make_a_store_lose_nothing(context: BrowserContext) -> None:
    first, second = await tab(context), await tab(context)
    # The first has looked, and found nothing, before the second begins; it writes after the second has written.
    making = asyncio.create_task(told(first, f"held(); {opened('a passphrase of one')} await store.put(record('aa'));"))
    await first.evaluate("sealing")
    assert await told(second, opened("a passphrase of two", "await store.put(record('bb'));")) == {"found": None}
    await first.evaluate("go()")
    assert await making == {"refused": "wrong-key false"}
    again = await tab(context)
    assert await told(again, opened("a passphrase of two", "return (await store.all()).map((one) => one.key);")) == {
        "found": ["bb"]
    }


async def test_one_tab_works_on_a_swap_and_the_others_watch(context: BrowserContext) -> None:
    first, second = await tab(context), await tab(context)
    for page in (first, second):
        await told(page, opened("a passphrase"))
    await told(first, "await store.put(record('aa'));")
    held = "await new Promise((begun) => void store.exclusive('aa', () => (begun(), new Promise(() => {}))));"
    assert await told(first, held) == {"found": None}
    work = "return store.exclusive('aa', async () => 'mine');"
    assert await told(second, work) == {"refused": "busy true"}
    assert await told(second, "return (await store.get('aa')).stage;") == {"found": "opening"}
    assert await told(second, "return store.exclusive('bb', async () => 'another swap');") == {"found": "another swap"}
    await first.close()
    assert await told(second, f"return free(async () => {{ {work} }});") == {"found": "mine"}


async def test_a_browser_without_locks_is_refused(context: BrowserContext) -> None:
    page = await tab(context)
    await page.evaluate("Object.defineProperty(navigator, 'locks', { value: undefined })")
    assert await told(page, opened("a passphrase")) == {"refused": "unsupported false"}


async def test_a_disk_that_is_full_and_a_database_that_goes_away(context: BrowserContext) -> None:
    page = await tab(context)
    await told(page, opened("a passphrase", "await store.put(record('aa'));"))
    assert await told(page, "await full(() => store.put(record('bb')));") == {"refused": "store true"}
    assert await told(page, "return (await store.all()).length;") == {"found": 1}
    other = await tab(context)
    await other.evaluate(
        "new Promise((resolve) => { indexedDB.deleteDatabase('causeway').onsuccess = () => resolve(1); })"
    )
    for work in ("await store.get('aa');", "await store.put(record('aa'));", "await store.all();"):
        assert await told(page, work) == {"refused": "store true"}


async def test_one_damaged_record_holds_up_no_other(context: BrowserContext) -> None:
    page = await tab(context)
    await told(page, opened("a passphrase", "for (const key of ['aa', 'bb']) await store.put(record(key));"))
    await page.evaluate(
        """new Promise((resolve) => {
          const request = indexedDB.open('causeway');
          request.onsuccess = () => {
            const swaps = request.result.transaction('swaps', 'readwrite').objectStore('swaps');
            swaps.put({ iv: new Uint8Array(12), data: new Uint8Array(40) }, 'aa').onsuccess = () => resolve(1);
          };
        })"""
    )
    assert await told(page, "return (await store.all()).map((one) => one.key);") == {"found": ["bb"]}
    assert await told(page, "await store.get('aa');") == {"refused": "wrong-key false"}


@pytest.mark.parametrize(("name", "code"), [("NotAllowedError", "declined true"), ("SecurityError", "wallet true")])
async def test_a_passkey_that_is_not_used(context: BrowserContext, name: str, code: str) -> None:
    page = await tab(context)
    failing = f"navigator.credentials.create = () => Promise.reject(new DOMException('no', '{name}'));"
    assert await told(page, f"{failing} await kit.createPasskey('me');") == {"refused": code}


async def test_tabs_remember_final_blocks_together(context: BrowserContext) -> None:
    first, second = await tab(context), await tab(context)
    for page in (first, second):
        assert await told(page, opened("a passphrase")) == {"found": None}
    grown = "(known) => ({ final: [...(known?.final ?? []), { height: 1, hash: 'ab' }] })"
    many = f"await Promise.all(Array.from({{ length: 10 }}, () => store.remember('eip155:1', {grown})));"
    assert list(await asyncio.gather(told(first, many), told(second, many))) == [{"found": None}] * 2
    assert await told(second, "return (await store.remember('eip155:1')).final.length;") == {"found": 20}
    assert await told(second, "return (await store.remember('eip155:2')) ?? 'nothing';") == {"found": "nothing"}
    assert await told(second, "return (await store.all()).length;") == {"found": 0}
    kept = "return JSON.stringify(await new Promise((read) => (indexedDB.open('causeway').onsuccess = ({ target }) => {"
    kept += "target.result.transaction('meta').objectStore('meta').get('chain/eip155:1').onsuccess = (one) =>"
    kept += "read(Object.keys(one.target.result)); })));"
    assert await told(second, kept) == {"found": '["iv","data"]'}
