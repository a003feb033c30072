/** Anchors of Ethereum's beacon chain: a finalized block, and what makes the chain. */
import type { Bytes } from "./bytes.js";
import { hexBytes, integer, items, type Json, members, text } from "./canonical.js";
import { malformed } from "./errors.js";
import { chain, MAX_IDENTIFIER_CHARS } from "./identifiers.js";

const MAX_TRUSTING_PERIOD_S = 365n * 86_400n;
const FORKS = ["phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu"] as const;
const CHUNK = 32;

/** The forks whose light client data is known here, by their place in `FORKS`. */
export const Fork = { phase0: 0, altair: 1, bellatrix: 2, capella: 3, deneb: 4, electra: 5, fulu: 6 } as const;

interface ForkStart {
  readonly fork: number;
  readonly epoch: bigint;
  readonly version: Bytes;
}

/** A beacon chain's parameters. Times are Unix seconds. */
export interface Network {
  readonly genesisTime: bigint;
  readonly genesisValidatorsRoot: Bytes;
  readonly secondsPerSlot: bigint;
  readonly slotsPerEpoch: bigint;
  readonly epochsPerPeriod: bigint;
  readonly committeeSize: number;
  readonly forks: readonly ForkStart[];
}

/** What a verifier of sync committees stands on, learnt out of band: one finalized beacon block. */
export interface BeaconAnchor {
  readonly chain: string;
  readonly network: Network;
  readonly trustedRoot: Bytes;
  readonly trustingPeriodS: bigint;
}

export const isBeaconAnchorFile = (value: Json): boolean =>
  value !== null && typeof value === "object" && !Array.isArray(value) && "trusted_root" in value;

/** The members of a beacon anchor's file, `version` apart. */
export function readBeaconAnchor(value: Json): BeaconAnchor {
  const numbers = ["genesis_time", "seconds_per_slot", "slots_per_epoch", "epochs_per_period", "committee_size"] as const;
  const others = ["version", "chain", "genesis_validators_root", "forks", "trusted_root", "trusting_period_s"] as const;
  const fields = members(value, ...others, ...numbers);
  const [genesis, seconds, slots, epochs, size] = numbers.map((name) => integer(fields[name])) as [bigint, bigint, bigint, bigint, bigint];
  const within = (number: bigint, most: bigint): boolean => number >= 1n && number <= most;
  if (genesis >= 1n << 40n || !within(seconds, 60n) || !within(slots, 64n) || !within(epochs, 1024n)) {
    throw malformed("no network has these parameters");
  }
  if (size !== 32n && size !== 512n) throw malformed("a sync committee has 32 or 512 members");
  const forks = items(fields.forks, FORKS.length).map(readFork);
  if (forks[0]?.epoch !== 0n) throw malformed("the schedule of forks begins at epoch 0");
  for (const [place, newer] of forks.entries()) {
    const older = forks[place - 1];
    if (older !== undefined && !(older.fork < newer.fork && older.epoch <= newer.epoch)) {
      throw malformed("the schedule of forks is not in order");
    }
  }
  return {
    chain: chain(text(fields.chain, MAX_IDENTIFIER_CHARS)),
    network: {
      genesisTime: genesis,
      genesisValidatorsRoot: sized(hexBytes(fields.genesis_validators_root, CHUNK), CHUNK),
      secondsPerSlot: seconds,
      slotsPerEpoch: slots,
      epochsPerPeriod: epochs,
      committeeSize: Number(size),
      forks,
    },
    trustedRoot: sized(hexBytes(fields.trusted_root, CHUNK), CHUNK),
    trustingPeriodS: integer(fields.trusting_period_s, MAX_TRUSTING_PERIOD_S),
  };
}

function readFork(value: Json): ForkStart {
  const fields = members(value, "fork", "epoch", "version");
  const fork = (FORKS as readonly string[]).indexOf(text(fields.fork, MAX_IDENTIFIER_CHARS));
  if (fork < 0) throw malformed("a fork that is not known here: a newer version may know it");
  return { fork, epoch: integer(fields.epoch), version: sized(hexBytes(fields.version, 4), 4) };
}

/** These bytes. Throws unless there are `size` of them. */
export function sized(raw: Bytes, size: number): Bytes {
  if (raw.length !== size) throw malformed(`${size} bytes are needed, not ${raw.length}`);
  return raw;
}
