/**
 * Evidence about chains, verified where it is read: no network, no server, no trust in whoever handed it over.
 *
 *     const proven = await verify(evidenceBytes, readAnchor(anchorBytes));   // throws ProofError, or it is true
 */
export type { BeaconAnchor } from "./beacon.js";
export type { Bytes } from "./bytes.js";
export { ProofError, type ProofErrorCode } from "./errors.js";
export type { Trusted } from "./grounds.js";
export type { Anchor } from "./light.js";
export { readLayouts, REVIEWED_LAYOUTS, type ProxyLayout, type TokenLayout } from "./layouts.js";
export type { Answer, AsOf, EventLog, LockStatus, Question, Terms, Verified } from "./questions.js";
export { readAnchor, verify, type Options } from "./verify.js";
