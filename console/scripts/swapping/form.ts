/** What somebody wants to swap: assets, one of the two amounts, and what their accounts have. */
import type { QuoteRequest } from "../../../kit/src/swap/quote.js";
import { make, one, say } from "./dom.js";
import { type Asset, type Facts, type Pair, chainOf } from "./facts.js";
import { amount, decimal, rounded, typed } from "./words.js";

type Side = "give" | "get";

export class Form {
  private pairs: readonly Pair[] = [];
  private exact: Side = "give";
  private readonly held = new Map<string, bigint>();

  constructor(
    private readonly facts: Facts,
    private readonly balanceOf: (asset: string) => Promise<bigint>,
    private readonly ask: (request: QuoteRequest) => Promise<void>,
  ) {
    one("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    for (const side of ["give", "get"] as const) {
      this.input(side).addEventListener("input", () => {
        this.exact = side;
        this.input(side).removeAttribute("aria-invalid");
        this.estimate();
      });
      this.select(side).addEventListener("change", () => {
        if (side === "give") this.list();
        this.estimate();
        void this.balances();
      });
    }
    one("turn").addEventListener("click", () => this.turn());
  }

  offer(pairs: readonly Pair[]): void {
    const first = this.pairs.length === 0;
    this.pairs = pairs;
    const [give, get] = [this.select("give").value, this.select("get").value];
    this.options("give", unique(pairs.map((pair) => pair.give)), give);
    this.list(get);
    if (first) void this.balances();
    this.estimate();
  }

  submit(): void {
    const pair = this.pair();
    if (pair === undefined) return this.refuse(this.exact, "This is not offered now: choose other assets.");
    let units: bigint;
    try {
      units = typed(this.input(this.exact).value, this.exact === "give" ? pair.give : pair.get);
    } catch (error) {
      return this.refuse(this.exact, (error as Error).message);
    }
    const giving = this.exact === "give" ? units : (units * pair.denominator) / pair.numerator;
    const fault = this.fault(pair, giving);
    if (fault !== undefined) return this.refuse("give", fault);
    const price = one<HTMLButtonElement>("price");
    price.disabled = true;
    const amounts = this.exact === "give" ? { initiatorAmount: units } : { participantAmount: units };
    void this.ask({ initiatorAsset: pair.give.id, participantAsset: pair.get.id, ...amounts }).finally(() => (price.disabled = false));
  }

  /** Put a quote's assets and the amount that is given into the form. */
  fill(quote: { readonly initiator_asset: string; readonly participant_asset: string; readonly initiator_amount: string }): void {
    const pair = this.pairs.find((one) => one.give.id === quote.initiator_asset && one.get.id === quote.participant_asset);
    if (pair === undefined) return;
    this.select("give").value = pair.give.id;
    this.list(pair.get.id);
    this.exact = "give";
    this.input("give").value = decimal(BigInt(quote.initiator_amount), pair.give.decimals);
    this.input("give").removeAttribute("aria-invalid");
    this.estimate();
  }

  empty(): void {
    for (const side of ["give", "get"] as const) this.input(side).value = "";
    this.estimate();
  }

  /** Ask the chains what the accounts have of the chosen assets. */
  async balances(): Promise<void> {
    for (const side of ["give", "get"] as const) {
      const asset = this.select(side).value;
      if (asset === "") continue;
      try {
        this.held.set(asset, await this.balanceOf(asset));
      } catch {
        this.held.delete(asset);
      }
    }
    this.estimate();
  }

  private fault(pair: Pair, giving: bigint): string | undefined {
    if (pair.paused !== undefined) return `Not offered now: ${pair.paused}`;
    if (giving < pair.minimum) return `At least ${amount(pair.minimum, pair.give)} are swapped.`;
    if (giving > pair.maximum) return `At most ${amount(pair.maximum, pair.give)} are swapped at once.`;
    const held = this.held.get(pair.give.id);
    if (held !== undefined && held < giving) return `Your account has ${amount(held, pair.give)}: less than that.`;
    return undefined;
  }

  private refuse(side: Side, why: string): void {
    const [input, hint] = [this.input(side), one(`${side}-hint`)];
    input.setAttribute("aria-invalid", "true");
    hint.classList.add("wrong");
    say(hint, why);
    input.focus();
  }

  private turn(): void {
    const [give, get] = [this.select("give").value, this.select("get").value];
    if (!this.pairs.some((pair) => pair.give.id === get && pair.get.id === give)) return this.refuse("give", "The other direction is not offered.");
    const typed_ = this.input(this.exact).value;
    this.empty();
    this.select("give").value = get;
    this.list(give);
    this.exact = this.exact === "give" ? "get" : "give";
    this.input(this.exact).value = typed_;
    this.estimate();
    void this.balances();
  }

  /** The other amount at the listed rate: the price says it exactly. */
  private estimate(): void {
    const pair = this.pair();
    if (pair === undefined) return;
    const other: Side = this.exact === "give" ? "get" : "give";
    try {
      const units = typed(this.input(this.exact).value, this.exact === "give" ? pair.give : pair.get);
      const made = this.exact === "give" ? (units * pair.numerator) / pair.denominator : (units * pair.denominator) / pair.numerator;
      this.input(other).value = `${decimal(made, (other === "give" ? pair.give : pair.get).decimals)}`;
    } catch {
      this.input(other).value = "";
    }
    for (const side of ["give", "get"] as const) this.hint(side, pair);
  }

  private hint(side: Side, pair: Pair): void {
    if (this.input(side).getAttribute("aria-invalid") === "true") return;
    const asset = side === "give" ? pair.give : pair.get;
    const held = this.held.get(asset.id);
    const hint = one(`${side}-hint`);
    hint.classList.remove("wrong");
    const about = side === this.exact || this.input(side).value === "" ? "" : "About; the price says it exactly. ";
    say(hint, `${about}${chainOf(this.facts, asset.id)?.name ?? ""}${held === undefined ? "" : ` · you have ${rounded(held, asset)}`}`);
  }

  private pair(): Pair | undefined {
    return this.pairs.find((one) => one.give.id === this.select("give").value && one.get.id === this.select("get").value);
  }

  private list(chosen = this.select("get").value): void {
    const give = this.select("give").value;
    this.options("get", unique(this.pairs.filter((pair) => pair.give.id === give).map((pair) => pair.get)), chosen);
  }

  private options(side: Side, assets: readonly Asset[], chosen: string): void {
    const select = this.select(side);
    const ids = assets.map((asset) => asset.id).join();
    if (select.dataset["ids"] !== ids) select.replaceChildren(...assets.map((asset) => make("option", { value: asset.id }, asset.symbol)));
    select.dataset["ids"] = ids;
    if (assets.some((asset) => asset.id === chosen)) select.value = chosen;
  }

  private input(side: Side): HTMLInputElement {
    return one<HTMLInputElement>(`${side}-amount`);
  }

  private select(side: Side): HTMLSelectElement {
    return one<HTMLSelectElement>(side);
  }
}

const unique = (assets: readonly Asset[]): Asset[] => [...new Map(assets.map((asset) => [asset.id, asset])).values()];
