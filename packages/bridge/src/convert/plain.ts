import type { EnvironmentValue, Value } from "./value.ts";
import type { Plain } from "./yaml-lines.ts";

/** A value as our configuration has it, or why it can have none. */
export type PlainResult =
  | { readonly ok: true; readonly value: Plain /** Whether variables stand in it. */; readonly env: boolean }
  | { readonly ok: false; readonly why: string };

/**
 * A value of Elixir as YAML: atoms and modules as their names, variables as `${NAME:-default}`, tuples of four or
 * eight numbers as IP addresses, keyword lists and maps as maps.
 */
export function toPlain(value: Value): PlainResult {
  switch (value.is) {
    case "text":
    case "atom":
      return literal(escaped(value.text));
    case "number":
      return literal(value.number);
    case "boolean":
      return literal(value.value);
    case "nil":
      return refused("nil is the same as not given here");
    case "env":
      return reference(value);
    case "parts":
      return joined(value.parts);
    case "code":
      return refused(
        isFunction(value.source) ? "a function cannot be converted" : "only Elixir can evaluate this",
      );
    case "tuple":
      return address(value.items) ?? refused("a tuple has no counterpart");
    case "list":
      return list(value.items);
    case "pairs": {
      const values = list(value.pairs.map((pair) => pair.value));
      if (!values.ok) return values;
      const items = values.value as readonly Plain[];
      const entries = value.pairs.map(({ key }, i): [string, Plain] => [key, items[i]!]);
      return { ok: true, value: Object.fromEntries(entries), env: values.env };
    }
  }
}

function literal(value: Plain): PlainResult {
  return { ok: true, value, env: false };
}

function refused(why: string): PlainResult {
  return { ok: false, why };
}

function list(values: readonly Value[]): PlainResult {
  const items: Plain[] = [];
  let env = false;
  for (const value of values) {
    const item = toPlain(value);
    if (!item.ok) return item;
    items.push(item.value);
    env ||= item.env;
  }
  return { ok: true, value: items, env };
}

function joined(parts: readonly (string | EnvironmentValue)[]): PlainResult {
  let text = "";
  for (const part of parts) {
    if (typeof part === "string") text += escaped(part);
    else {
      const variable = reference(part);
      if (!variable.ok) return variable;
      text += String(variable.value);
    }
  }
  return { ok: true, value: text, env: true };
}

function reference({ name, fallback }: EnvironmentValue): PlainResult {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return refused(`${name} cannot be the name of a variable`);
  if (fallback === undefined || fallback.is === "nil") return { ok: true, value: `\${${name}}`, env: true };
  const other = toPlain(fallback);
  const simple = other.ok && !other.env && typeof other.value !== "object";
  if (!simple) return refused(`the default of ${name} is more than a text or number`);
  const text = String(other.value);
  if (text.includes("}") || text.includes("$")) return refused(`the default of ${name} has a } or $ in it`);
  return { ok: true, value: `\${${name}:-${text}}`, env: true };
}

/** `{10, 0, 0, 1}` as `10.0.0.1`, and the same with eight numbers. */
function address(items: readonly Value[]): PlainResult | undefined {
  const numbers = items.map((item) => (item.is === "number" ? item.number : Number.NaN));
  if (numbers.some((number) => !Number.isInteger(number) || number < 0)) return undefined;
  if (numbers.length === 4) return literal(numbers.join("."));
  return numbers.length === 8 ? literal(numbers.map((number) => number.toString(16)).join(":")) : undefined;
}

function isFunction(source: string): boolean {
  return source.startsWith("&") || /^fn\b/.test(source);
}

/** `${` stands for a variable in our configuration. */
function escaped(text: string): string {
  return text.split("${").join("$${");
}
