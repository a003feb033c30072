/** CAIP-2, CAIP-10 and CAIP-19 identifiers of the two kinds of chains that evidence is about, in their one spelling. */
import { malformed, rejected } from "./errors.js";

export const MAX_IDENTIFIER_CHARS = 256;
const CHAIN = /^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$/;
const EVM_CHAIN = /^eip155:(?:0|[1-9][0-9]{0,31})$/;
const LEDGER_CHAIN = /^causeway:[-_a-zA-Z0-9]{1,32}$/;
const EVM_ADDRESS = /^0x[0-9a-f]{40}$/;
const LEDGER_ADDRESS = /^[0-9a-f]{40}$/;
const LEDGER_SYMBOL = /^[a-z0-9][-_.a-z0-9]{0,63}$/;
const SLIP44 = /^(?:0|[1-9][0-9]{0,77})$/;
const MAX_SLIP44 = 2n ** 31n - 1n;

const isEvm = (chain: string): boolean => chain.startsWith("eip155:");

export function chain(text: string): string {
  if (EVM_CHAIN.test(text) || LEDGER_CHAIN.test(text)) return text;
  const other = CHAIN.test(text) && !text.startsWith("eip155:");
  throw other ? rejected(`evidence about ${text} is not read here`) : malformed(`${shown(text)} is not a chain`);
}

export function account(text: string): string {
  const [of, address] = split(text, ":", text.indexOf(":") + 1);
  if (!(isEvm(chain(of)) ? EVM_ADDRESS : LEDGER_ADDRESS).test(address)) throw malformed(`${shown(text)} is not an account in its canonical form`);
  return text;
}

export function asset(text: string): string {
  const [of, name] = split(text, "/", 0);
  const [kind, reference] = split(name, ":", 0);
  const good = isEvm(chain(of))
    ? (kind === "slip44" && SLIP44.test(reference) && BigInt(reference) <= MAX_SLIP44) || (kind === "erc20" && EVM_ADDRESS.test(reference))
    : kind === "asset" && LEDGER_SYMBOL.test(reference);
  if (!good) throw malformed(`${shown(text)} is not an asset in its canonical form`);
  return text;
}

/** The chain of an account or an asset. */
export function chainOf(identifier: string): string {
  return identifier.includes("/") ? (identifier.split("/")[0] as string) : identifier.slice(0, identifier.lastIndexOf(":"));
}

function split(text: string, separator: string, from: number): [string, string] {
  const place = text.indexOf(separator, from);
  if (place < 0 || text.length > MAX_IDENTIFIER_CHARS) throw malformed(`${shown(text)} is not an identifier`);
  return [text.slice(0, place), text.slice(place + 1)];
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 160));
