/** float16 by its 16 bits: the page never needs a Float16Array, which not every browser has. */

/** Value of each of the 65,536 bit patterns. */
export const VALUES: Float32Array = table();

function table(): Float32Array {
  const values = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) values[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) values[bits] = fraction ? NaN : sign * Infinity;
    else values[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return values;
}

/** Numbers of stored float16, times `scale`. */
export function numbersOf(bits: Uint16Array, scale = 1): Float32Array {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = (VALUES[bits[i] as number] as number) * scale;
  return values;
}
