import type { Term } from "../term.ts";
import { type Atom, atom } from "../terms/atom.ts";
import { BitString } from "../terms/bit-string.ts";
import { ExportFun } from "../terms/export-fun.ts";
import { ImproperList } from "../terms/improper-list.ts";
import { TermMap } from "../terms/term-map.ts";
import { Tuple } from "../terms/tuple.ts";
import type { TermSyntax } from "./names.ts";
import { takeNumber } from "./number-literal.ts";
import { TextScanner } from "./scanner.ts";

/** Options of {@link parseTerm}. */
export interface ParseOptions {
  /** Default `"erlang"`. */
  readonly syntax?: TermSyntax;
}

/** A person writes this; whoever writes deeper literals has a program do it. */
const MAX_DEPTH = 500;

/**
 * Reads a literal: numbers (`16#ff`, `1_000`, `1.5e3`, `$a`), atoms, `"strings"`, `<<"binaries">>`, lists, improper
 * lists, tuples, maps, `fun m:f/1`; in Elixir also `:atoms`, `Module.Names`, `nil`, keyword lists, `~c"charlists"`,
 * `&M.f/1`. In Erlang `"text"` is a list of code points, in Elixir a binary. Nothing is evaluated. Atoms stay for good:
 * do not pass outside input.
 * @throws IsthmusError `ETF_TEXT_INVALID` with line and column; `ETF_ATOM_INVALID`; `ETF_DUPLICATE_KEY`
 */
export function parseTerm(text: string, options: ParseOptions = {}): Term {
  const elixir = options.syntax === "elixir";
  const scanner = new TextScanner(text, elixir ? "#" : "%");
  const term = (elixir ? new ElixirParser(scanner) : new ErlangParser(scanner)).term(0);
  if (!elixir) scanner.takeNext(".");
  scanner.blanks();
  if (scanner.at < text.length) throw scanner.error("something follows the term");
  return term;
}

/** What both languages share; the languages know their leaves. */
abstract class TermParser {
  protected readonly scanner: TextScanner;

  constructor(scanner: TextScanner) {
    this.scanner = scanner;
  }

  abstract term(depth: number): Term;

  protected deeper(depth: number): number {
    if (depth >= MAX_DEPTH) throw this.scanner.error(`it is nested deeper than ${MAX_DEPTH}`);
    return depth + 1;
  }

  /** Elements up to `close`; the opening is taken. */
  protected elements(
    close: string,
    depth: number,
    element: (depth: number) => Term = (at) => this.term(at),
  ): Term[] {
    const { scanner } = this;
    const found: Term[] = [];
    if (scanner.takeNext(close)) return found;
    do found.push(element(depth));
    while (scanner.takeNext(","));
    scanner.expect(close);
    return found;
  }

  /** The rest of a list, improper ones included; the bracket is taken. */
  protected list(depth: number, element: (depth: number) => Term): Term {
    const { scanner } = this;
    const found: Term[] = [];
    if (scanner.takeNext("]")) return found;
    do found.push(element(depth));
    while (scanner.takeNext(","));
    if (!scanner.takeNext("|")) {
      scanner.expect("]");
      return found;
    }
    const tail = this.term(depth);
    scanner.expect("]");
    if (Array.isArray(tail)) return [...found, ...(tail as Term[])];
    if (tail instanceof ImproperList) return new ImproperList([...found, ...tail.elements], tail.tail);
    return new ImproperList(found, tail);
  }

  /** The rest of `<<...>>`: texts, bytes and bits with a size. */
  protected bits(colon: string): Term {
    const { scanner } = this;
    let text = "";
    const push = (value: bigint, size: number) => {
      text += (((value % (1n << BigInt(size))) + (1n << BigInt(size))) % (1n << BigInt(size)))
        .toString(2)
        .padStart(size, "0");
    };
    if (!scanner.takeNext(">>")) {
      do {
        scanner.blanks();
        if (scanner.take('"')) {
          for (const byte of this.#binaryText(scanner.quoted('"'))) push(BigInt(byte), 8);
        } else {
          const value = takeNumber(scanner, colon === "::");
          if (typeof value !== "bigint" && !Number.isInteger(value)) throw scanner.error("a byte is missing");
          const size = scanner.take(colon) ? Number(scanner.match(/\d{1,5}/y) ?? "0") : 8;
          if (size === 0) throw scanner.error("a size is missing");
          push(BigInt(value as number | bigint), size);
        }
      } while (scanner.takeNext(","));
      scanner.expect(">>");
    }
    const bytes = Buffer.alloc(Math.ceil(text.length / 8));
    for (let i = 0; i < bytes.length; i++) {
      bytes[i] = Number.parseInt(text.slice(i * 8, i * 8 + 8).padEnd(8, "0"), 2);
    }
    return text.length % 8 === 0 ? bytes : new BitString(bytes, text.length % 8);
  }

  #binaryText(text: string): Buffer {
    if (this.scanner.take("/utf8") || this instanceof ElixirParser) return Buffer.from(text, "utf8");
    if ([...text].some((character) => (character.codePointAt(0) as number) > 255)) {
      throw this.scanner.error('a character is no byte; write <<"..."/utf8>>');
    }
    return Buffer.from(text, "latin1");
  }
}

class ErlangParser extends TermParser {
  term(depth: number): Term {
    const { scanner } = this;
    const inner = this.deeper(depth);
    scanner.blanks();
    const number = takeNumber(scanner, false);
    if (number !== undefined) return number;
    if (scanner.take("$"))
      return (scanner.take("\\") ? scanner.escape() : scanner.character()).codePointAt(0) as number;
    if (scanner.take('"')) return codePoints(this.#strings());
    if (scanner.take("<<")) return this.bits(":");
    if (scanner.take("[")) return this.list(inner, (at) => this.term(at));
    if (scanner.take("{")) return new Tuple(this.elements("}", inner));
    if (scanner.take("#{")) return this.#map(inner);
    if (scanner.match(/fun\s+(?=[a-z'\u00df-\u00f6\u00f8-\u00ff])/y) !== undefined) return this.#fun();
    const name = this.#atom();
    return name.text === "true" ? true : name.text === "false" ? false : name;
  }

  /** Strings that follow each other are one. */
  #strings(): string {
    let text = this.scanner.quoted('"');
    while (this.scanner.takeNext('"')) text += this.scanner.quoted('"');
    return text;
  }

  #map(depth: number): TermMap {
    const entries: [Term, Term][] = [];
    this.elements("}", depth, (at) => {
      const key = this.term(at);
      this.scanner.expect("=>");
      entries.push([key, this.term(at)]);
      return key;
    });
    return new TermMap(entries);
  }

  #fun(): ExportFun {
    const module = this.#atom();
    this.scanner.expect(":");
    const name = this.#atom();
    return new ExportFun(module, name, arity(this.scanner));
  }

  #atom(): Atom {
    const { scanner } = this;
    scanner.blanks();
    if (scanner.take("'")) return atom(scanner.quoted("'"));
    const name = scanner.match(
      /[a-z\u00df-\u00f6\u00f8-\u00ff][A-Za-z0-9_@\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]*/y,
    );
    if (name === undefined)
      throw scanner.error("a term is missing, or is none that can be written as a literal");
    return atom(name);
  }
}

class ElixirParser extends TermParser {
  term(depth: number): Term {
    const { scanner } = this;
    const inner = this.deeper(depth);
    scanner.blanks();
    const number = takeNumber(scanner, true);
    if (number !== undefined) return number;
    if (scanner.take("?"))
      return (scanner.take("\\") ? scanner.escape() : scanner.character()).codePointAt(0) as number;
    if (scanner.take('~c"')) return codePoints(scanner.quoted('"'));
    if (scanner.take('"')) return Buffer.from(scanner.quoted('"'), "utf8");
    if (scanner.take("'")) return codePoints(scanner.quoted("'"));
    if (scanner.take("<<")) return this.bits("::");
    if (scanner.take("[")) return this.list(inner, (at) => this.#pairOrTerm(at));
    if (scanner.take("{")) return new Tuple(this.elements("}", inner));
    if (scanner.take("%{")) return this.#map(inner);
    if (scanner.take("&")) return this.#capture();
    const name = this.#atom();
    return name.text === "true" ? true : name.text === "false" ? false : name;
  }

  /** `a: 1` within a list is `{:a, 1}`. */
  #pairOrTerm(depth: number): Term {
    const key = this.#key();
    return key === undefined ? this.term(depth) : new Tuple([key, this.term(depth)]);
  }

  /** `name:` or `"name":`, taken with the colon. */
  #key(): Term | undefined {
    const { scanner } = this;
    scanner.blanks();
    const before = scanner.at;
    const bare = scanner.match(/[a-zA-Z_][a-zA-Z0-9_@]*[?!]?:(?=\s)/y);
    if (bare !== undefined) return boolean(bare.slice(0, -1));
    if (scanner.take('"')) {
      const name = scanner.quoted('"');
      if (scanner.match(/:(?=\s)/y) !== undefined) return boolean(name);
      scanner.at = before;
    }
    return undefined;
  }

  #map(depth: number): TermMap {
    const entries: [Term, Term][] = [];
    this.elements("}", depth, (at) => {
      let key = this.#key();
      if (key === undefined) {
        key = this.term(at);
        this.scanner.expect("=>");
      }
      entries.push([key, this.term(at)]);
      return key;
    });
    return new TermMap(entries);
  }

  #capture(): ExportFun {
    const module = this.#atom();
    this.scanner.expect(".");
    const name = this.scanner.take('"')
      ? this.scanner.quoted('"')
      : this.scanner.match(/[a-zA-Z_][a-zA-Z0-9_@]*[?!]?/y);
    if (name === undefined) throw this.scanner.error("the name of a function is missing");
    return new ExportFun(module, atom(name), arity(this.scanner));
  }

  #atom(): Atom {
    const { scanner } = this;
    if (scanner.take(':"')) return atom(scanner.quoted('"'));
    const named = scanner.match(/:[a-zA-Z_][a-zA-Z0-9_@]*[?!]?/y) ?? scanner.match(/:[-+*/<>=!&|^~.]+/y);
    if (named !== undefined) return atom(named.slice(1));
    const alias = scanner.match(/[A-Z][A-Za-z0-9_]*(\.[A-Z][A-Za-z0-9_]*)*/y);
    if (alias !== undefined) return atom(alias.startsWith("Elixir.") ? alias : `Elixir.${alias}`);
    const word = scanner.match(/(nil|true|false)(?![A-Za-z0-9_?!])/y);
    if (word === undefined)
      throw scanner.error("a term is missing, or is none that can be written as a literal");
    return atom(word);
  }
}

function boolean(name: string): Term {
  return name === "true" ? true : name === "false" ? false : atom(name);
}

function arity(scanner: TextScanner): number {
  scanner.expect("/");
  const value = Number(scanner.match(/\d{1,3}/y) ?? "999");
  if (value > 255) throw scanner.error("the arity of a function is missing or beyond 255");
  return value;
}

function codePoints(text: string): number[] {
  return Array.from(text, (character) => character.codePointAt(0) as number);
}
