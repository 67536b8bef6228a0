import type { Term } from "../term.ts";

/** Printable in Latin-1, as `io_lib:printable_latin1_list/1` sees it. */
export function isPrintableLatin1(code: number): boolean {
  return isPrintable(code) && code < 256;
}

/** Whether a list is one that a person would read as text: not empty, all printable Latin-1. */
export function isCharlist(list: readonly Term[]): list is readonly number[] {
  return list.length > 0 && list.every((code) => typeof code === "number" && isPrintableLatin1(code));
}

/** Whether a text has no control characters other than those with an escape of their own. */
export function isPrintableText(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (!isPrintable(text.charCodeAt(i))) return false;
  }
  return true;
}

/** Whether a text is ASCII. */
export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) return false;
  }
  return true;
}

function isPrintable(code: number): boolean {
  if (!Number.isInteger(code) || code < 8) return false;
  return code < 32 ? code <= 13 || code === 27 : code < 127 || code >= 160;
}
