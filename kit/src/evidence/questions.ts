/** Questions and answers, as an evidence file has them. Numbers are `bigint`, bytes stay hex. */
import { boolean, decimal, hexBytes, integer, type Json, type JsonObject, members, optional, text } from "./canonical.js";
import { malformed } from "./errors.js";
import { account, asset, chain, chainOf, MAX_IDENTIFIER_CHARS } from "./identifiers.js";

const MAX_AMOUNT = 2n ** 256n - 1n;
const MAX_TIMELOCK = 2n ** 40n - 1n;
const MAX_RECORD_BYTES = 1 << 18;
const STATUSES = ["absent", "locked", "claimed", "refunded", "superseded"] as const;

export type LockStatus = (typeof STATUSES)[number];

export interface Terms {
  readonly asset: string;
  readonly amount: bigint;
  readonly sender: string;
  readonly receiver: string;
  readonly hashlock: string;
  readonly timelock: bigint;
}

export type Question =
  | { readonly type: "record"; readonly chain: string; readonly namespace: string; readonly key: string }
  | { readonly type: "lock"; readonly chain: string; readonly lockId: string; readonly terms: Terms; readonly holder: string | null }
  | { readonly type: "balance"; readonly chain: string; readonly account: string; readonly asset: string };

/** A record's version 0 with no author and an empty document says: proven absent. */
export type Answer =
  | { readonly type: "record"; readonly version: bigint; readonly author: string | null; readonly document: string }
  | { readonly type: "lock"; readonly status: LockStatus; readonly termsMatch: boolean; readonly codeHash: string }
  | { readonly type: "balance"; readonly amount: bigint };

/** The block whose state answers; `time` is its own chain's, in Unix seconds. */
export interface AsOf {
  readonly chain: string;
  readonly height: bigint;
  readonly blockHash: string;
  readonly time: bigint;
  readonly finality: string;
}

const name = (value: Json): string => text(value, MAX_IDENTIFIER_CHARS);
const hash = (value: Json): string => {
  if (hexBytes(value, 32).length !== 32) throw malformed("a hash has 32 bytes");
  return value as string;
};

export function readQuestion(value: Json): Question {
  switch (kindOf(value)) {
    case "record": {
      const fields = members(value, "type", "chain", "namespace", "key");
      return { type: "record", chain: chain(name(fields.chain)), namespace: name(fields.namespace), key: name(fields.key) };
    }
    case "lock": {
      const fields = members(value, "type", "chain", "lock_id", "terms", "holder");
      return {
        type: "lock",
        chain: chain(name(fields.chain)),
        lockId: name(fields.lock_id),
        terms: readTerms(fields.terms),
        holder: optional(fields.holder, (holder) => account(name(holder))),
      };
    }
    case "balance": {
      const fields = members(value, "type", "chain", "account", "asset");
      return { type: "balance", chain: chain(name(fields.chain)), account: account(name(fields.account)), asset: asset(name(fields.asset)) };
    }
    default:
      throw malformed("question has an unknown type");
  }
}

function readTerms(value: Json): Terms {
  const fields = members(value, "asset", "amount", "sender", "receiver", "hashlock", "timelock");
  const held = asset(name(fields.asset));
  const terms = {
    asset: held,
    amount: decimal(fields.amount, MAX_AMOUNT),
    sender: account(name(fields.sender)),
    receiver: account(name(fields.receiver)),
    hashlock: hash(fields.hashlock),
    timelock: integer(fields.timelock, MAX_TIMELOCK),
  };
  if (new Set([terms.asset, terms.sender, terms.receiver].map(chainOf)).size !== 1) {
    throw malformed("question is malformed: a leg lives on one chain");
  }
  if (terms.amount === 0n || terms.timelock === 0n) throw malformed("question is malformed: a leg has an amount and a timelock");
  return terms;
}

export function readAnswer(value: Json): Answer {
  switch (kindOf(value)) {
    case "record": {
      const fields = members(value, "type", "version", "author", "document");
      hexBytes(fields.document, MAX_RECORD_BYTES);
      const author = optional(fields.author, (one) => account(name(one)));
      return { type: "record", version: integer(fields.version), author, document: fields.document as string };
    }
    case "lock": {
      const fields = members(value, "type", "status", "terms_match", "code_hash");
      const status = STATUSES.find((one) => one === fields.status);
      if (status === undefined) throw malformed("answer is malformed");
      hexBytes(fields.code_hash, 32);
      return { type: "lock", status, termsMatch: boolean(fields.terms_match), codeHash: fields.code_hash as string };
    }
    case "balance":
      return { type: "balance", amount: decimal(members(value, "type", "amount").amount, MAX_AMOUNT) };
    default:
      throw malformed("answer has an unknown type");
  }
}

export function readAsOf(value: Json): AsOf {
  const fields = members(value, "chain", "height", "block_hash", "time", "finality");
  return {
    chain: chain(name(fields.chain)),
    height: integer(fields.height),
    blockHash: hash(fields.block_hash),
    time: integer(fields.time),
    finality: name(fields.finality),
  };
}

export function writeAnswer(answer: Answer): JsonObject {
  switch (answer.type) {
    case "record":
      return { type: "record", version: answer.version, author: answer.author, document: answer.document };
    case "lock":
      return { type: "lock", status: answer.status, terms_match: answer.termsMatch, code_hash: answer.codeHash };
    case "balance":
      return { type: "balance", amount: answer.amount.toString() };
  }
}

export const writeAsOf = (asOf: AsOf): JsonObject => ({
  chain: asOf.chain,
  height: asOf.height,
  block_hash: asOf.blockHash,
  time: asOf.time,
  finality: asOf.finality,
});

function kindOf(value: Json): Json | undefined {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value["type"] : undefined;
}
