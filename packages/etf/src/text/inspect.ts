import { isUtf8 } from "node:buffer";
import type { Term } from "../term.ts";
import type { Atom } from "../terms/atom.ts";
import type { BitString } from "../terms/bit-string.ts";
import type { ExportFun } from "../terms/export-fun.ts";
import type { Float } from "../terms/float.ts";
import type { Fun } from "../terms/fun.ts";
import type { ImproperList } from "../terms/improper-list.ts";
import { kindOf } from "../terms/kind.ts";
import type { LocalTerm } from "../terms/local-term.ts";
import type { NativeRecord } from "../terms/native-record.ts";
import type { Pid } from "../terms/pid.ts";
import type { Port } from "../terms/port.ts";
import type { Reference } from "../terms/reference.ts";
import type { TermMap } from "../terms/term-map.ts";
import type { Tuple } from "../terms/tuple.ts";
import { atomSource, elixirFunction, elixirKey, floatSource, quoted, type TermSyntax } from "./names.ts";
import { isAscii, isCharlist, isPrintableText } from "./printable.ts";

/** The method that `util.inspect` and `console.log` call. */
export const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom") as never;

/** Options of {@link inspectTerm}. */
export interface InspectOptions {
  /** Default `"erlang"`. */
  readonly syntax?: TermSyntax;
  /** Characters after which the text is cut and `...` put behind. Default: no limit. */
  readonly maxLength?: number;
  /** No blanks after commas and around bars: as `io:format` writes terms. Default false. */
  readonly compact?: boolean;
  /** Lists and binaries always as numbers, never as text, as `~w` does. Default false. */
  readonly numeric?: boolean;
}

/** Options with their defaults. */
interface Style {
  readonly syntax: TermSyntax;
  readonly comma: string;
  readonly bar: string;
  readonly numeric: boolean;
}

/** `util.inspect` is for people and logs: nobody reads on after this many characters. */
const CUSTOM_LENGTH = 10_000;

/** How the elements of a container are laid out. */
interface Frame {
  readonly items: readonly Term[];
  next: number;
  readonly close: string;
  /** Written before the element `index`. */
  readonly before: (index: number) => string;
  /** Elements that `before` has written already: keys written as `a:`. */
  readonly skip?: (index: number) => boolean;
}

/**
 * A term as source text, as `io:format("~tp")` or `inspect/1` would show it, on one line. Everything but pids, ports,
 * references, closures, native records and local terms can be read back with {@link parseTerm}. Identifiers show node,
 * numbers and creation: `#Pid<a@host.12.0:1700000000>`.
 */
export function inspectTerm(term: Term, options: InspectOptions = {}): string {
  const { syntax = "erlang", compact = false, numeric = false } = options;
  const style = { syntax, comma: compact ? "," : ", ", bar: compact ? "|" : " | ", numeric };
  const limit = options.maxLength ?? Number.POSITIVE_INFINITY;
  const frames: Frame[] = [];
  let out = "";
  let current: Term = term;
  for (;;) {
    const shown = show(current, style, limit - out.length);
    if (typeof shown === "string") {
      out += shown;
    } else {
      out += shown.open;
      frames.push(shown.frame);
    }
    let frame = frames[frames.length - 1];
    for (;;) {
      if (out.length > limit) return `${out.slice(0, limit)}...`;
      if (frame === undefined) return out;
      if (frame.next < frame.items.length) break;
      out += frame.close;
      frames.pop();
      frame = frames[frames.length - 1];
    }
    out += frame.before(frame.next);
    if (frame.skip?.(frame.next) === true) frame.next++;
    current = frame.items[frame.next++] as Term;
  }
}

/** For `[util.inspect.custom]`. */
export function inspectCustom(term: Term, _depth: number, _options: object): string {
  return inspectTerm(term, { maxLength: CUSTOM_LENGTH });
}

type Shown = string | { readonly open: string; readonly frame: Frame };

function show(term: Term, style: Style, room: number): Shown {
  const { syntax } = style;
  switch (kindOf(term)) {
    case "integer":
      return String(term);
    case "float":
      return floatSource(typeof term === "number" ? term : (term as Float).value);
    case "atom":
      return atomSource(typeof term === "boolean" ? `${term}` : (term as Atom).text, syntax);
    case "binary":
      return binarySource(typeof term === "string" ? Buffer.from(term) : (term as Uint8Array), style, room);
    case "bitstring":
      return bitStringSource(term as BitString, syntax, room);
    case "list":
      return listSource(term as readonly Term[], style);
    case "improper":
      return improperSource(term as ImproperList, style);
    case "tuple":
      return row("{", (term as Tuple).elements, "}", style);
    case "map":
      return mapSource(term as ReadonlyMap<Term, Term>, style);
    case "record":
      return recordSource(term as NativeRecord, style);
    case "export":
      return exportSource(term as ExportFun, syntax);
    case "pid": {
      const { node, id, serial, creation } = term as Pid;
      return `#${syntax === "erlang" ? "Pid" : "PID"}<${node.text}.${id}.${serial}:${creation}>`;
    }
    case "port": {
      const { node, id, creation } = term as Port;
      return `#Port<${node.text}.${id}:${creation}>`;
    }
    case "reference": {
      const { node, words, creation } = term as Reference;
      const numbers = [...words].reverse().join(".");
      return `#${syntax === "erlang" ? "Ref" : "Reference"}<${node.text}.${numbers}:${creation}>`;
    }
    case "fun": {
      const { module, index, oldUniq, arity } = term as Fun;
      return `#Fun<${atomSource(module.text, syntax)}.${index}.${oldUniq}/${arity}>`;
    }
    case "local":
      return `#Local<${(term as LocalTerm).bytes.length} bytes>`;
    default:
      return `#NotATerm<${typeof term}>`;
  }
}

function row(open: string, items: readonly Term[], close: string, { comma }: Style): Shown {
  return { open, frame: { items, next: 0, close, before: (index) => (index === 0 ? "" : comma) } };
}

function improperSource(list: ImproperList, { comma, bar }: Style): Shown {
  const items = [...list.elements, list.tail];
  const before = (index: number) => (index === items.length - 1 ? bar : index === 0 ? "" : comma);
  return { open: "[", frame: { items, next: 0, close: "]", before } };
}

function listSource(list: readonly Term[], style: Style): Shown {
  const { syntax, numeric } = style;
  if (!numeric && isCharlist(list)) {
    const text = quoted(Buffer.from(list).toString("latin1"), '"', syntax);
    return syntax === "erlang" ? text : `~c${text}`;
  }
  return row("[", list, "]", style);
}

function binarySource(bytes: Uint8Array, { syntax, numeric }: Style, room: number): string {
  // what does not fit is not worth looking at
  const cut = bytes.length > room + 4 ? bytes.subarray(0, room + 4) : bytes;
  if (cut.length === 0) return syntax === "erlang" ? "<<>>" : '""';
  if (!numeric && cut === bytes && isUtf8(bytes)) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
    if (isPrintableText(text)) {
      const source = quoted(text, '"', syntax);
      return syntax === "elixir" ? source : isAscii(text) ? `<<${source}>>` : `<<${source}/utf8>>`;
    }
  }
  return `<<${Array.from(cut).join(syntax === "erlang" ? "," : ", ")}>>`;
}

function bitStringSource(bits: BitString, syntax: TermSyntax, room: number): string {
  const whole = Array.from(bits.bytes.subarray(0, Math.min(bits.bytes.length - 1, room)));
  const last = (bits.bytes[bits.bytes.length - 1] as number) >>> (8 - bits.bits);
  const separator = syntax === "erlang" ? "," : ", ";
  return `<<${[...whole, `${last}${syntax === "erlang" ? ":" : "::"}${bits.bits}`].join(separator)}>>`;
}

function mapSource(map: ReadonlyMap<Term, Term>, { syntax, comma }: Style): Shown {
  const separator = (index: number) => (index === 0 ? "" : comma);
  const items: readonly Term[] = map instanceof Map ? ([...map].flat() as Term[]) : (map as TermMap).flat;
  if (syntax === "erlang") {
    const before = (index: number) => (index % 2 === 1 ? " => " : separator(index));
    return { open: "#{", frame: { items, next: 0, close: "}", before } };
  }
  const keyword = items.every((item, index) => index % 2 === 1 || isKey(item));
  if (!keyword) {
    const before = (index: number) => (index % 2 === 1 ? " => " : separator(index));
    return { open: "%{", frame: { items, next: 0, close: "}", before } };
  }
  const before = (index: number) => `${separator(index)}${elixirKey(String(items[index]))} `;
  return { open: "%{", frame: { items, next: 0, close: "}", before, skip: () => true } };
}

function isKey(term: Term): boolean {
  return kindOf(term) === "atom" && !String(term).startsWith("Elixir.");
}

function recordSource(record: NativeRecord, { syntax, comma }: Style): Shown {
  const name = `${atomSource(record.module.text, syntax)}:${atomSource(record.name.text, syntax)}`;
  const before = (index: number) =>
    `${index === 0 ? "" : comma}${atomSource(record.fields[index]?.text ?? "", syntax)} = `;
  return { open: `#${name}{`, frame: { items: record.values, next: 0, close: "}", before } };
}

function exportSource(fun: ExportFun, syntax: TermSyntax): string {
  const module = atomSource(fun.module.text, syntax);
  return syntax === "erlang"
    ? `fun ${module}:${atomSource(fun.function.text, syntax)}/${fun.arity}`
    : `&${module}.${elixirFunction(fun.function.text)}/${fun.arity}`;
}
