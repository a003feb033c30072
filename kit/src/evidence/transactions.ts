/**
 * Kind `consortium-transaction`: a transaction of the ledger in its block, and how it ended.
 *
 * A header commits to the entries of its block, and the one after it, to which the trail leads, to their results.
 */
import { type Bytes, concat, equal, sha256, toBigInt, toHex, utf8 } from "./bytes.js";
import { decimal, dump, hexBytes, integer, items, type Json, members } from "./canonical.js";
import { headerHash, readHeader, writeHeader } from "./cometbft.js";
import { invalid, malformed, ProofError, rejected, untrusted } from "./errors.js";
import type { Ground } from "./grounds.js";
import { target } from "./light.js";
import { bytesField, varintField } from "./protobuf.js";
import { MAX_CODE, MAX_TRANSACTION_BYTES, type Question, type Verified } from "./questions.js";
import { checkedTrail } from "./state.js";
import { verifyMerkle } from "./trees.js";

const MAX_BLOCK_ENTRIES = 1n << 20n;
const MAX_AUNTS = 20;
const MAX_CLOCK_BYTES = 64;
const MAX_RESULT_BYTES = 1 << 16;
const MAX_GAS = 2n ** 63n - 1n;
const HASH_SIZE = 32;
const CLOCK_PREFIX = utf8("causeway clock v1\0");
const MAX_CLOCK_MS = 2n ** 43n - 1n;

export function verifyTransaction(question: Question, value: Json, { ledger: anchor }: Ground, now: bigint): Verified {
  const fields = members(
    value, "trail", "header", "total", "index", "transaction", "transaction_aunts", "clock", "clock_aunts", "result", "result_aunts",
  );
  const header = readHeader(fields.header);
  if (dump(writeHeader(header)) !== dump(fields.header)) throw malformed("proof is not in its canonical form");
  const [total, index] = [integer(fields.total, MAX_BLOCK_ENTRIES), integer(fields.index, MAX_BLOCK_ENTRIES)];
  const transaction = hexBytes(fields.transaction, MAX_TRANSACTION_BYTES);
  const transactionAunts = aunts(fields.transaction_aunts);
  const clock = hexBytes(fields.clock, MAX_CLOCK_BYTES);
  const clockAunts = aunts(fields.clock_aunts);
  const result = readResult(fields.result);
  const resultAunts = aunts(fields.result_aunts);
  if (anchor === null) throw new ProofError("wrong-anchor", `the evidence is about ${question.chain}: take an anchor of that chain`);
  if (question.chain !== anchor.chain) throw new ProofError("wrong-anchor", "question is about another chain");
  const following = target(checkedTrail(fields.trail, anchor, now));
  if (question.type !== "transaction") throw rejected("a block's entry proves a transaction only");
  if (header.chainId !== following.chainId || header.height !== following.height - 1n) throw untrusted("header is not the one before");
  const blockHash = headerHash(header);
  if (!equal(blockHash, following.lastBlockId.hash)) throw untrusted("header does not match the hash in its successor");
  const name = sha256(transaction);
  if (toHex(name) !== question.transaction) throw invalid("another transaction stands at this place of the block");
  if (index === 0n) throw invalid("the first entry of a block is its clock, and not a transaction");
  verifyMerkle(header.dataHash, name, total, index, transactionAunts);
  verifyMerkle(header.dataHash, sha256(clock), total, 0n, clockAunts);
  verifyMerkle(following.lastResultsHash, result.encoded, total, index, resultAunts);
  return {
    question,
    answer: { type: "transaction", code: result.code, raw: toHex(transaction) },
    asOf: { chain: question.chain, height: header.height, blockHash: toHex(blockHash), time: clockTime(clock), finality: "commit" },
    reliesOn: ["commit"],
  };
}

const aunts = (value: Json): Bytes[] => items(value, MAX_AUNTS).map((aunt) => hexBytes(aunt, HASH_SIZE));

/** The part of an ExecTxResult that a header commits to, as it is encoded there. */
function readResult(value: Json): { code: bigint; encoded: Bytes } {
  const fields = members(value, "code", "data", "gas_used", "gas_wanted");
  const code = integer(fields.code, MAX_CODE);
  const data = hexBytes(fields.data, MAX_RESULT_BYTES);
  const [wanted, used] = [decimal(fields.gas_wanted, MAX_GAS), decimal(fields.gas_used, MAX_GAS)];
  return { code, encoded: concat(varintField(1, code), bytesField(2, data), varintField(5, wanted), varintField(6, used)) };
}

/** Seconds of the ledger's clock, the first entry of a block. */
function clockTime(entry: Bytes): bigint {
  const time = toBigInt(entry.slice(CLOCK_PREFIX.length));
  const inForm = equal(entry.slice(0, CLOCK_PREFIX.length), CLOCK_PREFIX) && entry.length === CLOCK_PREFIX.length + 8;
  if (!inForm || time <= 0n || time > MAX_CLOCK_MS) throw invalid("the block does not begin with its clock");
  return time / 1000n;
}
