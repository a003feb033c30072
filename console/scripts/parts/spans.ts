/** A duration for people, as the server writes it: in the largest unit that fits it twice. */
const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"]] as const;

export function spoken(seconds: number): string {
  const [left, sign] = [Math.abs(Math.trunc(seconds)), seconds < 0 ? "−" : ""];
  for (const [size, unit] of UNITS) if (left >= 2 * size) return `${sign}${Math.floor(left / size)} ${unit}`;
  return `${sign}${left} s`;
}
