/** A relayer's signed price, and what is checked of it before anybody believes it. */
import { ed25519 } from "@noble/curves/ed25519.js";
import type { components } from "../api/relayer.types.js";
import { concat, fromHex, utf8 } from "../evidence/bytes.js";
import { account, asset, chainOf } from "./identifiers.js";
import { type Packed, pack } from "../evidence/msgpack.js";
import { rejected } from "../errors.js";
import { baseUnits } from "./terms.js";

/** As it travels; see `/v1/quotes` of the relayer. */
export type QuoteBody = components["schemas"]["QuoteBody"];

/** What was asked for: exactly one of the two amounts, in base units. */
export interface QuoteRequest {
  readonly initiatorAsset: string;
  readonly participantAsset: string;
  readonly initiatorAmount?: bigint;
  readonly participantAmount?: bigint;
}

const FIELDS = [
  "id", "initiator_asset", "initiator_amount", "participant_asset", "participant_amount", "rate", "participant_receiver",
  "participant_sender", "initiator_lock_s", "participant_lock_s", "issued_at", "expires_at", "key",
] as const;
const TIMES = ["initiator_lock_s", "participant_lock_s", "issued_at", "expires_at"] as const;
const KEY = /^0x[0-9a-f]{64}$/;
const SIGNATURE = /^0x[0-9a-f]{128}$/;
const TEXTS = ["id", "initiator_asset", "initiator_amount", "participant_asset", "participant_amount", "participant_receiver", "participant_sender", "key", "signature"] as const;

/** The bytes that the relayer signed: every field but the signature, in order, numbers as decimal strings. */
export function quoteBytes(quote: QuoteBody): Uint8Array {
  const values = FIELDS.map((name): Packed => {
    if (name === "rate") return [quote.rate.numerator, quote.rate.denominator];
    if (name === "key") return fromHex(quote.key.slice(2));
    return String(quote[name]);
  });
  return concat(utf8("causeway quote v1\0"), pack(values));
}

/** Throws unless `key` (32 bytes in 0x-hex, learnt out of band) signed the quote and it has not expired by `nowS`. */
export function verifyQuote(quote: QuoteBody, key: string, nowS: number): void {
  if (TEXTS.some((name) => typeof quote[name] !== "string" || quote[name].length > 256)) throw rejected("the quote is not in its form");
  if (TIMES.some((name) => !Number.isSafeInteger(quote[name]) || quote[name] < 0)) throw rejected("a time of the quote is not a whole number of seconds");
  if (!KEY.test(quote.key) || quote.key !== key) throw rejected("the quote is signed with another key than the relayer's");
  if (!SIGNATURE.test(quote.signature) || !signed(quote)) throw rejected("the quote's signature does not fit it: ask for a new quote");
  if (nowS >= quote.expires_at) throw rejected("the quote has expired: ask for a new one", "quote-expired");
}

function signed(quote: QuoteBody): boolean {
  try {
    // The strict rule of RFC 8032, as the relayer's own library has it.
    return ed25519.verify(fromHex(quote.signature.slice(2)), quoteBytes(quote), fromHex(quote.key.slice(2)), { zip215: false });
  } catch {
    return false;
  }
}

/** Hold a quote against what was asked for. `maxLockS`: how long our money may be locked at most, in seconds. */
export function checkQuote(request: QuoteRequest, quote: QuoteBody, key: string, maxLockS: number, nowS: number): void {
  verifyQuote(quote, key, nowS);
  if (quote.initiator_asset !== request.initiatorAsset || quote.participant_asset !== request.participantAsset) throw rejected("the quote is for other assets than were asked for");
  const [give, get] = [baseUnits(quote.initiator_amount), baseUnits(quote.participant_amount)];
  const [numerator, denominator] = [baseUnits(quote.rate.numerator), baseUnits(quote.rate.denominator)];
  if (request.initiatorAmount !== undefined && give !== request.initiatorAmount) throw rejected("the quote is for another amount than was asked for");
  if (request.participantAmount !== undefined && get < request.participantAmount) throw rejected("the quote pays less than was asked for");
  const roundedUp = (get * denominator + numerator - 1n) / numerator;
  if (get !== (give * numerator) / denominator && (request.participantAmount === undefined || roundedUp !== give)) throw rejected("the quote's amounts do not follow from its rate");
  for (const [who, what] of [[quote.participant_receiver, quote.initiator_asset], [quote.participant_sender, quote.participant_asset]] as const) {
    if (chainOf(account(who)) !== chainOf(asset(what))) throw rejected(`the quote names ${who}, which is not an account on ${chainOf(what)}`);
  }
  if (quote.initiator_lock_s > maxLockS) throw rejected(`the quote locks our money for ${quote.initiator_lock_s} s, the limit is ${maxLockS} s`);
}
