import { stringify } from "yaml";

/** A value of JSON: what YAML holds here. */
export type Plain = string | number | boolean | readonly Plain[] | { readonly [key: string]: Plain };

/** YAML, written line by line, so that comments stand where they belong. */
export class YamlLines {
  readonly #lines: string[] = [];

  /** `text`, in as many lines as it has. */
  comment(depth: number, text: string): void {
    for (const line of text.split("\n")) this.#lines.push(`${indent(depth)}# ${line}`.trimEnd());
  }

  /** `key:`, with what belongs to it in the lines that follow. */
  open(depth: number, key: string): void {
    this.#lines.push(`${indent(depth)}${scalar(key)}:`);
  }

  /** `key: value`. */
  entry(depth: number, key: string, value: Plain): void {
    const text = stringify({ [key]: value }, { lineWidth: 0, flowCollectionPadding: false }).trimEnd();
    for (const line of text.split("\n")) this.#lines.push(indent(depth) + line);
  }

  blank(): void {
    this.#lines.push("");
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

function indent(depth: number): string {
  return "  ".repeat(depth);
}

function scalar(text: string): string {
  return stringify(text).trimEnd();
}
