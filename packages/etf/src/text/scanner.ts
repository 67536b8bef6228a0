import { etfError } from "../errors.ts";

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = {
  b: 8,
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
  e: 27,
  s: 32,
  d: 127,
  a: 7,
  "0": 0,
};

/** A place in a text, with what the literals of Erlang and Elixir have in common. */
export class TextScanner {
  readonly text: string;
  at: number;
  readonly #comment: string;

  /** @param comment the character that starts a comment */
  constructor(text: string, comment: string) {
    this.text = text;
    this.at = 0;
    this.#comment = comment;
  }

  /** Moves over blanks and comments. */
  blanks(): void {
    for (;;) {
      const character = this.text[this.at];
      if (character === this.#comment) {
        while (this.at < this.text.length && this.text[this.at] !== "\n") this.at++;
      } else if (character !== undefined && character.trim() === "") {
        this.at++;
      } else {
        return;
      }
    }
  }

  /** Takes `expected` if it stands here. */
  take(expected: string): boolean {
    if (!this.text.startsWith(expected, this.at)) return false;
    this.at += expected.length;
    return true;
  }

  /** Moves over blanks, and takes `expected` if it stands there. */
  takeNext(expected: string): boolean {
    this.blanks();
    return this.take(expected);
  }

  expect(expected: string): void {
    if (!this.takeNext(expected)) throw this.error(`'${expected}' is missing`);
  }

  /** What a sticky expression finds here, taken; undefined for nothing. */
  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  /** The text up to `quote`, which is taken, with escapes replaced. */
  quoted(quote: string): string {
    let out = "";
    for (;;) {
      const character = this.text[this.at];
      if (character === undefined) throw this.error("a quote is not closed");
      if (this.take(quote)) return out;
      if (character === "\\") {
        this.at++;
        out += this.escape();
      } else {
        out += character;
        this.at++;
      }
    }
  }

  /** The character that an escape means; the backslash is taken already. */
  escape(): string {
    const hex =
      this.match(/x\{[0-9a-fA-F]{1,6}\}/y)?.slice(2, -1) ??
      this.match(/u\{[0-9a-fA-F]{1,6}\}/y)?.slice(2, -1) ??
      this.match(/u[0-9a-fA-F]{4}/y)?.slice(1) ??
      this.match(/x[0-9a-fA-F]{2}/y)?.slice(1);
    if (hex !== undefined) return this.#character(Number.parseInt(hex, 16));
    const octal = this.match(/[0-7]{2,3}/y);
    if (octal !== undefined) return this.#character(Number.parseInt(octal, 8));
    const control = this.match(/\^[@-_a-z]/y);
    if (control !== undefined) return this.#character(control.charCodeAt(1) & 31);
    const character = this.character();
    const simple = SIMPLE_ESCAPES[character];
    return simple === undefined ? character : String.fromCharCode(simple);
  }

  /** One character, taken; half a surrogate pair is none. */
  character(): string {
    const code = this.text.codePointAt(this.at);
    if (code === undefined) throw this.error("the text ends too early");
    const character = this.#character(code);
    this.at += character.length;
    return character;
  }

  error(problem: string): Error {
    const before = this.text.slice(0, this.at);
    const line = before.split("\n").length;
    const column = this.at - before.lastIndexOf("\n");
    return etfError("ETF_TEXT_INVALID", `The text is no term: ${problem} (line ${line}, column ${column}).`, {
      context: { line, column },
    });
  }

  #character(code: number): string {
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) throw this.error("there is no such character");
    return String.fromCodePoint(code);
  }
}
