/** Which language a literal is written in. */
export type TermSyntax = "erlang" | "elixir";

const ERLANG_ATOM = /^[a-z\u00df-\u00f6\u00f8-\u00ff][A-Za-z0-9_@\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]*$/;
const ELIXIR_ATOM = /^[a-zA-Z_][a-zA-Z0-9_@]*[?!]?$/;
const ELIXIR_ALIAS = /^Elixir(\.[A-Z][A-Za-z0-9_]*)+$/;
const ELIXIR_KEY = /^[a-z_][a-zA-Z0-9_]*[?!]?$/;

/** Words that Erlang reads as operators or keywords (`erl_scan:reserved_word/1`). */
const ERLANG_RESERVED: ReadonlySet<string> = new Set(
  (
    "after and andalso band begin bnot bor bsl bsr bxor case catch cond div else end fun if let maybe not of or orelse " +
    "receive rem try when xor"
  ).split(" "),
);

/** An atom as it is written in source. */
export function atomSource(text: string, syntax: TermSyntax): string {
  if (syntax === "erlang") {
    return ERLANG_ATOM.test(text) && !ERLANG_RESERVED.has(text) ? text : quoted(text, "'", syntax);
  }
  if (text === "nil" || text === "true" || text === "false") return text;
  if (ELIXIR_ALIAS.test(text)) return text.slice("Elixir.".length);
  return ELIXIR_ATOM.test(text) ? `:${text}` : `:${quoted(text, '"', syntax)}`;
}

/** An atom as the key of a keyword list or of a map in Elixir: `a:`. */
export function elixirKey(text: string): string {
  return ELIXIR_KEY.test(text) ? `${text}:` : `${quoted(text, '"', "elixir")}:`;
}

/** The name of a function behind `Module.` in Elixir. */
export function elixirFunction(text: string): string {
  return ELIXIR_ATOM.test(text) ? text : quoted(text, '"', "elixir");
}

const ESCAPES: Readonly<Record<number, string>> = {
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  27: "\\e",
  92: "\\\\",
};

/** `text` within quotes, with escapes that the language reads back. */
export function quoted(text: string, quote: string, syntax: TermSyntax): string {
  let out = quote;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const known = ESCAPES[code];
    if (known !== undefined) out += known;
    else if (text[i] === quote) out += `\\${quote}`;
    else if (code < 32 || (code >= 127 && code < 160)) out += hexEscape(code, syntax);
    else if (code === 35 && syntax === "elixir" && text[i + 1] === "{") out += "\\#";
    else out += text[i];
  }
  return out + quote;
}

function hexEscape(code: number, syntax: TermSyntax): string {
  return syntax === "erlang" ? `\\x{${code.toString(16)}}` : `\\u{${code.toString(16)}}`;
}

/** A float as both languages read it: with a digit after the point. */
export function floatSource(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  const [mantissa, exponent] = String(value).split("e") as [string, string | undefined];
  const digits = mantissa.includes(".") ? mantissa : `${mantissa}.0`;
  return exponent === undefined ? digits : `${digits}e${exponent.replace("+", "")}`;
}
