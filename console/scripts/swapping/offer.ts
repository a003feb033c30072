/** A checked price, before anybody agrees to it: what is paid and got, what it costs, how long it takes, what can go wrong. */
import { rpc } from "../../../kit/src/chains/endpoints.js";
import { APPROVE_GAS, LOCK_GAS, LOCK_TOKEN_GAS, SETTLE_GAS, SETTLE_TOKEN_GAS } from "../../../kit/src/chains/ethereum.js";
import type { QuoteBody } from "../../../kit/src/swap/quote.js";
import { make, rows, say } from "./dom.js";
import { type Facts, type Pair, assetOf, chainOf, isToken } from "./facts.js";
import { amount, ratio, span } from "./words.js";

const COIN = { id: "", symbol: "ETH", decimals: 18 };

export interface Shown {
  readonly node: HTMLElement;
  /** Called each second; false once the price is no longer good. */
  tick(nowS: number): boolean;
}

export function offered(facts: Facts, quote: QuoteBody, pair: Pair | undefined, acts: readonly HTMLElement[]): Shown {
  const [give, get] = [assetOf(facts, quote.initiator_asset), assetOf(facts, quote.participant_asset)];
  const [a, b] = [chainOf(facts, quote.initiator_asset), chainOf(facts, quote.participant_asset)];
  if (give === undefined || get === undefined || a === undefined || b === undefined) throw new Error("this page does not know the assets of the price");
  const [paid, got] = [BigInt(quote.initiator_amount), BigInt(quote.participant_amount)];
  const whole = 10n ** BigInt(give.decimals);
  const left = make("strong");
  const network = make("span", {}, a.kind === "evm" || b.kind === "evm" ? "asking…" : "none");
  void gasText(facts, quote).then((text) => say(network, text));
  const list = rows(
    ["You get, exactly", `${amount(got, get)}, never less`],
    ["Rate", `1 ${give.symbol} = ${ratio(got * whole, paid * 10n ** BigInt(get.decimals))} ${get.symbol}`],
    ["Relayer's fee", feeText(paid, got, pair)],
    ["Network fees", network],
    ["Usually takes", `about ${span(usual(facts, quote))}`],
    ["Comes back, if nothing comes of it", `${span(quote.initiator_lock_s)} after you agree`],
    ["This price is good for", left],
  );
  const risks = make(
    "details", {}, make("summary", {}, "What can go wrong"),
    make(
      "ul", {},
      make("li", {}, `The relayer does not lock: your ${give.symbol} stay locked until the timelock, ${span(quote.initiator_lock_s)} at most, and then come back. This page asks for them.`),
      make("li", {}, `This device is off after your preimage was shown, for more than ${span(facts.policy.initiator_outage_s)}: then the relayer can take your ${give.symbol} and you may miss its ${get.symbol}. Keep the device on until the swap is done.`),
      make("li", {}, "You lose this browser's data and have no backup: then what the consortium key holds is lost."),
      make("li", {}, "The relayer cannot take your money otherwise: without its own final lock, for exactly the amount above and to your account, this page never shows your preimage."),
    ),
  );
  const legs = make(
    "div", { class: "deal" },
    make("p", {}, make("span", {}, "You give"), make("strong", {}, amount(paid, give)), make("span", {}, `on ${a.name}`)),
    make("p", {}, make("span", {}, "You get"), make("strong", {}, amount(got, get)), make("span", {}, `on ${b.name}`)),
  );
  const ask = a.kind === "evm" ? make("p", { class: "hint" }, asks(quote, amount(paid, give), a.contract)) : undefined;
  const node = make("div", {}, legs, list, risks, ...(ask === undefined ? [] : [ask]), make("p", { class: "acts" }, ...acts));
  return {
    node,
    tick(nowS) {
      const still = quote.expires_at - nowS;
      say(left, still > 0 ? span(still) : "no longer");
      return still > 0;
    },
  };
}

function asks(quote: QuoteBody, paid: string, contract: string | null): string {
  const free = "to sign that the account is yours, which costs nothing";
  if (!isToken(quote.initiator_asset)) return `Your wallet asks you twice: ${free}, and to lock ${paid}.`;
  return `Your wallet asks you three times: ${free}; to let the contract ${contract?.split(":").at(-1) ?? "of swaps"} take exactly ${paid}, no more; and to lock them.`;
}

function feeText(paid: bigint, got: bigint, pair: Pair | undefined): string {
  if (pair === undefined) return "in the amounts";
  const listed = (paid * pair.numerator) / pair.denominator;
  const fee = listed - got;
  if (fee <= 0n) return "none: the listed rate";
  return `${amount(fee, pair.get)} (${ratio(fee * 100n, listed)} %), taken off already`;
}

/** Both locks and the claim, each included and final. */
function usual(facts: Facts, quote: QuoteBody): number {
  const [a, b] = [chainOf(facts, quote.initiator_asset)?.timing, chainOf(facts, quote.participant_asset)?.timing];
  if (a === undefined || b === undefined) return 0;
  return a.block_time_s + a.finality_s + a.observation_s + 2 * (b.block_time_s + b.finality_s) + b.observation_s;
}

async function gasText(facts: Facts, quote: QuoteBody): Promise<string> {
  const [a, b] = [chainOf(facts, quote.initiator_asset), chainOf(facts, quote.participant_asset)];
  const [locking, claiming] = [isToken(quote.initiator_asset) ? LOCK_TOKEN_GAS + APPROVE_GAS : LOCK_GAS, isToken(quote.participant_asset) ? SETTLE_TOKEN_GAS : SETTLE_GAS];
  const [chain, gas] = a?.kind === "evm" ? [a, locking] : [b, claiming];
  const [url] = chain?.endpoints ?? [];
  if (chain?.kind !== "evm" || url === undefined) return "none";
  try {
    const price = await rpc((input, init) => fetch(input, init), url, "eth_gasPrice", []);
    if (typeof price !== "string" || !/^0x[0-9a-f]{1,64}$/i.test(price)) return "the wallet says them";
    const cost = gas * BigInt(price);
    return `at most about ${ratio(cost, 10n ** 18n)} ${COIN.symbol} on ${chain.name}; none on the consortium chain`;
  } catch {
    return "the wallet says them";
  }
}
