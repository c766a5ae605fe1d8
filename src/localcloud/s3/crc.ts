/**
 * The cyclic redundancy checks of S3 that Node.js has no code for, CRC-32C and CRC-64/NVME, and the sum of two
 * checks of any of them: check(A ++ B) from check(A), check(B) and the length of B, as zlib's crc32_combine.
 *
 * All are reflected, begin with all ones and end inverted. Numbers are pairs of 32-bit halves because BigInt is some
 * fifty times slower; eight bytes are taken at a time with eight tables ("slicing-by-8", Kounavis and Berry 2005),
 * and a 32-bit check is a 64-bit one whose upper half is empty.
 */

export type Polynomial = {
  readonly bits: 32 | 64;
  /** Reflected: the coefficient of x^0 is the highest bit. */
  readonly reflected: bigint;
};

export const crc32Polynomial: Polynomial = { bits: 32, reflected: 0xedb88320n };
export const crc32cPolynomial: Polynomial = { bits: 32, reflected: 0x82f63b78n };
export const crc64NvmePolynomial: Polynomial = { bits: 64, reflected: 0x9a6c9329ac4bc9b5n };

/** 256 entries for each of eight byte positions, in halves. */
export type CrcTables = { readonly bits: 32 | 64; readonly low: Uint32Array; readonly high: Uint32Array };

type RunningCrc = { update(bytes: Uint8Array): void; value(): bigint };

export function crcTables({ bits, reflected }: Polynomial): CrcTables {
  const low = new Uint32Array(8 * 256);
  const high = new Uint32Array(8 * 256);
  const first: bigint[] = [];
  for (let byte = 0; byte < 256; byte++) {
    let value = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) value = (value >> 1n) ^ ((value & 1n) === 1n ? reflected : 0n);
    first.push(value);
  }
  for (let byte = 0; byte < 256; byte++) {
    let value = first[byte]!;
    for (let slice = 0; slice < 8; slice++) {
      low[slice * 256 + byte] = Number(value & 0xffffffffn);
      high[slice * 256 + byte] = Number(value >> 32n);
      value = (value >> 8n) ^ first[Number(value & 0xffn)]!;
    }
  }
  return { bits, low, high };
}

export function runningCrc(tables: CrcTables): RunningCrc {
  let low = 0xffffffff;
  let high = tables.bits === 64 ? 0xffffffff : 0;
  const lows = tables.low;
  const highs = tables.high;
  return {
    update(bytes) {
      let at = 0;
      for (; at + 8 <= bytes.length; at += 8) {
        const a = bytes[at]! ^ (low & 0xff);
        const b = bytes[at + 1]! ^ ((low >>> 8) & 0xff);
        const c = bytes[at + 2]! ^ ((low >>> 16) & 0xff);
        const d = bytes[at + 3]! ^ (low >>> 24);
        const e = bytes[at + 4]! ^ (high & 0xff);
        const f = bytes[at + 5]! ^ ((high >>> 8) & 0xff);
        const g = bytes[at + 6]! ^ ((high >>> 16) & 0xff);
        const h = bytes[at + 7]! ^ (high >>> 24);
        low = lows[1792 + a]! ^ lows[1536 + b]! ^ lows[1280 + c]! ^ lows[1024 + d]!;
        low ^= lows[768 + e]! ^ lows[512 + f]! ^ lows[256 + g]! ^ lows[h]!;
        high = highs[1792 + a]! ^ highs[1536 + b]! ^ highs[1280 + c]! ^ highs[1024 + d]!;
        high ^= highs[768 + e]! ^ highs[512 + f]! ^ highs[256 + g]! ^ highs[h]!;
      }
      for (; at < bytes.length; at++) {
        const index = (low ^ bytes[at]!) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ lows[index]!;
        high = (high >>> 8) ^ highs[index]!;
      }
    },
    value() {
      const inverted = BigInt(~low >>> 0);
      return tables.bits === 32 ? inverted : (BigInt(~high >>> 0) << 32n) | inverted;
    },
  };
}

/** The check of A followed by B: A's, moved up by the length of B (times x^8 for each byte), plus B's. */
export function combined(polynomial: Polynomial, a: bigint, b: bigint, bytesOfB: number): bigint {
  return product(polynomial, xToThe(polynomial, BigInt(bytesOfB) * 8n), a) ^ b;
}

/** x^n modulo the polynomial, by squaring. */
function xToThe(polynomial: Polynomial, n: bigint): bigint {
  const one = 1n << BigInt(polynomial.bits - 1);
  let power = one >> 1n;
  let result = one;
  for (let left = n; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = product(polynomial, power, result);
    power = product(polynomial, power, power);
  }
  return result;
}

/** a times b modulo the polynomial, all reflected: highest bit first is lowest coefficient first. */
function product({ bits, reflected }: Polynomial, a: bigint, b: bigint): bigint {
  let sum = 0n;
  let shifted = b;
  for (let mask = 1n << BigInt(bits - 1); mask > 0n; mask >>= 1n) {
    if ((a & mask) !== 0n) sum ^= shifted;
    shifted = (shifted >> 1n) ^ ((shifted & 1n) === 1n ? reflected : 0n);
  }
  return sum;
}
