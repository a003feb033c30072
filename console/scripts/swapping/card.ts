/** One swap as a card: where it is, what it waits for, both legs side by side, and what its owner can do. */
import type { SwapView } from "../../../kit/src/swap/client.js";
import type { TermsBody } from "../../../kit/src/swap/terms.js";
import { button, identifier, make, say, show } from "./dom.js";
import { type Facts, assetOf, chainOf, isToken } from "./facts.js";
import type { Going, Heads, LegSeen, Runner } from "./runner.js";
import { amount, clock, span, trouble } from "./words.js";

const STEPS = ["Agree", "You lock", "They lock", "You claim"] as const;
const AT: Readonly<Record<SwapView["stage"], number>> = { opening: 0, agreed: 1, locking: 1, locked: 2, revealing: 3, refunding: 3, done: 4 };

/** What the page does for a swap that was not agreed on. */
export interface Acts {
  openAgain(key: string): void;
  /** Ask for a new price of the same amounts. */
  priceAgain(key: string): void;
  forget(key: string): void;
}

export class Card {
  readonly node: HTMLElement;
  private readonly state = make("span", { class: "state" });
  private readonly steps = STEPS.map((text) => make("li", {}, make("span", {}, text)));
  private readonly now = make("p", { class: "doing" });
  private readonly waits = make("p", { class: "hint" });
  private readonly alert = make("div", { class: "alert" });
  private readonly ours: Leg;
  private readonly theirs: Leg;
  private readonly again: HTMLButtonElement;
  private readonly off: HTMLButtonElement;
  private readonly anew: HTMLButtonElement;
  private readonly gone: HTMLButtonElement;
  private readonly facts_: readonly HTMLElement[];

  constructor(
    private readonly facts: Facts,
    private readonly runner: Runner,
    private readonly key: string,
    acts: Acts,
  ) {
    const { quote, createdS } = this.going.view;
    const [give, get] = [written(facts, quote.initiator_asset, quote.initiator_amount), written(facts, quote.participant_asset, quote.participant_amount)];
    this.ours = new Leg("You give", give, chainOf(facts, quote.initiator_asset)?.name ?? quote.initiator_asset);
    this.theirs = new Leg("You get", get, chainOf(facts, quote.participant_asset)?.name ?? quote.participant_asset);
    this.again = button("Go on", () => (this.going.view.stage === "opening" ? acts.openAgain(key) : runner.start(key)), "main");
    this.anew = button("Get a new price", () => acts.priceAgain(key), "main");
    this.gone = button("Remove", () => acts.forget(key));
    this.off = button("Call it off", () => {
      this.off.disabled = true;
      void runner.callOff(key).catch(() => undefined).finally(() => (this.off.disabled = false));
    });
    this.facts_ = [make("span", { class: "id" })];
    const title = make("h3", { id: `swap-${key}` }, make("span", {}, give, make("span", { class: "to", "aria-hidden": "true" }, " → "), make("span", { class: "hidden" }, " for "), get), this.state);
    this.node = make(
      "article", { class: "card swap", "aria-labelledby": `swap-${key}`, "data-key": key }, title,
      make("ol", { class: "steps" }, ...this.steps), this.now, this.waits, this.alert,
      make("div", { class: "legs" }, this.ours.node, this.theirs.node),
      make("p", { class: "acts" }, this.again, this.anew, this.off, this.gone, make("span", { class: "hint" }, `begun ${clock(createdS)}`), ...this.facts_),
    );
    this.update();
  }

  /** The swap in a sentence, for whoever listens. */
  spoken(): string {
    const { view, running } = this.going;
    return this.sentence(view, running);
  }

  private get going(): Going {
    return this.runner.swaps.get(this.key) as Going;
  }

  update(): void {
    const { view, waitsFor, stopped, running, seen } = this.going;
    this.node.dataset["stage"] = view.stage;
    this.node.dataset["result"] = view.result ?? "";
    say(this.state, hasExpired(view) ? "expired" : stateOf(view));
    this.state.className = `state ${tone(view)}`;
    this.steps.forEach((step, place) => this.step(step, place, view));
    say(this.now, this.sentence(view, running));
    say(this.waits, waitsFor === undefined ? "" : `Waits for ${waitsFor.replace(/^another look: /, "another look, since ")}.`);
    show(this.waits, waitsFor !== undefined);
    this.complain(view, stopped);
    this.ours.update(view.terms.ours, seen.ours, this.heads(view.terms.ours), [view.allowance?.tx, view.lockTx, view.refundTx], "ours", view);
    this.theirs.update(view.terms.theirs, seen.theirs, this.heads(view.terms.theirs), [view.claimTx], "theirs", view);
    // What came out of a backup may have been locked elsewhere: it is looked for, however old, and kept.
    const begun = view.stage === "opening" && !view.restored && !running;
    const expired = begun && hasExpired(view);
    show(this.again, !running && view.stage !== "done" && !expired);
    show(this.anew, expired);
    show(this.gone, begun);
    say(this.again, view.stage === "opening" && view.restored ? "Look for its lock" : "Go on");
    const offered = view.calledOff === undefined && ["agreed", "locking", "locked"].includes(view.stage);
    show(this.off, offered);
    const [id] = this.facts_;
    if (id !== undefined && view.id !== undefined && id.childElementCount === 0) id.append("swap ", identifier(view.id));
  }

  private heads(terms: TermsBody | undefined): Heads | undefined {
    return terms === undefined ? undefined : this.runner.heads.get(terms.chain);
  }

  private step(node: HTMLElement, place: number, view: SwapView): void {
    const refunds = view.stage === "refunding" || view.result === "refunded";
    if (place === 3) say(node.firstElementChild as Element, refunds ? "You are refunded" : (STEPS[3] as string));
    const at = AT[view.stage];
    const skipped = refunds && place === 2 ? "off" : view.result === "abandoned" || view.result === "lost" ? "off" : undefined;
    node.className = skipped ?? (place < at ? "done" : place === at ? "now" : "");
    if (place === at) node.setAttribute("aria-current", "step");
    else node.removeAttribute("aria-current");
  }

  private sentence(view: SwapView, running: boolean): string {
    const [give, get] = [written(this.facts, view.quote.initiator_asset, view.quote.initiator_amount), written(this.facts, view.quote.participant_asset, view.quote.participant_amount)];
    const off = view.calledOff === undefined ? "" : ` It was called off: ${view.calledOff}.`;
    switch (view.stage) {
      case "opening": return this.opening(view, running);
      case "agreed": return view.restored ? seeking(give) : `Both sides know the terms; nothing is locked yet. ${this.next(view, give)}`;
      case "locking": return view.restored ? seeking(give) : `Your lock is on its way.${off}`;
      case "locked": return view.calledOff === undefined ? "Your lock is final. Now the relayer locks; this page looks for its lock on the chain itself." : `Your ${give} come back after the timelock.${off}`;
      case "revealing": return `The relayer's lock is as agreed, and final. You claim ${get}.`;
      case "refunding": return `The time is over: your ${give} come back now.${off}`;
      default: return this.outcome(view, give, get);
    }
  }

  private opening(view: SwapView, running: boolean): string {
    if (running) return "The wallet is asked to sign that the account is yours.";
    if (view.restored) return "It was not agreed to the end when the backup was made. If the other browser has locked since, look for that lock here; this browser locks nothing for it.";
    return hasExpired(view) ? "The quote expired before both sides agreed. Nothing was locked: your money has not moved." : "It was not agreed to the end. Nothing was locked.";
  }

  /** What the wallet is asked for next. */
  private next(view: SwapView, give: string): string {
    const contract = chainOf(this.facts, view.quote.initiator_asset)?.contract?.split(":").at(-1);
    const token = assetOf(this.facts, view.quote.initiator_asset);
    if (!isToken(view.quote.initiator_asset) || token === undefined || contract === undefined) return `Your ${give} are locked next.`;
    const units = BigInt(view.allowance?.units ?? view.quote.initiator_amount);
    const what = units === 0n ? `takes back an older allowance, as ${token.symbol} wants it` : `lets the contract ${contract} take exactly ${amount(units, token)}, no more`;
    return `Your wallet first ${what}; then your ${give} are locked.`;
  }

  private outcome(view: SwapView, give: string, get: string): string {
    const why = view.calledOff === undefined ? "" : ` Why: ${view.calledOff}.`;
    if (view.result === "completed") return `Done: ${get} are yours.`;
    if (view.result === "refunded") return `Your ${give} are back.${why}`;
    if (view.result === "abandoned") return `Nothing was locked.${why}`;
    return `The relayer took your ${give}, and its own lock was not claimed in time: this device was away for too long after the reveal.`;
  }

  private complain(view: SwapView, stopped: unknown): void {
    show(this.alert, stopped !== undefined && view.stage !== "done");
    if (stopped === undefined) return;
    const { title, text, act } = trouble(stopped, view.stage === "opening" || view.stage === "agreed");
    const words = [title, text, act].filter((one) => one !== "").join(" ");
    if (this.alert.textContent !== words) this.alert.replaceChildren(make("strong", {}, title), ` ${text} `, make("span", {}, act));
  }
}

class Leg {
  readonly node: HTMLElement;
  private readonly status = make("p", { class: "light" });
  private readonly height = make("dd");
  private readonly final = make("dd");
  private readonly until = make("dd");
  private readonly untilName = make("dt");
  private readonly transactions = make("dd");
  private shown = "";

  constructor(what: string, amount_: string, chain: string) {
    const list = make(
      "dl", {}, make("dt", {}, "Newest block"), this.height, make("dt", {}, "Final up to"), this.final, this.untilName, this.until,
      make("dt", {}, "Transactions"), this.transactions,
    );
    this.node = make("section", { class: "leg" }, make("h4", {}, make("span", {}, what), this.status), make("p", { class: "sum" }, make("strong", {}, amount_), ` on ${chain}`), list);
  }

  update(terms: TermsBody | undefined, seen: LegSeen | undefined, heads: Heads | undefined, transactions: readonly (string | undefined)[], whose: "ours" | "theirs", view: SwapView): void {
    const { text, tone: light } = statusOf(seen, view);
    say(this.status, text);
    this.status.className = `light ${light}`;
    say(this.height, heads === undefined ? "—" : `#${heads.latest}`);
    say(this.final, heads === undefined ? "—" : `#${heads.final}`);
    say(this.untilName, whose === "ours" ? "Comes back from" : "To be claimed before");
    say(this.until, terms === undefined ? "—" : until(terms.timelock, heads, view));
    const known = transactions.filter((one) => one !== undefined);
    if (this.shown !== known.join()) this.transactions.replaceChildren(...known.flatMap((one, place) => [...(place > 0 ? [make("br")] : []), identifier(one)]));
    if (known.length === 0) say(this.transactions, "—");
    this.shown = known.join();
  }
}

/** By the chain's own time, which decides; the device's runs on between two looks. */
function until(timelock: number, heads: Heads | undefined, view: SwapView): string {
  const left = timelock - Math.floor(Date.now() / 1000);
  void heads;
  if (view.stage === "done") return clock(timelock);
  return left > 0 ? `${clock(timelock)} (in ${span(left)})` : `${clock(timelock)} (passed)`;
}

function statusOf(seen: LegSeen | undefined, view: SwapView): { text: string; tone: string } {
  if (seen?.newest === undefined || seen.newest.status === "absent") return { text: view.stage === "done" ? "no lock" : "no lock yet", tone: "none" };
  if (!seen.newest.termsMatch) return { text: "not as agreed", tone: "bad" };
  const final = seen.final?.status === seen.newest.status && seen.final.termsMatch;
  const said = `${seen.newest.status}${final ? ", final" : ", not final yet"}`;
  return { text: said, tone: seen.newest.status === "refunded" ? "wait" : final ? "good" : "wait" };
}

/** The price is over, and nobody agreed to it. */
const hasExpired = (view: SwapView): boolean => view.stage === "opening" && Date.now() / 1000 >= view.quote.expires_at;

const seeking = (give: string): string => `This swap came out of a backup. If the other browser has locked your ${give} since, this page finds that lock and goes on with it. It makes no lock itself.`;

function stateOf(view: SwapView): string {
  if (view.result !== undefined) return { completed: "completed", refunded: "refunded", abandoned: "nothing locked", lost: "lost" }[view.result];
  return { opening: "not agreed", agreed: "agreed", locking: "locking", locked: "locked", revealing: "claiming", refunding: "refunding", done: "done" }[view.stage];
}

function tone(view: SwapView): string {
  if (view.result === "completed") return "claimed";
  if (view.result === "lost") return "one-sided";
  return view.result === "refunded" || view.stage === "refunding" || view.calledOff !== undefined ? "refunded" : "going";
}

export function written(facts: Facts, asset: string, units: string): string {
  const known = assetOf(facts, asset);
  return known === undefined ? `${units} base units of ${asset}` : amount(BigInt(units), known);
}


