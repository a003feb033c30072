/** Amounts, times and errors, as people read them. */
import { CausewayError, GateClosedError } from "../../../kit/src/errors.js";
import type { Asset } from "./facts.js";

const NUMBER = /^(?:[0-9]{1,60})(?:\.[0-9]{0,36})?$|^\.[0-9]{1,36}$/;

/** Base units in the asset's own unit, exactly, with its symbol. */
export function amount(units: bigint, asset: Asset): string {
  return `${decimal(units, asset.decimals)} ${asset.symbol}`;
}

export function decimal(units: bigint, decimals: number): string {
  const digits = units.toString().padStart(decimals + 1, "0");
  const [whole, rest] = [digits.slice(0, digits.length - decimals), digits.slice(digits.length - decimals).replace(/0+$/, "")];
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return rest === "" ? grouped : `${grouped}.${rest}`;
}

/** An amount for a glance: cut after six decimal places, never rounded up. */
export function rounded(units: bigint, asset: Asset): string {
  const cut = 10n ** BigInt(Math.max(0, asset.decimals - 6));
  return amount((units / cut) * cut, asset);
}

/** Base units of what somebody typed. Throws with what to do. */
export function typed(text: string, asset: Asset): bigint {
  const plain = text.trim().replace(/[\s\u202f_']/g, "");
  if (!NUMBER.test(plain)) throw new Error(`“${text.slice(0, 40)}” is not an amount: write digits, with a point before the fraction, such as 1.5`);
  const [whole = "0", rest = ""] = plain.split(".");
  const fraction = rest.replace(/0+$/, "");
  if (fraction.length > asset.decimals) throw new Error(`${asset.symbol} has ${asset.decimals} decimal places, this amount has ${fraction.length}`);
  const units = BigInt((whole === "" ? "0" : whole) + fraction.padEnd(asset.decimals, "0"));
  if (units === 0n) throw new Error("write an amount above zero");
  return units;
}

/** A number of significant digits that a person can compare: for rates, never for amounts that are paid. */
export function ratio(numerator: bigint, denominator: bigint): string {
  if (denominator === 0n) return "—";
  const scale = 10n ** 18n;
  const value = (numerator * scale) / denominator;
  const text = decimal(value, 18);
  const [whole = "0", rest = ""] = text.split(".");
  const keep = whole === "0" ? (/^0*/.exec(rest)?.[0].length ?? 0) + 5 : Math.max(0, 6 - whole.length);
  const cut = rest.slice(0, keep).replace(/0+$/, "");
  return cut === "" ? whole : `${whole}.${cut}`;
}

/** A span of time: 38 s, 12 min, 2 h 05 min, 3 days. */
export function span(seconds: number): string {
  const left = Math.max(0, Math.round(seconds));
  if (left < 120) return `${left} s`;
  if (left < 7_200) return `${Math.floor(left / 60)} min${left < 600 ? ` ${String(left % 60).padStart(2, "0")} s` : ""}`;
  if (left < 172_800) return `${Math.floor(left / 3_600)} h ${String(Math.floor((left % 3_600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(left / 86_400)} days`;
}

export function clock(timeS: number): string {
  const date = new Date(timeS * 1_000);
  const far = Math.abs(Date.now() - date.getTime()) > 12 * 3_600_000;
  return date.toLocaleString(undefined, far ? { dateStyle: "medium", timeStyle: "short" } : { timeStyle: "medium" });
}

export interface Trouble {
  readonly title: string;
  readonly text: string;
  readonly act: string;
}

const NOT_MOVED = "Nothing was locked: your money has not moved.";

const KNOWN: Readonly<Record<string, readonly [title: string, act: string]>> = {
  "clock-skew": ["The clocks do not agree", "Set this device's clock to the right time, or wait until the chain catches up. Then try again."],
  declined: ["You said no in the wallet", "Nothing went out. Go on when you are ready."],
  busy: ["Another tab works on it", "Look there, or close it: this page then goes on by itself."],
  "wrong-key": ["That does not open your keys", "Try the passphrase again, or the passkey that they were made with. Nobody can reset it."],
  "weak-passphrase": ["This passphrase is too short", "Use at least 8 characters; several words are better."],
  "no-prf": ["This passkey cannot encrypt", "Use a passphrase: your authenticator does not support what this needs (WebAuthn PRF)."],
  "no-quorum": ["The nodes contradict each other", "Wait a moment. If it stays so, one of them lies or lags: ask who runs this page."],
  unavailable: ["Somebody does not answer", "Nothing is lost. This page tries again; look at your connection if it lasts."],
  "payout-blocked": ["Somebody could not be paid now", "A token is paused, or refuses one of the accounts. Nothing is locked or shown meanwhile; this page tries again."],
  unaffordable: ["Your account holds too little", "Send it what is missing: a swap keeps ether for its claim and its refund. This page tries again until the time is over; what is locked comes back after its timelock."],
  "final-replaced": ["What was final was replaced", "Look into it, then say above that the swaps go on. Nothing is locked or shown meanwhile."],
  unsupported: ["This browser is too old", "Use a newer one: this one cannot keep two tabs from acting on the same swap."],
  wallet: ["The wallet did not do it", "Open the wallet, see what it says, and try again. Nothing is lost."],
  "wrong-chain": ["The wallet is on another chain", "Choose the right network in the wallet, then try again."],
  "quote-expired": ["The price is no longer good", "Ask for a new one."],
  "too-late": ["The time to lock is over", `${NOT_MOVED} Ask for a new price.`],
  "not-reserved": ["The relayer keeps nothing for you", `${NOT_MOVED} Ask for a new price.`],
  store: ["The browser's storage failed", "Nothing more was begun. Make room on this device, or leave private browsing, and try again."],
  "rate-limited": ["Too many questions at once", "Wait some seconds, then try again."],
  "too-many": ["Too many swaps that were not locked", "Wait some minutes, then try again: the relayer keeps its inventory for those who lock."],
  conflict: ["The relayer declines", `${NOT_MOVED} Read why, and ask for a new price.`],
  "not-found": ["The relayer does not trade this", "Choose other assets, or look again later."],
};

/** What went wrong, and what to do about it. `before`: nothing can have been locked yet. */
export function trouble(error: unknown, before: boolean): Trouble {
  const text = sentence(error instanceof Error ? error.message : String(error));
  if (error instanceof GateClosedError) return { title: "Too little time is left to go on safely", text, act: before ? `${NOT_MOVED} Ask for a new price.` : "What is locked comes back after its timelock." };
  if (!(error instanceof CausewayError)) return { title: "That did not work", text, act: "" };
  const known = KNOWN[error.code];
  if (known !== undefined) return { title: known[0], text, act: known[1] };
  if (error.message.startsWith("the relayer refuses")) return { title: "The relayer declines", text, act: before ? NOT_MOVED : "" };
  if (before) return { title: "Refused: this answer is not what was agreed", text, act: `${NOT_MOVED} This relayer, or somebody on the way to it, is wrong or dishonest: do not swap here until its operator explains it.` };
  return { title: "This swap does not go on", text, act: "Read why. What is locked comes back after its timelock." };
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
