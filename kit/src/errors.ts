/** What goes wrong, by who can do something about it. `code` is for programs, `message` for people. */
export class CausewayError extends Error {
  override readonly name: string = "CausewayError";

  constructor(
    readonly code: string,
    message: string,
    /** Trying the same again may help. */
    readonly retryable: boolean = false,
  ) {
    super(message);
  }
}

/** An answer, a configuration or a chain's state that this client does not accept: trying again does not help. */
export const rejected = (message: string, code = "rejected"): CausewayError => new CausewayError(code, message);

/** Somebody does not answer, or not yet: try again. */
export const unavailable = (message: string, code = "unavailable"): CausewayError => new CausewayError(code, message, true);

/** A time gate of the protocol that does not hold, with its inequality and its numbers (in seconds). */
export class GateClosedError extends CausewayError {
  override readonly name = "GateClosedError";

  constructor(
    readonly gate: string,
    readonly leftS: number,
    readonly terms: Readonly<Record<string, number>>,
    left: string,
  ) {
    const right = Object.values(terms).reduce((sum, one) => sum + one, 0);
    const sums = Object.entries(terms).map(([name, seconds]) => `${name} ${seconds}`).join(" + ");
    super("gate-closed", `the ${gate} gate is closed: ${left} = ${leftS} s is not more than ${right} s (${sums})`);
  }
}
