/** The curve of validators with keys of Ethereum's kind. Few chains have them, so it is loaded when the first such key is read. */
import type { secp256k1 as Curve } from "./curve.js";
import { unavailable } from "../errors.js";

let loaded: typeof Curve | undefined;

/** Thrown by `secp256k1` before it is loaded: load it, and read again. */
export class CurveMissing extends Error {}

export function secp256k1(): typeof Curve {
  if (loaded === undefined) throw new CurveMissing();
  return loaded;
}

/** Run `work`, a second time if it finds the curve missing. Throws a retryable error if that does not load. */
export async function withCurve<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CurveMissing)) throw error;
  }
  try {
    loaded = (await import("./curve.js")).secp256k1;
  } catch (error) {
    throw unavailable(`the part that checks keys on secp256k1 did not load, try again: ${String((error as Error).message)}`);
  }
  return work();
}
