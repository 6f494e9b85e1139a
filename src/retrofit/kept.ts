import { isDeepStrictEqual } from "node:util";
import type { Path } from "../config/problems.ts";
import type { Client } from "./clients.ts";
import { type Entry, fieldsOf, wordsOf } from "./entries.ts";
import type { Undo } from "./plan.ts";

/** What was kept of an entry when it was wrapped, and where it was then. */
export interface Kept {
  readonly id: Path;
  readonly undo: Undo;
}

/**
 * Finds what was kept of an entry of a file: by its place, or, where its client has given it another name, by the command that was written
 * into it, if that can mean only one.
 * @param kept all that was kept of the file's entries
 */
export function keptFinder(kept: readonly Kept[], entries: readonly Entry[], client: Client) {
  const isThere = ({ id }: Kept) => entries.some((entry) => isDeepStrictEqual(entry.id, id));
  const renamed = kept.filter((each) => !isThere(each));
  return ({ id, value }: Entry, isAsWritten: (undo: Undo) => boolean): Kept | undefined => {
    const own = kept.find((each) => isDeepStrictEqual(each.id, id));
    if (own !== undefined) return own;
    const words = wordsOf(value, fieldsOf(client));
    const alike = renamed.filter(({ undo }) => isDeepStrictEqual(undo.words, words));
    const same = alike.filter(({ undo }) => isAsWritten(undo));
    const [first, ...others] = same.length > 0 ? same : alike;
    return others.every(({ undo }) => isDeepStrictEqual(undo, first?.undo)) ? first : undefined;
  };
}
