import { isNodeName } from "@isthmus/wire";
import { strategiesError } from "../errors.ts";

/** More hosts than this in one file are an error. */
export const MAX_HOSTS = 1024;

const ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  d: "\x7f",
  e: "\x1b",
  f: "\f",
  n: "\n",
  r: "\r",
  s: " ",
  t: "\t",
  v: "\v",
};

/** Words that are no atoms unless they are quoted. */
const RESERVED = new Set(
  (
    "after and andalso band begin bnot bor bsl bsr bxor case catch cond div end fun if let not of or orelse receive " +
    "rem try when xor"
  ).split(" "),
);

// The scanner of Erlang takes these as white space, and no others
const SPACE = /[\0- \x80-\xa0]/;

/**
 * Reads the text of a `.hosts.erlang`: Erlang atoms or strings, each ended by a dot and white space; `%` begins a
 * comment (`file:consult/1`). Other terms are errors, as are hosts that cannot be part of a node name.
 * @param path for messages
 * @returns the hosts, each once
 * @throws IsthmusError `DISCOVERY_FAILED`; `context.line` counts from 1
 */
export function parseHostsFile(text: string, path: string): string[] {
  const scanner = new Scanner(text, path);
  const hosts = new Set<string>();
  for (let host = scanner.next(); host !== undefined; host = scanner.next()) {
    hosts.add(host);
    if (hosts.size > MAX_HOSTS) throw scanner.wrong(`there are more than ${MAX_HOSTS} hosts`);
  }
  return [...hosts];
}

class Scanner {
  readonly #text: string;
  readonly #path: string;
  #at = 0;

  constructor(text: string, path: string) {
    this.#text = text;
    this.#path = path;
  }

  /** The next host; undefined at the end. */
  next(): string | undefined {
    this.#skip();
    if (this.#at === this.#text.length) return undefined;
    const begin = this.#at;
    const host = this.#host();
    if (!isNodeName(`node@${host}`)) throw this.wrong(`${show(host)} is not a host name`, begin);
    this.#skip();
    this.#dot(host);
    return host;
  }

  /** @param at where it is; by default where we are */
  wrong(problem: string, at: number = this.#at): Error {
    const line = this.#text.slice(0, at).split("\n").length;
    return strategiesError("DISCOVERY_FAILED", `${this.#path}, line ${line}: ${problem}.`, {
      context: { path: this.#path, line },
    });
  }

  /** Passes over white space and comments. */
  #skip(): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at]!;
      if (c === "%") {
        const end = this.#text.indexOf("\n", this.#at);
        this.#at = end < 0 ? this.#text.length - 1 : end;
      } else if (!SPACE.test(c)) return;
    }
  }

  #host(): string {
    const quote = this.#text[this.#at]!;
    if (quote === "'") return this.#quoted(quote);
    if (quote === '"') return this.#strings();
    const word = /[a-zß-öø-ÿ][\p{L}\p{Nd}_@]*/uy;
    word.lastIndex = this.#at;
    const atom = word.exec(this.#text)?.[0];
    if (atom === undefined || /[^\0-\xff]/.test(atom)) {
      throw this.wrong("here must be a host, as an atom such as 'db.example' or as a string");
    }
    if (RESERVED.has(atom)) throw this.wrong(`${atom} has a meaning in Erlang: write it as '${atom}'`);
    this.#at += atom.length;
    return atom;
  }

  /** Strings that follow each other are one. */
  #strings(): string {
    let host = "";
    while (this.#text[this.#at] === '"') {
      host += this.#quoted('"');
      this.#skip();
    }
    return host;
  }

  #quoted(quote: string): string {
    const begin = this.#at++;
    let host = "";
    while (this.#at < this.#text.length) {
      const c = this.#text[this.#at++]!;
      if (c === quote) return host;
      host += c === "\\" ? this.#escape() : c;
    }
    throw this.wrong(`what begins here is not ended by ${quote}`, begin);
  }

  /** What follows a backslash. */
  #escape(): string {
    const begin = this.#at - 1;
    const sequence = /x\{([\da-f]{1,8})\}|x([\da-f]{2})|([0-7]{1,3})|\^([@-_a-z])|([^x^])/isuy;
    sequence.lastIndex = this.#at;
    const found = sequence.exec(this.#text);
    if (found === null) throw this.wrong("a backslash is followed by no escape sequence", begin);
    this.#at = sequence.lastIndex;
    const [, long, short, octal, control, other] = found;
    if (other !== undefined) return ESCAPES[other] ?? other;
    if (control !== undefined) return String.fromCharCode(control.charCodeAt(0) & 31);
    const code = octal === undefined ? Number.parseInt((long ?? short)!, 16) : Number.parseInt(octal, 8);
    if (code > 0x10_ffff || (code >= 0xd800 && code < 0xe000)) throw this.wrong("no such character", begin);
    return String.fromCodePoint(code);
  }

  #dot(host: string): void {
    const after = this.#text[this.#at + 1];
    if (this.#text[this.#at] === "." && (after === undefined || after === "%" || SPACE.test(after))) {
      this.#at += 1;
      return;
    }
    throw this.wrong(
      `after the host ${show(host)} there must be a dot and the end of the line; a host with dots or dashes is written in quotes, '${host}.example'`,
    );
  }
}

function show(host: string): string {
  return JSON.stringify(host.slice(0, 100));
}
