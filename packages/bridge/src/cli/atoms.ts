/** As one types it in an Erlang shell. */
export function erlangAtom(text: string): string {
  const plain = /^[a-z][A-Za-z0-9_@]*$/.test(text) && !ERLANG_WORDS.has(text);
  return plain ? text : `'${text.replace(/[\\']/g, "\\$&")}'`;
}

const ERLANG_WORDS = new Set(
  "after and andalso band begin bnot bor bsl bsr bxor case catch cond div else end fun if let maybe not of or orelse receive rem try when xor".split(
    " ",
  ),
);

/** As one types it in `iex`. */
export function elixirAtom(text: string): string {
  const module = /^Elixir\.([A-Z][A-Za-z0-9_]*(?:\.[A-Z][A-Za-z0-9_]*)*)$/.exec(text);
  if (module !== null) return module[1]!;
  if (/^[A-Za-z_][A-Za-z0-9_]*[?!]?$/.test(text)) return `:${text}`;
  return `:"${text.replace(/[\\"]|#(?=\{)/g, "\\$&")}"`;
}
