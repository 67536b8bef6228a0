/**
 * The term objects of the npm package `erlang_js` on one side, terms of this package on the other. The bytes always
 * come from this package's codec: `erlang_js` 2.0.7 truncates integers beyond 32 bits, rounds incoming ones, refuses
 * `bigint`, writes atoms that are not ASCII with the wrong bytes, and fails on deep terms (test/erlang-js.test.ts).
 *
 * @example
 * ```ts
 * import { Erlang } from "erlang_js";
 * import { erlangJs } from "@isthmus/etf/erlang-js";
 *
 * const codec = erlangJs(Erlang);
 * const bytes = codec.encode([new Erlang.OtpErlangAtom("ok"), 2 ** 60]);
 * const value = codec.decode(bytes);
 * ```
 * @packageDocumentation
 */
import { Branch, rebuild } from "./convert/rebuild.ts";
import { type DecodeOptions, decode } from "./decode/decode.ts";
import { encode } from "./encode/encode.ts";
import { etfError } from "./errors.ts";
import type { Term } from "./term.ts";
import { type Atom, atom } from "./terms/atom.ts";
import { BitString } from "./terms/bit-string.ts";
import { Float } from "./terms/float.ts";
import { ImproperList } from "./terms/improper-list.ts";
import { kindOf } from "./terms/kind.ts";
import { Pid } from "./terms/pid.ts";
import { Port } from "./terms/port.ts";
import { Reference } from "./terms/reference.ts";
import { TermMap } from "./terms/term-map.ts";
import { Tuple } from "./terms/tuple.ts";

type Constructor = new (...args: never[]) => object;

/** What is needed of the namespace `Erlang` that `erlang_js` exports. */
export interface ErlangJsNamespace {
  readonly OtpErlangAtom: Constructor;
  readonly OtpErlangAtomLarge?: Constructor;
  readonly OtpErlangBinary: Constructor;
  readonly OtpErlangList: Constructor;
  readonly OtpErlangMap: Constructor;
  readonly OtpErlangPid: Constructor;
  readonly OtpErlangPort: Constructor;
  readonly OtpErlangReference: Constructor;
  readonly OtpErlangFunction: Constructor;
}

/** Options of {@link erlangJs}. */
export interface ErlangJsOptions {
  /** The atom that `null` stands for, as set with `Erlang.set_undefined`. Default `undefined`. */
  readonly undefined?: string;
  /**
   * What whole floats become: `"keep"` (default), a {@link Float}, which encodes as the same float again; or
   * `"number"`, as in `erlang_js`, which encodes as an integer.
   */
  readonly wholeFloats?: "keep" | "number";
  /** `ETF_DEPTH_LIMIT`; default 10 000. */
  readonly maxDepth?: number;
}

/** Converts between the objects of `erlang_js` and terms or bytes. */
export interface ErlangJsAdapter {
  /** @throws IsthmusError `ETF_CONVERSION` and the codes of `encode` */
  encode(value: unknown): Buffer;
  /** @throws IsthmusError `ETF_CONVERSION` and the codes of `decode` */
  decode(bytes: Uint8Array, options?: DecodeOptions): unknown;
  /** @throws IsthmusError `ETF_CONVERSION`, `ETF_DEPTH_LIMIT` */
  toTerm(value: unknown): Term;
  /** @throws IsthmusError `ETF_CONVERSION`, `ETF_DEPTH_LIMIT` */
  fromTerm(term: Term): unknown;
}

const DEFAULT_MAX_DEPTH = 10_000;
const NEW_FUN_EXT = 112;
const EXPORT_EXT = 113;

/**
 * An adapter for the given namespace. It is passed in, so that this package needs no `erlang_js` of its own.
 *
 * Differences from `erlang_js`, all on purpose: integers beyond 2^53 come as `bigint` and are taken as such; the text
 * of an atom is its text, not the bytes of its UTF-8 form; a whole float stays a float.
 */
export function erlangJs(erlang: ErlangJsNamespace, options: ErlangJsOptions = {}): ErlangJsAdapter {
  const maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH;
  const nothing = atom(options.undefined ?? "undefined");
  const toTerm = (value: unknown): Term =>
    rebuild<unknown, Term>(value, maxDepth, (part) => openValue(erlang, nothing, part));
  const fromTerm = (term: Term): unknown =>
    rebuild<Term, unknown>(term, maxDepth, (part) =>
      openTerm(erlang, nothing, options.wholeFloats ?? "keep", part),
    );
  return {
    toTerm,
    fromTerm,
    encode: (value) => encode(toTerm(value)),
    decode: (bytes, decodeOptions) => fromTerm(decode(bytes, decodeOptions)),
  };
}

/** The fields that the objects of `erlang_js` have between them. */
interface Fields {
  readonly value: unknown;
  readonly bits: number;
  readonly improper: boolean;
  readonly node: { readonly value: string };
  readonly id: Buffer;
  readonly serial: Buffer;
  readonly creation: Buffer;
  readonly tag: number;
}

function openValue(erlang: ErlangJsNamespace, nothing: Atom, value: unknown): Term | Branch<unknown, Term> {
  if (value === null) return nothing;
  if (typeof value === "number") {
    // a whole number means an integer to erlang_js, and as a double it is exact
    return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value) : value;
  }
  if (typeof value === "string") return byteList(value);
  if (typeof value === "boolean" || typeof value === "bigint") return value;
  if (value instanceof Float) return value;
  if (Array.isArray(value)) return new Branch<unknown, Term>(value, (built) => new Tuple(built));
  const fields = value as Fields;
  if (value instanceof erlang.OtpErlangAtom || isInstance(value, erlang.OtpErlangAtomLarge)) {
    return atom(String(fields.value));
  }
  if (value instanceof erlang.OtpErlangBinary) return binaryOf(fields);
  if (value instanceof erlang.OtpErlangList) return openList(fields);
  if (value instanceof erlang.OtpErlangMap) return openMap(fields.value);
  if (value instanceof erlang.OtpErlangPid) {
    return new Pid(
      atom(fields.node.value),
      number(fields.id),
      number(fields.serial),
      number(fields.creation),
    );
  }
  if (value instanceof erlang.OtpErlangPort) {
    return new Port(
      atom(fields.node.value),
      BigInt(`0x${fields.id.toString("hex")}`),
      number(fields.creation),
    );
  }
  if (value instanceof erlang.OtpErlangReference) {
    const words: number[] = [];
    for (let i = 0; i + 4 <= fields.id.length; i += 4) words.push(fields.id.readUInt32BE(i));
    return new Reference(atom(fields.node.value), number(fields.creation), words);
  }
  if (value instanceof erlang.OtpErlangFunction) {
    return decode(Buffer.concat([Buffer.from([131, fields.tag]), fields.value as Buffer]));
  }
  if (typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) return openMap(value);
  throw etfError("ETF_CONVERSION", `A value of the type ${typeof value} is none that erlang_js knows.`);
}

function isInstance(value: unknown, type: Constructor | undefined): boolean {
  return type !== undefined && value instanceof type;
}

/** A string of erlang_js is a list of bytes. */
function byteList(text: string): number[] {
  return Array.from({ length: text.length }, (_, index) => text.charCodeAt(index) & 255);
}

function binaryOf(fields: Fields): Term {
  const bytes = Buffer.isBuffer(fields.value) ? fields.value : Buffer.from(String(fields.value), "latin1");
  return fields.bits === 8 || bytes.length === 0 ? bytes : new BitString(bytes, fields.bits);
}

function openList(fields: Fields): Branch<unknown, Term> {
  return new Branch<unknown, Term>(fields.value as unknown[], (built) => {
    if (!fields.improper) return built;
    const tail = built.pop() as Term;
    if (Array.isArray(tail)) return [...built, ...(tail as Term[])];
    if (tail instanceof ImproperList) return new ImproperList([...built, ...tail.elements], tail.tail);
    return built.length === 0 ? tail : new ImproperList(built, tail);
  });
}

function openMap(value: unknown): Branch<unknown, Term> {
  const entries = value instanceof Map ? [...value] : Object.entries(value as object);
  return new Branch<unknown, Term>(entries.flat(), (flat) => {
    const pairs: [Term, Term][] = [];
    for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i] as Term, flat[i + 1] as Term]);
    return new TermMap(pairs);
  });
}

function number(bytes: Buffer): number {
  return bytes.readUIntBE(0, bytes.length);
}

function openTerm(
  erlang: ErlangJsNamespace,
  nothing: Atom,
  wholeFloats: "keep" | "number",
  term: Term,
): unknown | Branch<Term, unknown> {
  const make = (type: Constructor, ...args: unknown[]): object => new type(...(args as never[]));
  switch (kindOf(term)) {
    case "integer":
      return term;
    case "float":
      return wholeFloats === "number" && term instanceof Float ? term.value : term;
    case "atom":
      if (typeof term === "boolean") return term;
      return term === nothing ? null : make(erlang.OtpErlangAtom, (term as Atom).text, true);
    case "binary":
      return make(erlang.OtpErlangBinary, typeof term === "string" ? Buffer.from(term) : term, 8);
    case "bitstring":
      return make(erlang.OtpErlangBinary, (term as BitString).bytes, (term as BitString).bits);
    case "list":
      // what STRING_EXT holds is a string there
      if (isString(term as readonly Term[])) return Buffer.from(term as number[]).toString("latin1");
      return new Branch<Term, unknown>(term as readonly Term[], (built) =>
        make(erlang.OtpErlangList, built, false),
      );
    case "improper": {
      const { elements, tail } = term as ImproperList;
      return new Branch<Term, unknown>([...elements, tail], (built) =>
        make(erlang.OtpErlangList, built, true),
      );
    }
    case "tuple":
      return new Branch<Term, unknown>((term as Tuple).elements, (built) => built);
    case "map":
      return new Branch<Term, unknown>([...(term as ReadonlyMap<Term, Term>)].flat() as Term[], (flat) => {
        const map = new Map<unknown, unknown>();
        for (let i = 0; i < flat.length; i += 2) map.set(flat[i], flat[i + 1]);
        return make(erlang.OtpErlangMap, map);
      });
    case "pid": {
      const { node, id, serial, creation } = term as Pid;
      return make(
        erlang.OtpErlangPid,
        make(erlang.OtpErlangAtom, node.text, true),
        u32(id),
        u32(serial),
        u32(creation),
      );
    }
    case "port": {
      const { node, id, creation } = term as Port;
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64BE(id);
      return make(erlang.OtpErlangPort, make(erlang.OtpErlangAtom, node.text, true), bytes, u32(creation));
    }
    case "reference": {
      const { node, words, creation } = term as Reference;
      const bytes = Buffer.concat(words.map(u32));
      return make(
        erlang.OtpErlangReference,
        make(erlang.OtpErlangAtom, node.text, true),
        bytes,
        u32(creation),
      );
    }
    case "fun":
    case "export": {
      const bytes = encode(term);
      return make(
        erlang.OtpErlangFunction,
        kindOf(term) === "fun" ? NEW_FUN_EXT : EXPORT_EXT,
        bytes.subarray(2),
      );
    }
    default:
      throw etfError("ETF_CONVERSION", "erlang_js has no object for native records and local terms.");
  }
}

function isString(list: readonly Term[]): boolean {
  return (
    list.length > 0 &&
    list.length <= 65535 &&
    list.every((item) => typeof item === "number" && (item & 255) === item)
  );
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
