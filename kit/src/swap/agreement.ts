/** What is agreed: made of the quote and our own accounts; the relayer's answer adds two timelocks and is otherwise compared. */
import type { components } from "../api/relayer.types.js";
import type { Bytes } from "../evidence/bytes.js";
import { chainOf } from "./identifiers.js";
import { rejected } from "../errors.js";
import type { QuoteBody } from "./quote.js";
import { type Terms, type TermsBody, baseUnits, hex, swapId, termsBody, termsOf } from "./terms.js";
import { type ChainTiming, type SwapPolicy, checkGap, checkLock } from "./timelocks.js";

/** The relayer's answer to `POST /v1/swaps`. */
export type SwapAnswer = components["schemas"]["SwapBody"];

export interface Agreement {
  readonly id: string;
  /** Our lock, and theirs. */
  readonly ours: Terms;
  readonly theirs: Terms;
  /** True time, Unix seconds: we lock before it or not at all. */
  readonly lockDeadline: number;
}

/** The limits that a client insists on, in seconds. */
export interface Limits {
  readonly policy: SwapPolicy;
  readonly maxLockS: number;
  /** How much later than quoted the timelocks may be. */
  readonly timelockSlackS: number;
}

const FIELDS = ["chain", "asset", "amount", "sender", "receiver", "hashlock", "timelock"] as const;

/** The agreement to lock on. Throws a `CausewayError` that names what is not as quoted, or the gate that is closed. */
export function agreed(
  quote: QuoteBody,
  hashlock: Bytes,
  sender: string,
  receiver: string,
  answer: SwapAnswer,
  timings: Readonly<Record<string, ChainTiming>>,
  limits: Limits,
  nowS: number,
): Agreement {
  const [first, second] = [chainOf(quote.initiator_asset), chainOf(quote.participant_asset)];
  if (first === second) throw rejected("the legs of a swap are on two chains: ask for another quote");
  const [initiator, participant] = [answeredTerms(answer, "initiator"), answeredTerms(answer, "participant")];
  const ours: Terms = {
    chain: first, asset: quote.initiator_asset, amount: baseUnits(quote.initiator_amount), sender,
    receiver: quote.participant_receiver, hashlock, timelock: initiator.timelock,
  };
  const theirs: Terms = {
    chain: second, asset: quote.participant_asset, amount: baseUnits(quote.participant_amount),
    sender: quote.participant_sender, receiver, hashlock, timelock: participant.timelock,
  };
  compare("initiator", termsBody(ours), initiator);
  compare("participant", termsBody(theirs), participant);
  // A timelock comes from the answer alone, accounts from the quote: a number in words would be added up, one beyond 40 bits read as an earlier one.
  for (const terms of [initiator, participant]) termsOf(terms);
  const id = swapId(ours, theirs);
  if (answer.id !== id || answer.hashlock !== hex(hashlock)) throw rejected("the relayer's swap id is not the digest of the agreed terms: nothing was locked");
  if (answer.role !== "liquidity-provider" || answer.done) throw rejected(`the relayer does not take part in this swap (${answer.phase}): ask for a new quote`);
  if (!Number.isSafeInteger(answer.lock_deadline) || answer.lock_deadline < 0) throw rejected("the deadline for our lock is not a time");
  notLaterThanQuoted("initiator", ours.timelock - nowS, Math.min(limits.maxLockS, quote.initiator_lock_s + limits.timelockSlackS));
  notLaterThanQuoted("participant", theirs.timelock - nowS, quote.participant_lock_s + limits.timelockSlackS);
  const [a, b] = [timingOf(timings, first), timingOf(timings, second)];
  checkLock(nowS, theirs.timelock, a, b, limits.policy);
  checkGap(ours.timelock, theirs.timelock, a, b, limits.policy);
  return { id, ours, theirs, lockDeadline: answer.lock_deadline };
}

export function timingOf(timings: Readonly<Record<string, ChainTiming>>, chain: string): ChainTiming {
  const found = timings[chain];
  if (found === undefined) throw rejected(`this client does not know ${chain}: configure it`);
  return found;
}

function answeredTerms(answer: SwapAnswer, leg: "initiator" | "participant"): TermsBody {
  const terms = (answer[leg] as { terms?: TermsBody | null } | null | undefined)?.terms;
  if (typeof terms !== "object" || terms === null) throw rejected(`the relayer's answer has no ${leg} leg: nothing was locked`);
  return terms;
}

function compare(leg: string, expected: TermsBody, answered: TermsBody): void {
  const differs = FIELDS.filter((name) => expected[name] !== answered[name]);
  if (differs.length > 0) throw rejected(`the relayer's ${leg} leg is not as quoted, it differs in ${differs.join(", ")}: nothing was locked`);
}

function notLaterThanQuoted(leg: string, farS: number, mostS: number): void {
  if (!(farS <= mostS)) throw rejected(`the ${leg} leg's timelock is ${farS} s away, at most ${mostS} s were agreed: nothing was locked`);
}
