/**
 * A fun of `erl_eval` carries its own code: whoever applies it runs what the sender has written. Shells make such
 * funs, Erlang's and Elixir's. Layout of NEW_FUN_EXT (PROTOCOL section 6): tag 112, size:32, arity:8, unique:128,
 * index:32, free:32, and then the module's atom.
 */
const MODULE = Buffer.from("erl_eval");
const NEW_FUN = 112;
const BEFORE_MODULE = 30;
const LAST = MODULE.length - 1;

/** How far the search may go on, by the byte under its end (Boyer, Moore and Horspool): eight bytes nearly always. */
const STEP = new Uint8Array(256).fill(MODULE.length);
for (let i = 0; i < LAST; i++) STEP[MODULE[i]!] = LAST - i;

/** From here on a native search is worth the view that it needs. */
const LONG_BYTES = 2048;
/** What is searched for then: it begins with a byte that is rare in text and in numbers, which are passed over fastest. */
const PART = "_eva";
const PART_AT = MODULE.indexOf(PART);

/**
 * Whether `bytes[start, end)`, a term, has a fun of `erl_eval` in it. None is missed; bytes of a binary that look like one
 * to the letter count as one. Of a short term it makes no objects, and looks at one byte in eight.
 */
export function hasEvaluatedFun(bytes: Buffer, start: number, end: number): boolean {
  if (end - start >= LONG_BYTES) return isInLong(bytes.subarray(start, end));
  for (let at = start + BEFORE_MODULE; at + LAST < end; at += STEP[bytes[at + LAST]!]!) {
    if (isText(bytes, at) && isModuleOfFun(bytes, start, at)) return true;
  }
  return false;
}

function isInLong(term: Buffer): boolean {
  let at = term.indexOf(PART, BEFORE_MODULE, "latin1");
  while (at >= 0) {
    const text = at - PART_AT;
    if (isText(term, text) && isModuleOfFun(term, 0, text)) return true;
    at = term.indexOf(PART, at + 1, "latin1");
  }
  return false;
}

function isText(bytes: Buffer, at: number): boolean {
  // from the end, which the search has just looked at
  for (let i = LAST; i >= 0; i--) if (bytes[at + i] !== MODULE[i]) return false;
  return true;
}

/** Whether the text at `text` is an atom where a fun has its module. */
function isModuleOfFun(bytes: Buffer, start: number, text: number): boolean {
  const short = text - 2;
  if ((bytes[short] === 119 || bytes[short] === 115) && bytes[short + 1] === MODULE.length) {
    if (short - BEFORE_MODULE >= start && bytes[short - BEFORE_MODULE] === NEW_FUN) return true;
  }
  const long = text - 3;
  return (
    (bytes[long] === 118 || bytes[long] === 100) &&
    bytes[long + 1] === 0 &&
    bytes[long + 2] === MODULE.length &&
    long - BEFORE_MODULE >= start &&
    bytes[long - BEFORE_MODULE] === NEW_FUN
  );
}
