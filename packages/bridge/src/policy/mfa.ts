import { type Pattern, pattern } from "./pattern.ts";

/** A function, or several, that a rule names. */
export interface FunctionPattern {
  readonly text: string;
  readonly module: string;
  readonly function: Pattern;
  /** Undefined for any. */
  readonly arity: number | undefined;
}

const FORM = /^([^\s:*/]+):([^\s:/]+)(?:\/(\*|\d{1,3}))?$/u;

/** Functions that run any other: who may call one of these may call everything. `*` is all of a module. */
const RUNS_ANYTHING: Readonly<Record<string, readonly string[]>> = {
  erlang: ["apply", "spawn", "spawn_link", "spawn_monitor", "spawn_opt", "spawn_request", "hibernate"],
  rpc: ["*"],
  erpc: ["*"],
  erl_eval: ["*"],
  erts_internal: ["*"],
  proc_lib: [
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "spawn_opt",
    "start",
    "start_link",
    "start_monitor",
    "hibernate",
    "init_p",
  ],
  timer: ["apply_after", "apply_interval", "apply_once", "apply_repeatedly", "tc"],
  "Elixir.Kernel": ["apply", "spawn", "spawn_link", "spawn_monitor"],
  "Elixir.Node": ["spawn", "spawn_link", "spawn_monitor"],
};

/**
 * Compiles `module:function/arity`. The module is written out; in the function `*` stands for any characters; the
 * arity is a number, or `*` or nothing for any.
 * @returns why it cannot be used, the rest of a sentence, in place of a pattern
 */
export function functionPattern(text: string): FunctionPattern | string {
  const match = FORM.exec(text);
  if (match === null)
    return "must be module:function/arity, such as orders:lookup/1; only the module has to be without a *.";
  const [, module, name, arity] = match as unknown as [string, string, string, string | undefined];
  const number = arity === undefined || arity === "*" ? undefined : Number(arity);
  if (number !== undefined && number > 255) return "has more arguments than a function can have (255).";
  const compiled = pattern(name);
  const anything = RUNS_ANYTHING[module]?.find((one) => one === "*" || compiled.matches(one));
  if (anything !== undefined) {
    const shown = anything === "*" ? `${module}:${name}` : `${module}:${anything}`;
    return `would let everything be run: ${shown} calls whatever it is given. Name the functions themselves.`;
  }
  return { text, module, function: compiled, arity: number };
}

/** Whether `pattern` means this function. */
export function matchesFunction(one: FunctionPattern, module: string, name: string, arity: number): boolean {
  return (
    one.module === module && (one.arity === undefined || one.arity === arity) && one.function.matches(name)
  );
}
