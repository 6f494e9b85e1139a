/** What holds for every cell, and for every text that might be taken for one. */

import { expect, test } from "vitest";
import { cellOf, cellText, storedOf, storedText } from "../../src/store/cell-text.ts";
import * as fc from "../support/properties.ts";

const outcome = fc.record({
  kind: fc.constant("completed"),
  result: fc.oneof(fc.string({ unit: "binary" }), fc.json()),
});
const cell = fc.oneof(
  fc.jsonValue(),
  fc.record({ task: fc.jsonValue(), outcome }),
  fc.record({ outcome: fc.jsonValue() }),
);

test("a cell is what was written, character for character", () =>
  fc.assert(
    fc.property(cell, fc.option(fc.nat(), { nil: undefined }), (value, expires) => {
      // JSON has no zero below zero.
      const written = JSON.parse(JSON.stringify(value));
      expect(cellOf(throughBytes(cellText(written)))).toEqual(written);
      const stored = storedOf(throughBytes(storedText({ value: written, expires })));
      expect(stored).toEqual({ value: written, ...(expires === undefined ? {} : { expires }) });
    }),
    { numRuns: 500 },
  ));

test("any text is a cell, or is refused as none", () =>
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.tuple(fc.json(), fc.string()).map((parts) => parts.join("\n")),
      ),
      (text) => {
        for (const read of [cellOf, storedOf]) {
          let error: unknown;
          try {
            read(text);
          } catch (caught) {
            error = caught;
          }
          expect(error === undefined || error instanceof SyntaxError, String(error)).toBe(true);
        }
      },
    ),
    { numRuns: 500 },
  ));

function throughBytes(text: string): string {
  return Buffer.from(text, "utf8").toString("utf8");
}
