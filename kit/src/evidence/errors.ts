import { CausewayError } from "../errors.js";

/** Why a proof is not accepted. The codes are those of the Python verifier (`core/proofs/errors.py`). */
export type ProofErrorCode =
  | "invalid-proof"
  | "malformed-proof"
  | "untrusted-header"
  | "not-enough-trust"
  | "trust-expired"
  | "wrong-anchor"
  | "rejected";

/** Evidence that is not believed. Trying again does not help: the proof, or the anchor, has to change. */
export class ProofError extends CausewayError {
  override readonly name = "ProofError";
  declare readonly code: ProofErrorCode;

  constructor(code: ProofErrorCode, message: string) {
    super(code, message);
  }
}

export const malformed = (message: string): ProofError => new ProofError("malformed-proof", message);
export const invalid = (message: string): ProofError => new ProofError("invalid-proof", message);
export const untrusted = (message: string): ProofError => new ProofError("untrusted-header", message);
export const rejected = (message: string): ProofError => new ProofError("rejected", message);
