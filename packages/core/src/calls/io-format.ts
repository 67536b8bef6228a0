import { Atom, BitString, Float, ImproperList, inspectTerm, type Term } from "@isthmus/etf";

// Text that `io_lib:format/2` makes (stdlib `io_lib_format.erl`): a BEAM sends format and arguments as they are when
// its group leader is on another node.

/** Output beyond this is refused: width and precision are numbers that a peer chooses. */
const MAX_FIELD = 100_000;
const MAX_DEPTH = 1000;

const DIRECTIVE = /~(?:(-?\d+|\*)?)(?:\.(\d+|\*)?)?(?:\.(\*|[\s\S]))?([tlkK]*)([\s\S])/gu;

/**
 * The text of `io_lib:format(Format, Args)`. Long terms are not broken into lines, as `~p` would.
 * @throws Error when the arguments do not fit the format, as `badarg`
 */
export function formatText(format: Term, args: Term): string {
  if (!Array.isArray(args)) throw misfit("the arguments are no list");
  const pending = args as readonly Term[];
  let used = 0;
  const next = (): Term => {
    const value = pending[used++];
    if (value === undefined) throw misfit("too few arguments");
    return value;
  };
  const number = (text: string | undefined): number | undefined => {
    if (text === undefined || text === "") return undefined;
    const value = text === "*" ? next() : Number(text);
    if (typeof value !== "number" || Math.abs(value) > MAX_FIELD) throw misfit("a field is no small number");
    return value;
  };
  const text = (format instanceof Atom ? format.text : charsText(format, false)).replace(
    DIRECTIVE,
    (
      _all,
      width: string | undefined,
      precision: string | undefined,
      pad: string | undefined,
      modifiers: string,
      control: string,
    ) => {
      const field: Field = {
        width: number(width),
        precision: number(precision),
        pad: pad === "*" ? codePoint(next()) : (pad ?? " "),
      };
      return directive(control, field, modifiers.includes("t"), next);
    },
  );
  if (used < pending.length) throw misfit("too many arguments");
  return text;
}

interface Field {
  readonly width: number | undefined;
  readonly precision: number | undefined;
  readonly pad: string;
}

function directive(control: string, field: Field, unicode: boolean, next: () => Term): string {
  switch (control) {
    case "~":
      return "~";
    case "n":
      return "\n".repeat(Math.max(1, field.width ?? 1));
    case "i":
      next();
      return "";
    case "c":
      return codePoint(next()).repeat(Math.abs(field.precision ?? field.width ?? 1));
    case "s": {
      const value = next();
      return string(
        value instanceof Atom
          ? value.text
          : typeof value === "boolean"
            ? String(value)
            : charsText(value, !unicode),
        field,
      );
    }
    case "w":
    case "p":
      return adjusted(termText(next(), control === "w"), field.width, field.pad);
    case "W":
    case "P": {
      const value = next();
      next(); // the depth
      return adjusted(termText(value, control === "W"), field.width, field.pad);
    }
    case "b":
    case "B":
    case "#":
    case "+":
      return adjusted(integer(next(), field.precision ?? 10, control), field.width, field.pad);
    case "x":
    case "X": {
      const value = integer(next(), field.precision ?? 10, control === "x" ? "b" : "B");
      const prefix = next();
      const before = prefix instanceof Atom ? prefix.text : charsText(prefix, false);
      return adjusted(
        value.startsWith("-") ? `-${before}${value.slice(1)}` : before + value,
        field.width,
        field.pad,
      );
    }
    case "f":
      return adjusted(real(next()).toFixed(digits(field, 6)), field.width, field.pad);
    case "e":
      return adjusted(real(next()).toExponential(digits(field, 6) - 1), field.width, field.pad);
    case "g":
      return adjusted(general(real(next()), digits(field, 6)), field.width, field.pad);
    default:
      throw misfit(`~${control} does not exist`);
  }
}

/** The text of a term in Erlang syntax. @param numeric lists and binaries always as numbers */
export function termText(term: Term, numeric = false): string {
  return inspectTerm(term, { compact: true, numeric });
}

/**
 * The text of character data: code points and binaries in lists as deep as one likes.
 * @param latin1 whether bytes of binaries are Latin-1 and not UTF-8
 * @throws Error when it is none
 */
export function charsText(chars: Term, latin1: boolean): string {
  const parts: string[] = [];
  collect(chars, latin1, parts, 0);
  return parts.join("");
}

function collect(chars: Term, latin1: boolean, parts: string[], depth: number): void {
  if (depth > MAX_DEPTH) throw misfit("text is nested too deep");
  if (typeof chars === "number") parts.push(codePoint(chars));
  else if (typeof chars === "string") parts.push(chars);
  else if (chars instanceof Uint8Array) parts.push(Buffer.from(chars).toString(latin1 ? "latin1" : "utf8"));
  else if (Array.isArray(chars))
    for (const item of chars as readonly Term[]) collect(item, latin1, parts, depth + 1);
  else if (chars instanceof ImproperList) {
    for (const item of chars.elements) collect(item, latin1, parts, depth + 1);
    collect(chars.tail, latin1, parts, depth + 1);
  } else throw misfit(chars instanceof BitString ? "bits are no text" : "a term is no text");
}

function codePoint(value: Term): string {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0x10ffff)
    throw misfit("a number is no character");
  return String.fromCodePoint(value);
}

function integer(value: Term, base: number, control: string): string {
  if (typeof value !== "number" && typeof value !== "bigint") throw misfit("an integer is missing");
  if (typeof value === "number" && !Number.isInteger(value)) throw misfit("an integer is missing");
  if (base < 2 || base > 36) throw misfit("no such base");
  const text = value.toString(base);
  const upper = control === "B" || control === "#" ? text.toUpperCase() : text;
  if (control !== "#" && control !== "+") return upper;
  return upper.startsWith("-") ? `-${base}#${upper.slice(1)}` : `${base}#${upper}`;
}

function real(value: Term): number {
  if (value instanceof Float) return value.value;
  if (typeof value === "number" && !Number.isInteger(value)) return value;
  throw misfit("a float is missing");
}

/** Short where that is exact enough, with an exponent otherwise. */
function general(value: number, count: number): string {
  const size = Math.abs(value);
  if (size < 0.1 || size >= 10_000) return value.toExponential(count - 1);
  const whole = size < 1 ? 0 : String(Math.trunc(size)).length;
  return value.toFixed(Math.max(1, count - whole));
}

/** Digits of a float: 1 to 100, as JavaScript has it. */
function digits(field: Field, otherwise: number): number {
  return Math.min(100, Math.max(1, field.precision ?? otherwise));
}

/** Right in a field of `width`, left when that is negative; stars when it does not fit. */
function adjusted(text: string, width: number | undefined, pad: string): string {
  if (width === undefined) return text;
  const size = Math.abs(width);
  const length = [...text].length;
  if (length > size) return "*".repeat(size);
  const padding = pad.repeat(size - length);
  return width < 0 ? text + padding : padding + text;
}

/** Strings are cut to precision and width. */
function string(text: string, { width, precision, pad }: Field): string {
  const size = Math.abs(width ?? precision ?? Number.POSITIVE_INFINITY);
  const cut = Math.min(size, Math.abs(precision ?? size));
  const kept = Number.isFinite(cut) ? [...text].slice(0, cut).join("") : text;
  if (width === undefined) return precision === undefined ? kept : adjusted(kept, -Math.abs(precision), pad);
  return adjusted(kept, width, pad);
}

function misfit(why: string): Error {
  return new Error(`The format does not fit: ${why}.`);
}
