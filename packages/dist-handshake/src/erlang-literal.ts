import { handshakeError } from "./errors.ts";

/** A literal of the Erlang language, as far as configuration files use them. */
export type ErlangLiteral =
  | { readonly kind: "atom"; readonly name: string }
  | { readonly kind: "integer"; readonly value: number }
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "binary"; readonly text: string }
  | { readonly kind: "tuple"; readonly items: readonly ErlangLiteral[] }
  | { readonly kind: "list"; readonly items: readonly ErlangLiteral[] }
  | { readonly kind: "map"; readonly entries: readonly (readonly [ErlangLiteral, ErlangLiteral])[] }
  /** `fun M:F/A`; the text as written. */
  | { readonly kind: "fun"; readonly text: string };

const MAX_DEPTH = 64;
const MAX_CHARACTERS = 262_144;

const BLANK = /(?:\s|%[^\n]*)*/y;
const ATOM = /[a-z][A-Za-z0-9_@]*/y;
const INTEGER = /[+-]?\d[\d_]*/y;
const FUN = /fun\s+[\w@]+\s*:\s*[\w@]+\s*\/\s*\d+/y;
const QUOTED = /'((?:[^'\\]|\\.)*)'/sy;
const STRING = /"((?:[^"\\]|\\.)*)"/sy;
const ESCAPE = /\\(x\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}|[0-7]{1,3}|\^.|.)/gs;
const NAMED_ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  s: " ",
  e: "\u001b",
  b: "\b",
  f: "\f",
  v: "\v",
  d: "\u007f",
};

/**
 * Reads one term that ends with a full stop, as `file:consult/1` does for a file with one term. Numbers other than
 * decimal integers, characters, bit syntax other than `<<"text">>` and anything that is not a literal are refused.
 * @throws IsthmusError `TLS_OPTFILE_INVALID` with the line
 */
export function parseErlangLiteral(source: string): ErlangLiteral {
  let at = 0;
  let depth = 0;

  if (source.length > MAX_CHARACTERS) throw failure(`it has more than ${MAX_CHARACTERS} characters`);
  const value = term();
  expect(".");
  skip();
  if (at < source.length) throw failure("only one term, which ends with a full stop, is expected");
  return value;

  function term(): ErlangLiteral {
    if (++depth > MAX_DEPTH) throw failure(`terms are nested deeper than ${MAX_DEPTH}`);
    const found = bare();
    depth--;
    return found;
  }

  function bare(): ErlangLiteral {
    skip();
    switch (source[at]) {
      case "{":
        return { kind: "tuple", items: items("{", "}") };
      case "[":
        return { kind: "list", items: items("[", "]") };
      case "#":
        return map();
      case "<":
        return binary();
      case '"':
        return { kind: "string", text: strings() };
      case "'":
        return { kind: "atom", name: plain(take(QUOTED, "a closing quote")[1]!) };
    }
    const fun = match(FUN);
    if (fun !== undefined) return { kind: "fun", text: fun[0] };
    const integer = match(INTEGER);
    if (integer !== undefined) return { kind: "integer", value: Number(integer[0].replaceAll("_", "")) };
    return { kind: "atom", name: take(ATOM, "an Erlang term")[0] };
  }

  function items(open: string, close: string): ErlangLiteral[] {
    expect(open);
    const found: ErlangLiteral[] = [];
    if (optional(close)) return found;
    for (;;) {
      found.push(term());
      if (optional(close)) return found;
      expect(",");
    }
  }

  function map(): ErlangLiteral {
    expect("#");
    expect("{");
    const entries: [ErlangLiteral, ErlangLiteral][] = [];
    if (optional("}")) return { kind: "map", entries };
    for (;;) {
      const key = term();
      expect("=>");
      entries.push([key, term()]);
      if (optional("}")) return { kind: "map", entries };
      expect(",");
    }
  }

  function binary(): ErlangLiteral {
    expect("<<");
    skip();
    const text = source[at] === '"' ? strings() : "";
    optional("/utf8");
    expect(">>");
    return { kind: "binary", text };
  }

  /** Strings that follow one another are one. */
  function strings(): string {
    let text = "";
    do {
      text += plain(take(STRING, "a closing double quote")[1]!);
      skip();
    } while (source[at] === '"');
    return text;
  }

  function plain(text: string): string {
    return text.replace(ESCAPE, (_all, code: string) => {
      const hex = /^x\{?([0-9A-Fa-f]+)/.exec(code);
      if (hex !== null) {
        const point = Number.parseInt(hex[1]!, 16);
        if (point > 0x10ffff) throw failure("a character code is too large");
        return String.fromCodePoint(point);
      }
      if (/^[0-7]/.test(code)) return String.fromCodePoint(Number.parseInt(code, 8));
      if (code.startsWith("^")) return String.fromCharCode(code.charCodeAt(1) & 31);
      return NAMED_ESCAPES[code] ?? code;
    });
  }

  function skip(): void {
    match(BLANK);
  }

  function match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (found === null) return undefined;
    at = pattern.lastIndex;
    return found;
  }

  function take(pattern: RegExp, what: string): RegExpExecArray {
    const found = match(pattern);
    if (found === undefined) throw failure(`${what} is expected`);
    return found;
  }

  function optional(text: string): boolean {
    skip();
    if (!source.startsWith(text, at)) return false;
    at += text.length;
    return true;
  }

  function expect(text: string): void {
    if (!optional(text)) throw failure(`${JSON.stringify(text)} is expected`);
  }

  function failure(problem: string): Error {
    const line = source.slice(0, at).split("\n").length;
    return handshakeError(
      "TLS_OPTFILE_INVALID",
      `Line ${line} of the option file cannot be read: ${problem}.`,
      {
        context: { line },
      },
    );
  }
}
