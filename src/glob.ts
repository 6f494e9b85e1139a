/** Whether a text matches the whole of a glob. */
export type Glob = (text: string) => boolean;

/** `compileGlob` expands braces, so this bounds their product; nobody needs as many. */
const MAX_ALTERNATIVES = 1_000;

/**
 * Compiles a glob for names that are not paths: `*` is any number of characters, `?` one, `[a-z]` one of a class and `[!a-z]` one
 * outside it, `{a,b}` either, and `\` takes the next character literally. No glob matches an empty text.
 *
 * A library would make a regular expression, and one with two stars backtracks over a long name again and again. This searches
 * each piece between two stars once, from left to right: that finds a match wherever there is one, because a piece has a fixed
 * length and its leftmost place leaves the most for the others. The time is linear in the text.
 *
 * @throws Error that says what is wrong with the glob
 */
export function compileGlob(glob: string): Glob {
  refuseExtended(glob);
  const alternatives = writtenOut(glob).map(piecesOf);
  return (text) => text !== "" && alternatives.some((pieces) => matchesAll(pieces, text));
}

/** The glob for this name and no other. */
export function globFor(name: string): string {
  return name.replace(/[\\*?[\]{}()!+@|]/g, "\\$&");
}

/** What is wrong with a glob; undefined when it is valid. */
export function globFault(glob: string): string | undefined {
  try {
    compileGlob(glob);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** One character: itself, or a test for the members of a class. */
type Character = string | ((character: string) => boolean);
/** What stands between two stars. If there is only one piece, it must be the whole text. */
interface Piece {
  readonly characters: readonly Character[];
  /** The same as a string, if it is one: then the engine's own search finds it. */
  readonly literal: string | undefined;
}

function matchesAll(pieces: readonly Piece[], text: string): boolean {
  const first = pieces[0] as Piece;
  const last = pieces.at(-1) as Piece;
  const end = text.length - last.characters.length;
  if (!standsAt(first, text, 0)) return false;
  if (pieces.length === 1) return end === 0;
  let at = first.characters.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = firstAt(piece, text, at);
    if (found === -1) return false;
    at = found + piece.characters.length;
  }
  return at <= end && standsAt(last, text, end);
}

function firstAt(piece: Piece, text: string, from: number): number {
  if (piece.literal !== undefined) return text.indexOf(piece.literal, from);
  for (let at = from; at + piece.characters.length <= text.length; at += 1)
    if (standsAt(piece, text, at)) return at;
  return -1;
}

function standsAt({ characters, literal }: Piece, text: string, at: number): boolean {
  if (literal !== undefined) return text.startsWith(literal, at);
  return characters.every((expected, index) => {
    const character = text[at + index];
    if (character === undefined) return false;
    return typeof expected === "string" ? character === expected : expected(character);
  });
}

/** The pieces of a glob without braces: one more than it has runs of stars. */
function piecesOf(glob: string): readonly Piece[] {
  const pieces: Character[][] = [[]];
  for (let at = 0; at < glob.length; at += 1) {
    const piece = pieces.at(-1) as Character[];
    const character = glob[at] as string;
    if (character === "*") {
      if (piece.length > 0 || pieces.length === 1) pieces.push([]);
    } else if (character === "?") piece.push(() => true);
    else if (character === "[") {
      const { end, includes } = classAt(glob, at);
      piece.push(includes);
      at = end;
    } else if (character === "\\") {
      at += 1;
      piece.push(escapedAt(glob, at));
    } else piece.push(character);
  }
  return pieces.map((characters) => {
    const isLiteral = characters.every((character) => typeof character === "string");
    return { characters, literal: isLiteral ? characters.join("") : undefined };
  });
}

function classAt(glob: string, start: number) {
  const isNegated = glob[start + 1] === "!" || glob[start + 1] === "^";
  const ranges: (readonly [string, string])[] = [];
  let at = start + (isNegated ? 2 : 1);
  const character = () => {
    if (glob[at] === "\\") at += 1;
    const found = escapedAt(glob, at, "[ has no ] after it");
    at += 1;
    return found;
  };
  // A bracket that comes first is a member.
  for (let isFirst = true; isFirst || glob[at] !== "]"; isFirst = false) {
    const from = character();
    const isRange = glob[at] === "-" && glob[at + 1] !== "]" && at + 1 < glob.length;
    if (isRange) at += 1;
    const to = isRange ? character() : from;
    if (to < from) throw new Error(`[${from}-${to}] is the wrong way round`);
    ranges.push([from, to]);
  }
  const isMember = (one: string) => ranges.some(([from, to]) => from <= one && one <= to);
  return { end: at, includes: (one: string) => isMember(one) !== isNegated };
}

function escapedAt(glob: string, at: number, fault = "\\ stands at the end"): string {
  const character = glob[at];
  if (character === undefined) throw new Error(fault);
  return character;
}

/** The globs without braces that a glob stands for. Braces with a single member stay braces, as in a shell. */
function writtenOut(glob: string): readonly string[] {
  const braces = bracesIn(glob);
  if (braces === undefined) return [glob];
  const { open, close, members } = braces;
  const [before, after] = [glob.slice(0, open), writtenOut(glob.slice(close + 1))];
  if (members.length === 1 && members[0]?.includes(".."))
    throw new Error("a range in braces is not supported; write its members, or a class such as [0-9]");
  const inner = members.length === 1 ? [`\\{${members[0]}\\}`] : members;
  const middles = inner.flatMap((member) => writtenOut(member));
  if (middles.length * after.length > MAX_ALTERNATIVES)
    throw new Error(`its braces stand for more than ${MAX_ALTERNATIVES} globs`);
  return middles.flatMap((middle) => after.map((rest) => `${before}${middle}${rest}`));
}

/** A shell gives patterns such as `+(a|b)`, and a `!` before the whole, a meaning: a name with such characters must escape them. */
function refuseExtended(glob: string): void {
  for (let at = 0; at < glob.length; at = next(glob, at)) {
    const isPattern = glob[at + 1] === "(" && "*?+@!".includes(glob[at] as string);
    if (isPattern || (at === 0 && glob[at] === "!"))
      throw new Error(
        `${glob.slice(at, isPattern ? at + 2 : 1)} is not supported; write \\${glob[at]} for the character`,
      );
  }
}

/** The first braces that are closed, and their members: what commas of their own level separate. */
function bracesIn(glob: string) {
  for (let open = 0; open < glob.length; open = next(glob, open)) {
    if (glob[open] !== "{") continue;
    const commas = [open];
    let depth = 0;
    for (let at = open; at < glob.length; at = next(glob, at)) {
      if (glob[at] === "{") depth += 1;
      else if (glob[at] === "," && depth === 1) commas.push(at);
      else if (glob[at] === "}") depth -= 1;
      if (depth > 0) continue;
      const members = commas.map((comma, index) => glob.slice(comma + 1, commas[index + 1] ?? at));
      return { open, close: at, members };
    }
    throw new Error("{ has no } after it");
  }
  return undefined;
}

/** Where the next character that can have a meaning stands: past an escaped one, and past a class. */
function next(glob: string, at: number): number {
  if (glob[at] === "\\") return at + 2;
  return glob[at] === "[" ? classAt(glob, at).end + 1 : at + 1;
}
