/** What one leg commits to, and the id that both sides compute from both legs. */
import type { components } from "../api/relayer.types.js";
import { type Bytes, fromHex, sha256, toHex, utf8 } from "../evidence/bytes.js";
import { account, asset, chainOf } from "./identifiers.js";
import { rejected } from "../errors.js";

/** Terms as they travel: amounts are decimal strings of base units, bytes 0x-hex, times Unix seconds. */
export type TermsBody = components["schemas"]["TermsBody"];

/** One leg. `amount` in base units, `hashlock` 32 bytes, `timelock` in Unix seconds of the leg's own chain. */
export interface Terms {
  readonly chain: string;
  readonly asset: string;
  readonly amount: bigint;
  readonly sender: string;
  readonly receiver: string;
  readonly hashlock: Bytes;
  readonly timelock: number;
}

const AMOUNT = /^[1-9][0-9]{0,77}$/;
const HEX32 = /^0x[0-9a-f]{64}$/;
const MAX_AMOUNT = 2n ** 256n;
const MAX_TIME_S = 2 ** 40;

/** Base units out of a decimal string. */
export function baseUnits(text: string): bigint {
  const value = AMOUNT.test(text) ? BigInt(text) : 0n;
  if (value <= 0n || value >= MAX_AMOUNT) throw rejected(`${JSON.stringify(text.slice(0, 80))} is not an amount: write base units, 1 or more and below 2^256`);
  return value;
}

export function bytes32(text: string, what: string): Bytes {
  if (!HEX32.test(text)) throw rejected(`${what} is not 32 bytes in lower-case hex`);
  return fromHex(text.slice(2));
}

export const hex = (bytes: Bytes): `0x${string}` => `0x${toHex(bytes)}`;

export function termsOf(body: TermsBody): Terms {
  const named = asset(body.asset);
  const [sender, receiver] = [account(body.sender), account(body.receiver)];
  if ([chainOf(named), chainOf(sender), chainOf(receiver)].some((one) => one !== body.chain)) throw rejected("the terms of a leg name two chains");
  if (!Number.isSafeInteger(body.timelock) || body.timelock <= 0 || body.timelock >= MAX_TIME_S) throw rejected("a timelock is not a time in Unix seconds");
  return { chain: body.chain, asset: named, amount: baseUnits(body.amount), sender, receiver, hashlock: bytes32(body.hashlock, "the hashlock"), timelock: body.timelock };
}

export const termsBody = (terms: Terms): TermsBody => ({
  chain: terms.chain,
  asset: terms.asset,
  amount: terms.amount.toString(),
  sender: terms.sender,
  receiver: terms.receiver,
  hashlock: hex(terms.hashlock),
  timelock: terms.timelock,
});

/** The digest of both legs, the initiator's first (docs/dapps/api.md): 16 bytes in hex. Amounts are exact however large. */
export function swapId(initiator: Terms, participant: Terms): string {
  const text = `[${canonical(initiator)},${canonical(participant)}]`;
  return toHex(sha256(utf8("causeway swap v1\0"), utf8(text)).slice(0, 16));
}

function canonical(terms: Terms): string {
  const quoted = (text: string): string => JSON.stringify(text);
  const hashlock = btoa(String.fromCharCode(...terms.hashlock));
  return `{"asset":${quoted(terms.asset)},"amount":${terms.amount},"sender":${quoted(terms.sender)},"receiver":${quoted(terms.receiver)},"hashlock":"${hashlock}","timelock":{"chain":${quoted(terms.chain)},"seconds":${terms.timelock}}}`;
}

