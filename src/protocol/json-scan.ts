/** The place of a value in a text: from its first byte to the one after its last. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface ScanLimits {
  /** How deep objects and arrays may be nested. */
  readonly maxDepth: number;
  /** How many elements of a top-level array to return. */
  readonly maxElements: number;
}

/** What a text is, as far as the scanner can tell without parsing it. */
export type Scanned =
  /** One value that is no array. `values` counts the values outside of `bulky`, which remain to be parsed. */
  | { readonly kind: "value"; readonly bulky: readonly ByteRange[]; readonly values: number }
  /** An array, with at most `maxElements` of its elements. */
  | { readonly kind: "array"; readonly elements: readonly ByteRange[]; readonly hasMore: boolean }
  | { readonly kind: "tooDeep" }
  | { readonly kind: "invalid" };

/**
 * Objects and arrays with more values are bulky: V8 takes 25 bytes and more for each byte of `[{},{},…]`. No message has so many outside of
 * a tool's arguments.
 */
export const BULKY_VALUES = 4_096;

/**
 * Scans a JSON text without parsing it: it reads each byte once, and its memory does not grow with the text. Returns whether the text is
 * JSON (RFC 8259), and which values of a message must stay text: `params.arguments` if it is an object, and bulky members of the message
 * and of its `params`.
 * @param bytes valid UTF-8
 */
export function scanJson(bytes: Uint8Array, { maxDepth, maxElements }: ScanLimits): Scanned {
  const isArray: boolean[] = [];
  const bulky: ByteRange[] = [];
  const elements: ByteRange[] = [];
  // For the current value at depths 1 and 2: where it began, and how many values came before it.
  const began = { start: [0, 0, 0], values: [0, 0, 0] };
  let expected: Expected = VALUE;
  let depth = 0;
  let values = 0;
  let leftOut = 0;
  let isParams = false;
  let isParamsKey = false;
  let isArguments = false;
  let at = 0;
  for (;;) {
    let byte = bytes[at];
    while (byte === SPACE || byte === LF || byte === CR || byte === TAB) byte = bytes[++at];
    if (byte === undefined)
      return expected === END ? { kind: "value", bulky, values: values - leftOut } : INVALID;
    let isEnded = false;
    if (expected === AFTER) {
      if (byte === COMMA) {
        at += 1;
        expected = isArray[depth] ? VALUE : KEY;
        continue;
      }
      if (byte !== (isArray[depth] ? CLOSE_ARRAY : CLOSE_OBJECT)) return INVALID;
      at += 1;
      depth -= 1;
      isEnded = true;
    } else if (expected === KEY || expected === FIRST_KEY) {
      if (byte === CLOSE_OBJECT && expected === FIRST_KEY) {
        at += 1;
        depth -= 1;
        isEnded = true;
      } else {
        const start = at + 1;
        at = byte === QUOTE ? stringEnd(bytes, at) : -1;
        if (at === -1) return INVALID;
        if (depth === 1) isParamsKey = isSame(bytes, start, at - 1, PARAMS);
        else if (depth === 2 && isParams) isArguments = isSame(bytes, start, at - 1, ARGUMENTS);
        expected = COLON;
        continue;
      }
    } else if (expected === COLON) {
      if (byte !== COLON_BYTE) return INVALID;
      at += 1;
      expected = VALUE;
      continue;
    } else if (expected === END) {
      return INVALID;
    } else if (byte === CLOSE_ARRAY && expected === FIRST_VALUE) {
      at += 1;
      depth -= 1;
      isEnded = true;
    } else {
      if (depth === 1 || depth === 2) {
        began.start[depth] = at;
        began.values[depth] = values;
      }
      values += 1;
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        if (depth === 1) isParams = isParamsKey && byte === OPEN_OBJECT && !isArray[1];
        depth += 1;
        if (depth > maxDepth) return { kind: "tooDeep" };
        isArray[depth] = byte === OPEN_ARRAY;
        expected = isArray[depth] ? FIRST_VALUE : FIRST_KEY;
        at += 1;
        continue;
      }
      if (depth === 1) isParams = false;
      at = scalarEnd(bytes, at, byte);
      if (at === -1) return INVALID;
      isEnded = true;
    }
    if (!isEnded) continue;
    expected = depth === 0 ? END : AFTER;
    if (depth === 1) {
      const range = { start: began.start[1] ?? 0, end: at };
      const count = values - (began.values[1] ?? 0);
      if (isArray[1]) {
        if (elements.length === maxElements) return { kind: "array", elements, hasMore: true };
        elements.push(range);
      } else if (count > BULKY_VALUES && !isParams) {
        bulky.push(range);
        leftOut += count;
      }
    } else if (depth === 2 && isParams) {
      const start = began.start[2] ?? 0;
      const count = values - (began.values[2] ?? 0);
      if (count > BULKY_VALUES || (isArguments && bytes[start] === OPEN_OBJECT)) {
        bulky.push({ start, end: at });
        leftOut += count;
      }
    } else if (depth === 0 && isArray[1]) {
      return onlyBlanks(bytes, at) ? { kind: "array", elements, hasMore: false } : INVALID;
    }
  }
}

const INVALID: Scanned = { kind: "invalid" };
/** What may come next. */
type Expected = 0 | 1 | 2 | 3 | 4 | 5 | 6;
const [VALUE, FIRST_VALUE, KEY, FIRST_KEY, COLON, AFTER, END] = [0, 1, 2, 3, 4, 5, 6] as const;

const [TAB, LF, CR, SPACE, QUOTE, COMMA, MINUS, DOT, ZERO, NINE, COLON_BYTE] = [
  0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x2d, 0x2e, 0x30, 0x39, 0x3a,
] as const;
const [OPEN_ARRAY, BACKSLASH, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [
  0x5b, 0x5c, 0x5d, 0x7b, 0x7d,
] as const;
const PARAMS = Buffer.from("params");
const ARGUMENTS = Buffer.from("arguments");
const WORDS = new Map(["true", "false", "null"].map((word) => [word.charCodeAt(0), Buffer.from(word)]));
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));
const UNICODE_ESCAPE = 0x75;

/** This and the next two return the index after the value that begins at `at`, or -1 when there is no such value. */
function scalarEnd(bytes: Uint8Array, at: number, first: number): number {
  if (first === QUOTE) return stringEnd(bytes, at);
  const word = WORDS.get(first);
  if (word === undefined) return numberEnd(bytes, at);
  return isSame(bytes, at, at + word.length, word) ? at + word.length : -1;
}

function stringEnd(bytes: Uint8Array, at: number): number {
  let next = at + 1;
  for (;;) {
    const byte = bytes[next];
    if (byte === QUOTE) return next + 1;
    if (byte === undefined || byte < SPACE) return -1;
    if (byte !== BACKSLASH) {
      next += 1;
      continue;
    }
    const escaped = bytes[next + 1] ?? 0;
    if (escaped === UNICODE_ESCAPE) {
      for (let digit = 2; digit < 6; digit++) if (!isHex(bytes[next + digit] ?? 0)) return -1;
      next += 6;
    } else if (ESCAPED.has(escaped)) next += 2;
    else return -1;
  }
}

function numberEnd(bytes: Uint8Array, at: number): number {
  let next = bytes[at] === MINUS ? at + 1 : at;
  const digits = (): boolean => {
    const first = next;
    while (isDigit(bytes[next])) next += 1;
    return next > first;
  };
  if (bytes[next] === ZERO) next += 1;
  else if (!digits()) return -1;
  if (bytes[next] === DOT) {
    next += 1;
    if (!digits()) return -1;
  }
  const exponent = bytes[next];
  if (exponent === 0x65 || exponent === 0x45) {
    next += 1;
    const sign = bytes[next];
    if (sign === MINUS || sign === 0x2b) next += 1;
    if (!digits()) return -1;
  }
  return next;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

function isHex(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}

function isSame(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start !== word.length) return false;
  for (let index = 0; index < word.length; index++) if (bytes[start + index] !== word[index]) return false;
  return true;
}

function onlyBlanks(bytes: Uint8Array, from: number): boolean {
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== SPACE && byte !== LF && byte !== CR && byte !== TAB) return false;
  }
  return true;
}
