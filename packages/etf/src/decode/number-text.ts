/** Length of the text in FLOAT_EXT. */
export const FLOAT_TEXT_BYTES = 31;

/** What the BEAM's own reader takes (erts `sys_chars_to_double`): no blanks, and a comma as well as a point. */
const FLOAT_TEXT = /^[+-]?\d+[.,]\d+([eE][+-]?\d+)?$/;

/** The value of a FLOAT_EXT (minor_version 0), or NaN when the text is no float or is out of range. */
export function parseFloatText(bytes: Buffer, start: number): number {
  let end = start;
  while (end < start + FLOAT_TEXT_BYTES && bytes[end] !== 0) end++;
  const text = bytes.toString("latin1", start, end);
  if (!FLOAT_TEXT.test(text)) return Number.NaN;
  const value = Number(text.replace(",", "."));
  return Number.isFinite(value) ? value : Number.NaN;
}
