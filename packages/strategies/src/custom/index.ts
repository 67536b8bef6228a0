import type { Strategy } from "../contract.ts";
import { defineStrategy } from "../define.ts";
import { strategiesError } from "../errors.ts";
import { type OptionsInput, type OptionsOf, option } from "../options.ts";
import { pollingStrategy } from "../poll.ts";
import { loadModule, startedLater } from "./module.ts";
import { checkNames } from "./names.ts";
import { type Ask, askCommand, askFile, askUrl } from "./sources.ts";

export type { CustomModuleContext } from "./module.ts";

/** Gives the names of the nodes, or hosts with `nodeBasename`. What it throws is a failed discovery. */
export type CustomDiscover = (signal: AbortSignal) => readonly string[] | Promise<readonly string[]>;

type Texts = Readonly<Record<string, unknown>>;

const record = (value: unknown): Texts | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Texts) : undefined;

const headers = (value: unknown): Readonly<Record<string, string>> | undefined => {
  const given = record(value);
  return given !== undefined && Object.values(given).every((one) => typeof one === "string")
    ? (given as Readonly<Record<string, string>>)
    : undefined;
};

const url = (value: unknown): string | undefined => {
  if (typeof value !== "string" || !URL.canParse(value)) return undefined;
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === "" && password === "" ? value : undefined;
};

const SOURCES = ["discover", "module", "command", "file", "url"] as const;

const options = {
  /** A function that gives the names. */
  discover: option.optional(option.fn<CustomDiscover>()),
  /** Path or `file:` URL of a module whose default export is a strategy, or a function that gives the names. */
  module: option.optional(option.text()),
  /** What the module is given. @default nothing */
  options: option.any<Texts>("a map of options", record, { default: {} }),
  /** A program with its arguments, as a list; it prints the names. With `shell` one text. */
  command: option.optional({ ...option.list(option.text()), secret: true }),
  /** Whether `/bin/sh` reads `command`. @default false */
  shell: option.boolean({ default: false }),
  /** A file with the names. */
  file: option.optional(option.text()),
  /** Where the names are, by HTTP. */
  url: option.optional(
    option.any<string>("an http or https URL without user and password", url, { secret: true }),
  ),
  /** What is sent with each request to `url`. */
  headers: option.any<Readonly<Record<string, string>>>(
    "a map of header fields, each of them text",
    headers,
    {
      default: {},
      secret: true,
    },
  ),
  /** File with the certificates to trust at `url` instead of the system's, PEM. */
  caFile: option.optional(option.text()),
  /** What is put before a name without `@`, which is a host then. */
  nodeBasename: option.optional(option.text()),
  /** Between two rounds. Milliseconds. @default 5000 */
  pollingInterval: option.milliseconds({ default: 5000 }),
  /** A round that takes longer has failed; a command is killed then. Milliseconds. @default 15000 */
  timeout: option.milliseconds({ default: 15_000 }),
  /** A longer answer of `command` or `url` is an error. Bytes. @default 1 MiB */
  maxBytes: option.integer({ min: 1, max: 64 * 1024 * 1024, default: 1024 * 1024 }),
};

type Options = OptionsOf<typeof options>;

/** Options of {@link custom}. */
export type CustomStrategyOptions = OptionsInput<typeof options>;

/**
 * The names of the nodes from one source of one's own: a function, a module, a command, a file or a URL. Text is a
 * JSON array or has one name on each line. A list with anything but node names in it has failed as a whole.
 */
export const custom = defineStrategy({
  name: "custom",
  options,
  create(given) {
    const sources = SOURCES.filter((source) => given[source] !== undefined);
    if (sources.length !== 1) {
      const found = sources.length === 0 ? "none" : sources.join(", ");
      throw invalid(`The strategy custom needs exactly one of ${SOURCES.join(", ")}, and has ${found}.`);
    }
    const { module, command, shell } = given;
    if (shell && command?.length !== 1) throw invalid("With shell the command must be one text.");
    if (command?.length === 0) throw invalid("command must have a program.");
    const ask = askOf(given);
    return ask === undefined ? fromModule(module!, given) : poller(given, ask);
  },
});

/** Undefined for a module. */
function askOf({ discover, command, shell, file, url, ...rest }: Options): Ask | undefined {
  const { headers, caFile, maxBytes, nodeBasename } = rest;
  if (discover !== undefined) {
    return async (signal) => checkNames(await discover(signal), "The function discover", nodeBasename);
  }
  if (command !== undefined) return askCommand({ argv: command, shell, maxBytes }, nodeBasename);
  if (file !== undefined) return askFile(file, nodeBasename);
  return url === undefined ? undefined : askUrl({ url, headers, caFile, maxBytes }, nodeBasename);
}

function fromModule(path: string, given: Options): Strategy {
  return startedLater(async ({ self, logger, clock }) => {
    const loaded = await loadModule(path, given.options);
    if ("strategy" in loaded) return loaded.strategy;
    return poller(given, async (signal) => {
      const names = await loaded.discover({ self, logger, clock, signal, options: given.options });
      return checkNames(names, `The module ${path}`, given.nodeBasename);
    });
  });
}

function poller({ pollingInterval, timeout }: Options, ask: Ask): Strategy {
  return pollingStrategy({
    intervalMs: pollingInterval,
    timeoutMs: timeout,
    discover: async (signal) => ({ nodes: await ask(signal) }),
  });
}

function invalid(message: string): Error {
  return strategiesError("STRATEGY_OPTIONS_INVALID", message, { context: { strategy: "custom" } });
}
