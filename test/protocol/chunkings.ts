/** The ways in which a network may cut bytes. */

import * as fc from "../support/properties.ts";

/** In one piece, byte by byte, and with every two cuts. */
export function* everyChunking(bytes: Buffer): Generator<readonly Buffer[]> {
  yield [bytes];
  yield cutAt(
    bytes,
    Array.from(bytes, (_, at) => at),
  );
  for (let one = 0; one <= bytes.length; one++) {
    for (let other = one; other <= bytes.length; other++) yield cutAt(bytes, [one, other]);
  }
}

/** Where to cut: fractions, so that they fit bytes of any length. */
export const cuts: fc.Arbitrary<readonly number[]> = fc
  .array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })
  .map((fractions) => fractions.sort((a, b) => a - b));

export function cutBy(bytes: Buffer, fractions: readonly number[]): readonly Buffer[] {
  return cutAt(
    bytes,
    fractions.map((fraction) => Math.round(fraction * bytes.length)),
  );
}

/** Empty chunks are chunks too. */
function cutAt(bytes: Buffer, positions: readonly number[]): readonly Buffer[] {
  const ends = [...positions, bytes.length];
  return ends.map((end, index) => bytes.subarray(positions[index - 1] ?? 0, end));
}
