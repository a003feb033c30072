/** Accounts and assets that somebody else named. */
import * as evidence from "../evidence/identifiers.js";
import { rejected } from "../errors.js";

/** In a swap, a name that its namespace refuses is a refusal like any other, not one of a proof. */
const named = (read: (text: string) => string) => (text: string): string => {
  try {
    return read(text);
  } catch (error) {
    throw rejected((error as Error).message);
  }
};

export const account = named(evidence.account);
export const asset = named(evidence.asset);
export { chainOf } from "../evidence/identifiers.js";
