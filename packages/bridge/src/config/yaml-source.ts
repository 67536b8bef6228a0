import {
  type Document,
  type ErrorCode,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLError,
} from "yaml";
import { expandEnvironment } from "./environment.ts";
import { type ConfigProblem, type KeyPath, keyText, type ShownLine } from "./problem.ts";

/** What the YAML library's errors mean here. Its own messages are not used: they may quote the file, secrets included. */
const SYNTAX: Partial<Record<ErrorCode, string>> = {
  TAB_AS_INDENT: "a tab cannot indent YAML; use spaces.",
  BAD_INDENT: "this is not indented as its neighbours are.",
  DUPLICATE_KEY: "is given twice in this place; keep one.",
  MULTILINE_IMPLICIT_KEY:
    'this is neither a key with a value nor the end of a text; is a ":" or a quote missing?',
  MISSING_CHAR: 'something is missing: the ":" after a key, or the end of a quote, bracket or brace.',
  BAD_ALIAS: "this refers to an anchor (&name) that is not there. Put a text that begins with * in quotes.",
  BAD_SCALAR_START: "a plain text cannot begin with this character; put it in quotes.",
  BAD_DQ_ESCAPE: "this escape does not exist in double quotes; use single quotes, or \\\\ for a backslash.",
  BLOCK_AS_IMPLICIT_KEY: 'a second ":" stands in this line; put a value that has ": " in quotes.',
  TAG_RESOLVE_FAILED: "this tag is not known; put a text that begins with ! in quotes.",
  MULTIPLE_DOCS: 'the file has several documents (separated by "---"); keep one.',
  UNEXPECTED_TOKEN: "this cannot stand here.",
};

const VARIABLE_IN_FLOW = `between { } or [ ] a variable must be in quotes: "\${NAME}".`;

/** The values of these keys are shown when something is wrong with them. Others, misspelt ones too, may be secrets. */
export type IsShown = (path: KeyPath) => boolean;

/** A YAML text that remembers where everything stands in it. */
export class YamlSource {
  /** What is wrong with the YAML itself, and with the variables in it. */
  readonly problems: ConfigProblem[] = [];
  /** Whether the values can be looked at although there are problems. */
  readonly readable: boolean;
  readonly #text: string;
  readonly #document: Document;
  readonly #lines = new LineCounter();
  readonly #isShown: IsShown;
  /** Nodes with variables that are not set: nothing is known about what they will be. */
  readonly #unresolved: ReadonlySet<Node>;

  constructor(text: string, env: Readonly<Record<string, string | undefined>>, isShown: IsShown) {
    this.#text = text;
    this.#isShown = isShown;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const { errors } = this.#document;
    const broken = errors.find(({ code }) => code !== "DUPLICATE_KEY");
    // What follows a break is mostly its consequence.
    for (const error of errors)
      if (error === broken || error.code === "DUPLICATE_KEY") this.#addSyntax(error);
    const lost = broken === undefined ? this.#lostAlias(this.#document.contents) : undefined;
    if (lost !== undefined) {
      this.problems.push({ ...this.#position(lost.range?.[0] ?? 0), key: "", message: SYNTAX.BAD_ALIAS! });
    }
    this.readable = broken === undefined && lost === undefined;
    const unresolved = expandEnvironment(this.#document, env);
    this.#unresolved = new Set(unresolved.map(({ node }) => node));
    if (!this.readable) return;
    for (const { node, message } of unresolved) {
      this.problems.push({
        ...this.#position(node.range?.[0] ?? 0),
        key: keyText(pathOf(this.#document.contents, node) ?? []),
        message,
      });
    }
  }

  /** The values, as plain objects. @throws when aliases are nested beyond measure */
  value(): unknown {
    return this.#document.toJS({ maxAliasCount: 100 });
  }

  /** Whether the value at `path` has a variable that is not set. */
  isUnresolved(path: KeyPath): boolean {
    const node = this.#document.getIn(path, true);
    return isNode(node) && this.#unresolved.has(node);
  }

  /** The same of the value at `path` or anything within it. */
  isUnresolvedWithin(path: KeyPath): boolean {
    const within = (node: unknown): boolean =>
      isMap(node)
        ? node.items.some(({ value }) => within(value))
        : isSeq(node)
          ? node.items.some(within)
          : isNode(node) && this.#unresolved.has(node);
    return within(this.#document.getIn(path, true));
  }

  /** A problem with the value at `path`, or with its key; with the nearest thing above when it is not there. */
  problem(path: KeyPath, message: string, on: "key" | "value" = "value"): ConfigProblem {
    return { ...this.#position(this.#offsetOf(path, on)), key: keyText(path), message };
  }

  /** The line of a problem. Values that may be secrets are covered up; a line that YAML cannot read loses them all. */
  show({ line, column }: ConfigProblem): ShownLine | undefined {
    const start = this.#lines.lineStarts[line - 1] ?? 0;
    const next = this.#text.indexOf("\n", start);
    const end = next < 0 ? this.#text.length : next;
    const text = this.#text.slice(start, end).replace(/\r$/, "");
    if (!this.readable) {
      const key = /^[\s-]*[\w.-]+\s*:(?=\s|$)/.exec(text)?.[0];
      if (key === undefined) return undefined;
      return {
        text: key.length < text.trimEnd().length ? `${key} ***` : key,
        column: Math.min(column, key.length + 1),
      };
    }
    return cover(text, column, start, this.#secrets());
  }

  /** The first alias that leads nowhere. */
  #lostAlias(node: unknown): Node | undefined {
    if (isAlias(node)) return node.resolve(this.#document) === undefined ? node : undefined;
    const items = isMap(node) ? node.items.map(({ value }) => value) : isSeq(node) ? node.items : [];
    for (const item of items) {
      const lost = this.#lostAlias(item);
      if (lost !== undefined) return lost;
    }
    return undefined;
  }

  #addSyntax({ code, pos, message }: YAMLError): void {
    const { line, column } = this.#position(pos[0]);
    const duplicate = code === "DUPLICATE_KEY";
    const start = this.#lines.lineStarts[line - 1] ?? 0;
    const said =
      code === "UNEXPECTED_TOKEN" && /[[{,:]\s*\$\{[^}]*$/.test(this.#text.slice(start, pos[0] + 1))
        ? VARIABLE_IN_FLOW
        : code === "BAD_INDENT" && message.includes("end with a")
          ? SYNTAX.MISSING_CHAR
          : SYNTAX[code];
    this.problems.push({
      line,
      column,
      key: duplicate ? (/^["']?([\w.-]+)/.exec(this.#text.slice(pos[0]))?.[1] ?? "this key") : "",
      message: said ?? `this is not YAML (${code}).`,
    });
  }

  #position(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(Math.min(offset, this.#text.length));
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  #offsetOf(path: KeyPath, on: "key" | "value"): number {
    for (let length = path.length; length > 0; length--) {
      const parent =
        length === 1 ? this.#document.contents : this.#document.getIn(path.slice(0, length - 1), true);
      const key = path[length - 1];
      if (isMap(parent) && (on === "key" || length < path.length)) {
        const pair = parent.items.find(
          (item) => isScalar(item.key) && String(item.key.value) === String(key),
        );
        if (pair !== undefined && isNode(pair.key)) return pair.key.range?.[0] ?? 0;
      }
      const node = this.#document.getIn(path.slice(0, length), true);
      if (isNode(node)) return node.range?.[0] ?? 0;
    }
    return 0;
  }

  /** Where in the text values stand that must not be shown. */
  #secrets(): [start: number, end: number][] {
    const found: [number, number][] = [];
    const visit = (node: unknown, path: KeyPath): void => {
      if (isMap(node)) {
        for (const { key, value } of node.items)
          visit(value, [...path, isScalar(key) ? String(key.value) : "?"]);
      } else if (isSeq(node))
        for (const [i, item] of node.items.entries()) visit(isPair(item) ? item.value : item, [...path, i]);
      else if (
        isNode(node) &&
        !isAlias(node) &&
        node.range &&
        !this.#isShown(path) &&
        !isReference(this.#text.slice(node.range[0], node.range[1]))
      ) {
        found.push([node.range[0], node.range[1]]);
      }
    };
    visit(this.#document.contents, []);
    return found;
  }
}

/** Replaces what of `ranges` lies in the line that begins at `start`. */
function cover(line: string, column: number, start: number, ranges: readonly [number, number][]): ShownLine {
  let text = "";
  let shownColumn = column;
  let at = 0;
  for (const [from, to] of ranges) {
    const left = Math.max(from - start, at);
    const right = Math.min(to - start, line.length);
    if (right <= left) continue;
    text += `${line.slice(at, left)}***`;
    if (column - 1 > left) shownColumn += 3 - (Math.min(right, column - 1) - left);
    at = right;
  }
  return { text: text + line.slice(at), column: shownColumn };
}

/** A variable alone tells nothing; one with a default may. */
function isReference(text: string): boolean {
  return /^["']?\$\{[A-Za-z_][A-Za-z0-9_]*\}["']?$/.test(text);
}

function pathOf(node: unknown, wanted: Node): KeyPath | undefined {
  if (node === wanted) return [];
  const items: [string | number, unknown][] = isMap(node)
    ? node.items.map(({ key, value }) => [isScalar(key) ? String(key.value) : "?", value])
    : isSeq(node)
      ? node.items.map((item, i) => [i, item])
      : [];
  for (const [key, item] of items) {
    const rest = pathOf(item, wanted);
    if (rest !== undefined) return [key, ...rest];
  }
  return undefined;
}
