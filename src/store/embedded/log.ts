/**
 * The contents of a LevelDB log (`*.log`, `MANIFEST-*`): blocks of 32 KiB, filled with records in fragments. LevelDB silently drops what it
 * cannot read of a log, and takes a truncated log for an interrupted write: only a look before LevelDB opens it can tell damage from that.
 */
export interface LevelLog {
  /** The whole records, in order. */
  readonly records: readonly Buffer[];
  /** How many unreadable bytes have readable ones after them: they were written, and are damaged. */
  readonly damagedBytes: number;
  /** How many bytes at the end are unreadable: usually a write that was under way when its process or machine stopped. */
  readonly tornBytes: number;
}

export function readLevelLog(bytes: Buffer): LevelLog {
  const records: Buffer[] = [];
  let [damagedBytes, unread] = [0, 0];
  let fragments: Buffer[] = [];
  const drop = () => {
    for (const { length } of fragments) unread += length;
    fragments = [];
  };
  for (let block = 0; block < bytes.length; block += BLOCK_BYTES) {
    const end = Math.min(block + BLOCK_BYTES, bytes.length);
    for (let at = block; end - at >= HEADER_BYTES; ) {
      const fragment = fragmentAt(bytes, at, end);
      if (fragment === "nothing") break;
      if (fragment === undefined) {
        // The next known beginning of a fragment is the next block.
        drop();
        unread += end - at;
        break;
      }
      const { type, data } = fragment;
      const isBegin = type === FULL || type === FIRST;
      if (isBegin) drop();
      if (!isBegin && fragments.length === 0) unread += data.length;
      else {
        damagedBytes += unread;
        unread = 0;
        fragments.push(data);
        if (type === FULL || type === LAST) {
          records.push(Buffer.concat(fragments));
          fragments = [];
        }
      }
      at += HEADER_BYTES + data.length;
    }
  }
  drop();
  return { records, damagedBytes, tornBytes: unread };
}

const BLOCK_BYTES = 32_768;
/** Checksum (4), length (2), type (1). */
const HEADER_BYTES = 7;
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4];

/** `"nothing"`: LevelDB reserved the rest of the block and never wrote it; `undefined`: the fragment is unreadable. */
function fragmentAt(bytes: Buffer, at: number, end: number) {
  const [checksum, length, type] = [bytes.readUInt32LE(at), bytes.readUInt16LE(at + 4), bytes[at + 6] ?? 0];
  if (type === 0 && length === 0) return "nothing";
  const data = bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
  if (type > LAST || at + HEADER_BYTES + length > end) return undefined;
  return masked(crc32c(bytes.subarray(at + 6, at + HEADER_BYTES + length))) === checksum
    ? { type, data }
    : undefined;
}

const CASTAGNOLI = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ 0x82f63b78 : rest >>> 1;
  return rest;
});

/** CRC-32C; Node has only CRC-32. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CASTAGNOLI[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** A checksum as LevelDB stores it. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** A log that contains these records: the opposite of `readLevelLog`. */
export function levelLogOf(records: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [];
  let room = BLOCK_BYTES;
  for (const record of records) {
    let [at, isFirst] = [0, true];
    do {
      if (room < HEADER_BYTES) {
        parts.push(Buffer.alloc(room));
        room = BLOCK_BYTES;
      }
      const data = record.subarray(at, at + room - HEADER_BYTES);
      const isLast = at + data.length === record.length;
      const type = isFirst ? (isLast ? FULL : FIRST) : isLast ? LAST : MIDDLE;
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt16LE(data.length, 4);
      header[6] = type;
      header.writeUInt32LE(masked(crc32c(Buffer.concat([header.subarray(6), data]))), 0);
      parts.push(header, data);
      room -= HEADER_BYTES + data.length;
      at += data.length;
      isFirst = false;
    } while (at < record.length);
  }
  return Buffer.concat(parts);
}
