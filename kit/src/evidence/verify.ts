/** Evidence files and anchors: `verify` recomputes question, answer and block from the proof, or throws. */
import { type Bytes, sha256, toHex, utf8 } from "./bytes.js";
import { verifyLog, verifyState, verifyToken } from "./attested.js";
import { type BeaconAnchor, isBeaconAnchorFile, readBeaconAnchor } from "./beacon.js";
import { dump, hexBytes, integer, type Json, type JsonObject, load, members, text } from "./canonical.js";
import { invalid, malformed } from "./errors.js";
import { type Ground, groundOf, type Trusted } from "./grounds.js";
import { chain, MAX_IDENTIFIER_CHARS } from "./identifiers.js";
import { REVIEWED_LAYOUTS, type TokenLayout } from "./layouts.js";
import { verifyLedger } from "./ledger.js";
import type { Anchor } from "./light.js";
import { verifyTransaction } from "./transactions.js";
import { withCurve } from "./secp.js";
import { type Question, readAnswer, readAsOf, readQuestion, type Verified, writeAnswer, writeAsOf } from "./questions.js";

const VERSION = 1n;
const MAX_TRUSTING_PERIOD_S = 10n * 365n * 86_400n;

export interface Options {
  /** The verifier's own time, in whole Unix seconds. */
  readonly now?: bigint;
  /** Layouts of tokens whose balances are believed; by default those that come with the kit. */
  readonly layouts?: readonly TokenLayout[];
}

/** Read an anchor file of either kind, in any layout, since people write these. */
export function readAnchor(data: Bytes): Anchor | BeaconAnchor {
  const value = load(data, true);
  if (isBeaconAnchorFile(value)) {
    const anchor = readBeaconAnchor(value);
    if ((value as JsonObject).version !== VERSION) throw malformed("anchor has an unknown format version");
    return anchor;
  }
  const names = ["version", "chain", "genesis_hash", "trusted_height", "trusted_hash", "trusting_period_s"] as const;
  const fields = members(value, ...names);
  if (fields.version !== VERSION) throw malformed("anchor has an unknown format version");
  return {
    chain: chain(text(fields.chain, MAX_IDENTIFIER_CHARS)),
    genesisHash: hash(fields.genesis_hash),
    trustedHeight: integer(fields.trusted_height),
    trustedHash: hash(fields.trusted_hash),
    trustingPeriodS: integer(fields.trusting_period_s, MAX_TRUSTING_PERIOD_S),
  };
}

/**
 * Believe an evidence file or throw a `ProofError`.
 *
 * Nothing is asked of anybody: what is believed follows from the file and the anchors alone. With one of each kind,
 * evidence about Ethereum that carries both ways to its header must hold by both. The package's parts for sync
 * committees and for validators' keys on secp256k1 are loaded when evidence needs them; a `CausewayError` that is
 * retryable if one does not load.
 */
export async function verify(evidence: Bytes, trusted: Trusted, options: Options = {}): Promise<Verified> {
  const ground = groundOf(trusted);
  const fields = members(load(evidence), "version", "kind", "question", "answer", "as_of", "proof", "digest");
  if (fields.version !== VERSION) throw malformed("evidence has an unknown format version");
  const { digest, ...body } = fields;
  if (digest !== toHex(sha256(utf8(dump(body))))) throw malformed("evidence is damaged: its digest does not match");
  const question = readQuestion(fields.question);
  const [answer, asOf] = [readAnswer(fields.answer), readAsOf(fields.as_of)];
  const kind = text(fields.kind, MAX_IDENTIFIER_CHARS);
  const now = options.now ?? BigInt(Math.floor(Date.now() / 1000));
  const proven = await withCurve(() => proveBy(kind, question, fields.proof, ground, now, options.layouts ?? REVIEWED_LAYOUTS));
  if (dump(writeAnswer(answer)) !== dump(writeAnswer(proven.answer)) || dump(writeAsOf(asOf)) !== dump(writeAsOf(proven.asOf))) {
    throw invalid("the proof shows another answer than the evidence says");
  }
  return proven;
}

async function proveBy(
  kind: string,
  question: Question,
  proof: Json,
  ground: Ground,
  now: bigint,
  layouts: readonly TokenLayout[],
): Promise<Verified> {
  switch (kind) {
    case "consortium-state":
      return verifyLedger(question, proof, ground, now);
    case "consortium-transaction":
      return verifyTransaction(question, proof, ground, now);
    case "ethereum-state":
      return verifyState(question, proof, ground, now);
    case "ethereum-token":
      return verifyToken(question, proof, ground, now, layouts);
    case "ethereum-log":
      return verifyLog(question, proof, ground, now);
    default:
      throw malformed(`there is no verifier for evidence of kind ${JSON.stringify(kind.slice(0, 64))}`);
  }
}

const hash = (value: Json): Bytes => {
  const raw = hexBytes(value, 32);
  if (raw.length !== 32) throw malformed("a hash has 32 bytes");
  return raw;
};
