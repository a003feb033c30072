/** The grounds that a reader may stand on: a consortium chain's header, a beacon block of Ethereum's, or both. */
import type { BeaconAnchor } from "./beacon.js";
import { rejected } from "./errors.js";
import type { Anchor } from "./light.js";

/** One anchor, or one of each kind. */
export type Trusted = Anchor | BeaconAnchor | readonly (Anchor | BeaconAnchor)[];

export interface Ground {
  readonly ledger: Anchor | null;
  readonly beacon: BeaconAnchor | null;
}

const isBeacon = (anchor: Anchor | BeaconAnchor): anchor is BeaconAnchor => "network" in anchor;

export function groundOf(trusted: Trusted): Ground {
  const anchors: readonly (Anchor | BeaconAnchor)[] = "length" in trusted ? trusted : [trusted];
  const beacons = anchors.filter(isBeacon);
  const ledgers = anchors.filter((one): one is Anchor => !isBeacon(one));
  if (anchors.length === 0 || beacons.length > 1 || ledgers.length > 1) {
    throw rejected("name one anchor, or one of a consortium chain and one of a beacon chain");
  }
  return { ledger: ledgers[0] ?? null, beacon: beacons[0] ?? null };
}
