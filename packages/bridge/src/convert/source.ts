import { convertError } from "./errors.ts";
import type { Place } from "./value.ts";

const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", s: " ", e: "\x1b", "0": "\0" };

/** Elixir source, and a position in it. Knows what is no code: blanks, comments and texts. */
export class ElixirSource {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  get ended(): boolean {
    return this.at >= this.text.length;
  }

  /** Line and column of an offset. */
  place(at: number = this.at): Place {
    const before = this.text.slice(0, at);
    return { line: before.split("\n").length, column: at - before.lastIndexOf("\n") };
  }

  error(problem: string, at: number = this.at): Error {
    const { line, column } = this.place(at);
    return convertError("ELIXIR_INVALID", `line ${line}, column ${column}: ${problem}`, {
      context: { line, column },
    });
  }

  /** Moves over blanks and comments; over line ends too unless told otherwise. */
  blanks(lines = true): void {
    for (; !this.ended; this.at++) {
      const character = this.text[this.at]!;
      if (character === "#") {
        while (!this.ended && this.text[this.at] !== "\n") this.at++;
        this.at--;
      } else if (character.trim() !== "" || (character === "\n" && !lines)) return;
    }
  }

  /** Takes `expected` if it stands here. */
  take(expected: string): boolean {
    if (!this.text.startsWith(expected, this.at)) return false;
    this.at += expected.length;
    return true;
  }

  /** What a sticky expression finds here, taken. */
  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return undefined;
    this.at += found[0].length;
    return found;
  }

  /**
   * The parts of a text up to `close`, which is taken: what is written, with escapes replaced, and where the code of
   * each interpolation begins; `interpolated` takes that code.
   */
  quoted<T>(close: string, start: number, interpolated: () => T): (string | T)[] {
    const parts: (string | T)[] = [];
    let written = "";
    while (!this.take(close)) {
      const character = this.text[this.at];
      if (character === undefined) throw this.error("this text is not closed", start);
      if (character === "\\") {
        this.at++;
        written += this.#escape(start);
      } else if (this.take("#{")) {
        if (written !== "") parts.push(written);
        written = "";
        parts.push(interpolated());
      } else {
        written += character;
        this.at++;
      }
    }
    if (written !== "") parts.push(written);
    return parts;
  }

  /** Moves over code until one of `stops` stands here, outside of brackets, texts, comments and `do ... end`. */
  skip(stops: string): void {
    let blocks = 0;
    while (!this.ended) {
      const character = this.text[this.at]!;
      if (blocks === 0 && stops.includes(character)) return;
      if (this.match(/[:@.][A-Za-z_][A-Za-z0-9_]*[?!]?/y) !== undefined) continue;
      const word = this.match(/[A-Za-z_][A-Za-z0-9_]*[?!]?/y)?.[0];
      if (word !== undefined) {
        const key = this.text[this.at] === ":" && this.text[this.at + 1] !== ":";
        if ((word === "do" || word === "fn") && !key) blocks++;
        if (word === "end" && !key) {
          if (blocks === 0) return;
          blocks--;
        }
      } else this.skipOne();
    }
  }

  /** Moves over one character, comment, text, sigil or bracket with what is in it. */
  skipOne(): void {
    const start = this.at;
    const character = this.text[start]!;
    if (character === "#") {
      while (!this.ended && this.text[this.at] !== "\n") this.at++;
      return;
    }
    if (this.match(/\?(\\.|.)/y) !== undefined) return;
    if (this.#skipText(start)) return;
    const close = CLOSING[character];
    this.at++;
    if (close === undefined) return;
    for (;;) {
      this.skip(")]}");
      if (this.ended) throw this.error(`this ${character} is not closed`, start);
      if (this.take(close)) return;
      if (")]}".includes(this.text[this.at]!)) {
        throw this.error(`'${close}' is missing: ${JSON.stringify(character)} was opened`, start);
      }
      this.at++;
    }
  }

  #skipText(start: number): boolean {
    const close = this.match(/"""|'''|"|'/y)?.[0];
    if (close !== undefined) {
      this.quoted(close, start, () => this.#skipInterpolation(start));
      return true;
    }
    const sigil = this.match(/~[a-zA-Z]+("""|'''|["'/|([{<])/y);
    if (sigil === undefined) return false;
    const open = sigil[1]!;
    const end = { ...CLOSING, "<": ">" }[open] ?? open;
    if (sigil[0][1]! >= "a") this.quoted(end, start, () => this.#skipInterpolation(start));
    else {
      const at = this.text.indexOf(end, this.at);
      if (at < 0) throw this.error("this text is not closed", start);
      this.at = at + end.length;
    }
    return true;
  }

  #skipInterpolation(start: number): undefined {
    this.skip("}");
    if (!this.take("}")) throw this.error("this text is not closed", start);
  }

  #escape(start: number): string {
    const code = this.match(/x([0-9a-fA-F]{2})|[xu]\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})/y);
    if (code !== undefined) {
      const number = Number.parseInt((code[1] ?? code[2] ?? code[3])!, 16);
      if (number > 0x10ffff) throw this.error("there is no such character");
      return String.fromCodePoint(number);
    }
    const character = this.text[this.at];
    if (character === undefined) throw this.error("this text is not closed", start);
    this.at++;
    return character === "\n" ? "" : (ESCAPES[character] ?? character);
  }
}
