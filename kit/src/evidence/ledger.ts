/** Kind `consortium-state`: leaves of the ledger's state, under the header of the block after it. */
import { type Bytes, concat, fromHex, sha256, toHex, utf8 } from "./bytes.js";
import { type Json, members } from "./canonical.js";
import { type Header, isNil } from "./cometbft.js";
import { invalid, ProofError, rejected } from "./errors.js";
import { chain, chainOf } from "./identifiers.js";
import { accountLeaf, amount, lockLeaf, recordLeaf } from "./leaves.js";
import type { Ground } from "./grounds.js";
import { target } from "./light.js";
import type { Answer, Question, Verified } from "./questions.js";
import { checkedTrail, counter, provenState, readEntries, type ReadLeaf } from "./state.js";

const NAME = /^[a-z0-9][-_.a-z0-9]{0,63}$/;
const LEDGER_LOCK = /^([0-9a-f]{40})\/([0-9a-f]{64})$/;
const ADDRESS = /^[0-9a-f]{40}$/;

export function verifyLedger(question: Question, value: Json, { ledger: anchor }: Ground, now: bigint): Verified {
  const fields = members(value, "trail", "entries");
  const entries = readEntries(fields.entries);
  if (anchor === null) throw new ProofError("wrong-anchor", `the evidence is about ${question.chain}: take an anchor of that chain`);
  if (question.chain !== anchor.chain) throw new ProofError("wrong-anchor", "question is about another chain");
  const header = target(checkedTrail(fields.trail, anchor, now));
  if (isNil(header.lastBlockId)) throw invalid("the first header commits to no block's state");
  const state = provenState(header.appHash, entries);
  const time = counter(state.read(utf8("clock"))) / 1000n;
  const answer = ledgerAnswer(question, state.read, header);
  state.finish();
  const block = { height: header.height - 1n, blockHash: toHex(header.lastBlockId.hash) };
  return { question, answer, asOf: { chain: question.chain, ...block, time, finality: "commit" }, reliesOn: ["commit"] };
}

function ledgerAnswer(question: Question, read: ReadLeaf, header: Header): Answer {
  switch (question.type) {
    case "record":
      return record(question, read);
    case "lock":
      return ledgerLock(question, read, header.appVersion);
    case "balance":
      return ledgerBalance(question, read);
    case "leaf": {
      const value = read(fromHex(question.key));
      return { type: "leaf", value: value === null ? null : toHex(value) };
    }
    case "list":
      return list(question, read);
    default:
      throw rejected(`${question.chain} is a consortium ledger, which has neither storage slots nor lanes nor logs`);
  }
}

/** Complete: the proven length says which of the places exist, and each of these is proven. */
function list(question: Question & { type: "list" }, read: ReadLeaf): Answer {
  const sequence = sequenceOf(question.name);
  const count = counter(read(concat(sequence, utf8("/count"))));
  const entries: string[] = [];
  for (let place = question.first; place <= question.last && place <= count; place++) {
    const entry = read(concat(sequence, utf8(`/${place}`)));
    if (entry === null) throw invalid("an entry within the list's length is missing");
    entries.push(toHex(entry));
  }
  return { type: "list", count, entries };
}

const FIXED: Record<string, string> = {
  assets: "bank/assets",
  organisations: "members",
  proposals: "members/proposals",
  misbehaviour: "members/misbehaviour",
  queries: "bridge/queries",
  orders: "supervision/orders",
};

/** The sequence of the ledger's state that a list's name stands for. */
function sequenceOf(name: string): Bytes {
  const parts = name.split("/");
  const [first = "", second = "", third = "", fourth] = parts;
  const fixed = parts.length === 1 && Object.hasOwn(FIXED, first) ? FIXED[first] : undefined;
  if (fixed !== undefined) return utf8(fixed);
  if (first === "records" && NAME.test(second) && (parts.length === 2 || NAME.test(third))) {
    if (parts.length <= 3 || (parts.length === 4 && fourth === "access")) return utf8(name);
  }
  if (first === "locks" && parts.length === 2 && ADDRESS.test(second)) return bytesKey("htlc/locks/", second);
  if (first === "headers" && parts.length === 2) return utf8(`bridge/headers/${chain(second)}`);
  throw rejected(`${JSON.stringify(name.slice(0, 128))} is not a list of a consortium ledger`);
}

function record(question: Question & { type: "record" }, read: ReadLeaf): Answer {
  for (const name of [question.namespace, question.key]) {
    if (!NAME.test(name)) throw rejected(`${JSON.stringify(name.slice(0, 64))} is not a name of a record`);
  }
  const place = `records/${question.namespace}/${question.key}`;
  const version = counter(read(utf8(`${place}/count`)));
  if (version === 0n) return { type: "record", version: 0n, author: null, document: "" };
  const raw = read(utf8(`${place}/${version}`));
  if (raw === null) throw invalid("the newest version of the record is missing");
  const leaf = recordLeaf(raw);
  if (leaf.version !== version) throw invalid("the record's leaf is of another version");
  return { type: "record", version, author: `${question.chain}:${toHex(leaf.author)}`, document: toHex(leaf.document) };
}

function ledgerLock(question: Question & { type: "lock" }, read: ReadLeaf, appVersion: bigint): Answer {
  if (question.holder !== null) throw rejected("locks of a consortium chain are held by the ledger, not by a contract");
  requireChain(question.chain, question.terms.asset);
  const [, sender, hashlock] = LEDGER_LOCK.exec(question.lockId) ?? [];
  if (sender === undefined || hashlock === undefined) throw rejected("this is not a lock id of a consortium chain");
  const raw = read(bytesKey("htlc/lock/", sender, hashlock));
  const codeHash = toHex(sha256(utf8(`causeway ledger app version ${appVersion}`)));
  if (raw === null) return { type: "lock", status: "absent", termsMatch: false, codeHash };
  const leaf = lockLeaf(raw);
  const { terms } = question;
  const termsMatch =
    leaf.asset === symbolOf(terms.asset) &&
    toHex(leaf.sender) === ledgerAddress(terms.sender) &&
    toHex(leaf.receiver) === ledgerAddress(terms.receiver) &&
    toHex(leaf.hashlock) === terms.hashlock &&
    leaf.timelock === terms.timelock &&
    amount(leaf.amount) === terms.amount;
  return { type: "lock", status: leaf.status, termsMatch, codeHash };
}

function ledgerBalance(question: Question & { type: "balance" }, read: ReadLeaf): Answer {
  requireChain(question.chain, question.account);
  requireChain(question.chain, question.asset);
  const raw = read(bytesKey("bank/account/", ledgerAddress(question.account)));
  const held = raw === null ? undefined : accountLeaf(raw).find(([symbol]) => symbol === symbolOf(question.asset));
  return { type: "balance", amount: held === undefined ? 0n : amount(held[1]) };
}

function bytesKey(prefix: string, ...hex: readonly string[]): Bytes {
  return Uint8Array.from([...utf8(prefix), ...fromHex(hex.join(""))]);
}

export function requireChain(of: string, identifier: string): void {
  if (chainOf(identifier) !== of) throw rejected(`${JSON.stringify(identifier.slice(0, 128))} is not of ${of}`);
}

const symbolOf = (asset: string): string => {
  const found = /^causeway:[^/]+\/asset:(.+)$/.exec(asset)?.[1];
  if (found === undefined) throw rejected("this is not an asset of a consortium chain");
  return found;
};

const ledgerAddress = (account: string): string => {
  const found = /^[^:]+:[^:]+:([0-9a-f]{40})$/.exec(account)?.[1];
  if (found === undefined) throw rejected("this is not an account of a consortium chain");
  return found;
};
