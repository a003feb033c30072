/** The swap page: keys, a wallet, a price, and swaps that go on until they are done. */
import { ConsortiumChain } from "../../kit/src/chains/consortium.js";
import { EthereumChain } from "../../kit/src/chains/ethereum.js";
import type { SwapChain } from "../../kit/src/chains/port.js";
import { SwapClient } from "../../kit/src/swap/client.js";
import type { QuoteBody } from "../../kit/src/swap/quote.js";
import { Card } from "./swapping/card.js";
import { Door } from "./swapping/door.js";
import { button, identifier, make, one, say, show } from "./swapping/dom.js";
import { type Facts, type Pair, readFacts, readPairs, relayerUrl } from "./swapping/facts.js";
import { Form } from "./swapping/form.js";
import type { Opened } from "./swapping/keys.js";
import { type Shown, offered } from "./swapping/offer.js";
import { Runner } from "./swapping/runner.js";
import { type Connected, connectedBefore, offerWallets, whenChanged } from "./swapping/wallets.js";
import { type Trouble, clock, trouble } from "./swapping/words.js";

const TICK_MS = 1_000;
const PAIRS_MS = 30_000;
const ALARMS_MS = 3_000;

/** What can swap: once there are a key and, for Ethereum, a wallet. */
class Desk {
  readonly runner: Runner;
  private readonly client: SwapClient;
  private readonly cards = new Map<string, Card>();
  private readonly form: Form;
  private pairs: Pair[] = [];
  private offer: Shown | undefined;
  private quoted: QuoteBody | undefined;
  private alarmed = "";

  constructor(
    private readonly page: Page,
    private readonly facts: Facts,
    opened: Opened,
    wallet: Connected | undefined,
  ) {
    const chains = facts.chains.flatMap((chain): SwapChain[] => {
      if (chain.kind === "consortium") return [new ConsortiumChain({ ...chain, key: opened.key })];
      const on = wallet?.on.get(chain.id);
      return on === undefined || chain.contract === null ? [] : [new EthereumChain({ ...chain, contract: chain.contract, wallet: on })];
    });
    this.client = new SwapClient({ relayer: relayerUrl(facts), relayerKey: facts.relayer_key, chains, store: opened.store, policy: facts.policy });
    const byId = new Map(chains.map((chain) => [chain.id, chain]));
    this.runner = new Runner(this.client, byId, (key) => this.redrawn(key));
    this.form = new Form(facts, (asset) => byId.get(asset.split("/")[0] ?? "")?.balance(asset) ?? Promise.reject(new Error("no such chain")), (request) => this.price(request));
  }

  async begin(): Promise<void> {
    for (const id of ["asking", "mine", "safe"]) show(one(id), true);
    void this.keepPairs();
    void this.keepAlarms();
    await this.runner.begin();
    void this.runner.watch();
    setInterval(() => this.tick(), TICK_MS);
  }

  private async keepAlarms(): Promise<never> {
    for (;;) {
      await this.alarm();
      await new Promise((resolve) => setTimeout(resolve, ALARMS_MS));
    }
  }

  /** Final blocks that were replaced: only the owner can say that the swaps on these chains go on. */
  private async alarm(): Promise<void> {
    const open = await this.client.alarms().catch(() => undefined);
    if (open === undefined) return;
    const shown = [...open].map(([chain, { height, noticedS }]) => `${chain} ${height} ${noticedS}`).join();
    if (shown === this.alarmed) return;
    this.alarmed = shown;
    one("alarms").replaceChildren(...[...open].map(([chain, { height, noticedS }]) => {
      const name = this.facts.chains.find(({ id }) => id === chain)?.name ?? chain;
      const looked = button("I have looked into it: go on", async () => {
        looked.disabled = true;
        await this.client.acknowledge(chain).catch((error: unknown) => this.page.complain(error));
        await this.alarm();
      });
      return make(
        "div", { class: "alert", role: "alert", "data-chain": chain }, make("strong", {}, `What was final on ${name} was replaced`),
        ` Block ${height}, which this browser saw as final, is another one now (noticed ${clock(noticedS)}). Nothing is locked or revealed on this chain until you say that it may; claims and refunds go on. Look at the chain in an explorer, and ask who runs its nodes, first. `,
        looked,
      );
    }));
  }

  private async keepPairs(): Promise<never> {
    for (;;) {
      try {
        this.pairs = await readPairs(this.facts);
        this.form.offer(this.pairs);
      } catch (error) {
        if (this.pairs.length === 0) this.page.complain(error);
      }
      await new Promise((resolve) => setTimeout(resolve, PAIRS_MS));
    }
  }

  private async price(request: Parameters<SwapClient["quote"]>[0]): Promise<void> {
    this.page.clear();
    try {
      const quote = await this.client.quote(request);
      this.quoted = quote;
      const pair = this.pairs.find((known) => known.give.id === quote.initiator_asset && known.get.id === quote.participant_asset);
      const swap = button("Swap", () => this.open(swap), "main");
      const other = button("Get a new price", () => this.form.submit());
      this.offer = offered(this.facts, quote, pair, [swap, other]);
      one("offer-body").replaceChildren(this.offer.node);
      show(one("offer"), true);
      one("offer-title").focus();
      this.tick();
      void this.form.balances();
    } catch (error) {
      this.close();
      this.page.complain(error, true);
    }
  }

  private close(): void {
    this.offer = this.quoted = undefined;
    show(one("offer"), false);
  }

  private async open(by: HTMLButtonElement): Promise<void> {
    const quote = this.quoted;
    if (quote === undefined) return;
    by.disabled = true;
    say(by, "Open your wallet…");
    this.page.clear();
    try {
      const view = await this.client.open(quote);
      this.close();
      this.form.empty();
      this.runner.put(view);
      this.runner.start(view.key);
      this.cards.get(view.key)?.node.scrollIntoView({ block: "nearest" });
    } catch (error) {
      this.close();
      this.page.complain(error, true);
      await this.refresh(quote.id);
    }
  }

  /** An opening that came to nothing is in the store, too. */
  private async refresh(key: string): Promise<void> {
    try {
      this.runner.put(await this.client.swap(key));
    } catch {
      // It was never stored.
    }
  }

  private async openAgain(key: string): Promise<void> {
    const going = this.runner.swaps.get(key);
    if (going === undefined) return;
    try {
      going.stopped = undefined;
      this.runner.put(await this.client.open(going.view.quote));
      this.runner.start(key);
    } catch (error) {
      going.stopped = error;
      this.redrawn(key);
    }
  }

  /** The same amounts again, at today's price. */
  private async priceAgain(key: string): Promise<void> {
    const { quote } = this.runner.swaps.get(key)?.view ?? {};
    if (quote === undefined) return;
    await this.forget(key);
    this.form.fill(quote);
    this.form.submit();
    one("asking").scrollIntoView({ block: "nearest" });
  }

  private async forget(key: string): Promise<void> {
    try {
      if (!(await this.runner.forget(key))) return;
    } catch (error) {
      return this.page.complain(error, true);
    }
    this.cards.get(key)?.node.remove();
    this.cards.delete(key);
    show(one("none"), this.cards.size === 0);
  }

  private redrawn(key: string): void {
    const known = this.cards.get(key);
    if (known === undefined) {
      const card = new Card(this.facts, this.runner, key, {
        openAgain: (one) => void this.openAgain(one),
        priceAgain: (one) => void this.priceAgain(one),
        forget: (one) => void this.forget(one),
      });
      this.cards.set(key, card);
      one("swaps").prepend(card.node);
      show(one("none"), false);
      return;
    }
    const before = known.node.dataset["stage"];
    known.update();
    if (before !== known.node.dataset["stage"]) {
      this.page.news(known.spoken());
      void this.form.balances();
    }
  }

  private tick(): void {
    if (this.offer !== undefined && !this.offer.tick(Math.ceil(Date.now() / 1000))) {
      for (const swap of one("offer-body").querySelectorAll<HTMLButtonElement>("button.main")) swap.disabled = true;
    }
    for (const card of this.cards.values()) if (card.node.dataset["stage"] !== "done") card.update();
  }
}

class Page {
  async begin(): Promise<void> {
    try {
      if (!isSecureContext) throw new Error("Browsers encrypt nothing on this address: open the page by https, or at localhost.");
      const facts = await readFacts();
      const opened = await new Door(this).passed();
      show(one("inside"), true);
      const wallet = await this.wallet(facts);
      this.account("Consortium key", new Map(facts.chains.filter((chain) => chain.kind === "consortium").map((chain) => [chain.id, new ConsortiumChain({ ...chain, key: opened.key }).account])));
      if (wallet !== undefined) {
        this.account(wallet.found.name, new Map([["", wallet.address]]));
        // Another account is another person, for all that this page knows: everything begins again.
        whenChanged(wallet, () => location.reload());
      }
      await new Desk(this, facts, opened, wallet).begin();
    } catch (error) {
      this.complain(error);
    }
  }

  private async wallet(facts: Facts): Promise<Connected | undefined> {
    const chains = facts.chains.filter((chain) => chain.kind === "evm");
    if (chains.length === 0) return undefined;
    const before = await connectedBefore(chains).catch(() => undefined);
    if (before !== undefined) return before;
    show(one("wallet"), true);
    const made = await new Promise<Connected>((chosen) => {
      const look = (): void => void offerWallets(chains, chosen, (error) => this.complain(error));
      one("look").addEventListener("click", look);
      look();
    });
    show(one("wallet"), false);
    this.clear();
    return made;
  }

  private account(name: string, accounts: ReadonlyMap<string, string>): void {
    for (const account of accounts.values()) one("keys").append(make("li", {}, make("span", { class: "none" }, name), " ", identifier(account.split(":").at(-1) ?? account, 14)));
  }

  complain(error: unknown, before = false): void {
    const { title, text, act }: Trouble = trouble(error, before);
    one("trouble").replaceChildren(make("div", { class: "alert", role: "alert" }, make("strong", {}, title), ` ${text} `, make("span", {}, act)));
  }

  clear(): void {
    one("trouble").replaceChildren();
  }

  news(text: string): void {
    say(one("news"), text);
  }
}

void new Page().begin();
