import { readFileSync } from "node:fs";
import { strategiesError } from "../errors.ts";
import { nodeName } from "../node-names.ts";
import { type OptionSpecs, type OptionsOf, option, readOptions } from "../options.ts";
import type { ConsulAccess } from "./consul-api.ts";
import type { ConsulLookup } from "./lookup.ts";
import type { MultisiteLookup } from "./multisite.ts";

/** A service by its name, or, for `agent` only, one instance by its id. A text is a name. */
export type ServiceOption = string | { readonly name: string } | { readonly id: string };

/**
 * What to ask: a word, or the word with options of its own, which go before those of the strategy:
 * `{ health: { dc: "eu", passing: true } }`.
 */
export type ListUsing = string | Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** The options that one source may have for itself. */
export const SOURCE_OPTIONS = {
  baseUrl: option.optional(option.text()),
  accessToken: option.optional(option.text({ secret: true })),
  service: option.optional(option.any<ServiceOption>("a name, or one of name and id", serviceOption)),
  dc: option.optional(option.text()),
  filter: option.optional(option.text()),
  passing: option.optional(option.boolean()),
  expected: option.optional(option.oneOf(["ip", "host"])),
  nodeBasename: option.optional(option.text()),
  caFile: option.optional(option.text()),
  disableVerifySsl: option.optional(option.boolean({ aliases: ["disable_verify_ssl?"] })),
} satisfies OptionSpecs;

const MULTISITE_OPTIONS = {
  ...SOURCE_OPTIONS,
  datacenters: option.list(option.text(), { default: ["all"] }),
  endpoints: option.list(option.any<ListUsing>("a word or an object", listUsing)),
} satisfies OptionSpecs;

/** Options of a source; undefined is what the environment or Consul's own default says. */
export type SourceOptions = OptionsOf<typeof SOURCE_OPTIONS>;

/** What the strategy follows. */
export interface ConsulSources {
  readonly lookups: readonly ConsulLookup[];
  readonly multisites: readonly MultisiteLookup[];
}

/**
 * What the entries of `list_using` mean.
 * @throws IsthmusError `STRATEGY_OPTIONS_INVALID`
 */
export function readSources(entries: readonly ListUsing[], common: SourceOptions): ConsulSources {
  const lookups: ConsulLookup[] = [];
  const multisites: MultisiteLookup[] = [];
  for (const entry of entries) {
    const [using, given] = read(entry);
    if (using !== "multisite") {
      lookups.push(lookup(using, merge(common, readOptions(`consul (${using})`, SOURCE_OPTIONS, given))));
      continue;
    }
    const { datacenters, endpoints, ...own } = readOptions("consul (multisite)", MULTISITE_OPTIONS, given);
    const inner = readSources(endpoints, merge(common, own));
    if (inner.multisites.length > 0) throw invalid("endpoints of multisite must not hold a multisite again.");
    const all = datacenters.length === 1 && /^:?all$/.test(datacenters[0]!);
    if (all) multisites.push({ access: access(merge(common, own)), endpoints: inner.lookups });
    else lookups.push(...datacenters.flatMap((dc) => inner.lookups.map((one) => ({ ...one, dc }))));
  }
  return { lookups, multisites };
}

/** Where Consul is, and what it is asked with. @throws IsthmusError `STRATEGY_OPTIONS_INVALID` */
export function access({ baseUrl, accessToken, caFile, disableVerifySsl }: SourceOptions): ConsulAccess {
  const ca = caFile ?? process.env["CONSUL_CACERT"];
  return {
    baseUrl: consulUrl(baseUrl ?? (process.env["CONSUL_HTTP_ADDR"] || "http://localhost:8500")),
    token: accessToken ?? (process.env["CONSUL_HTTP_TOKEN"] || undefined),
    ca: ca === undefined || ca === "" ? undefined : readCa(ca),
    rejectUnauthorized: !(disableVerifySsl ?? false),
  };
}

function consulUrl(text: string): string {
  const secure = /^(1|true)$/i.test(process.env["CONSUL_HTTP_SSL"] ?? "");
  const url = /^[a-z]+:\/\//i.test(text) ? text : `${secure ? "https" : "http"}://${text}`;
  const protocol = URL.canParse(url) ? new URL(url).protocol : "";
  if (protocol === "http:" || protocol === "https:") return url;
  throw invalid(
    "base_url (or CONSUL_HTTP_ADDR) must be an http or https URL, such as http://127.0.0.1:8500.",
  );
}

function readCa(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw invalid(`ca_file (or CONSUL_CACERT) cannot be read: ${path}. Correct the path.`, cause);
  }
}

function lookup(using: ConsulLookup["using"], options: SourceOptions): ConsulLookup {
  const { service, dc, filter, passing = false, expected = "ip", nodeBasename } = options;
  if (service === undefined) throw invalid(`The strategy consul needs service, to ask ${using} for it.`);
  if (nodeBasename !== undefined) nodeName(nodeBasename, "host");
  const wanted = typeof service === "string" ? { name: service } : service;
  const details = { access: access(options), dc, filter, passing, expected, nodeBasename };
  if (using === "agent") return { using, service: wanted, ...details };
  if ("name" in wanted) return { using, service: wanted, ...details };
  throw invalid(`A service id is something that only agent knows; give ${using} a name.`);
}

const KINDS = ["agent", "health", "catalog", "multisite"] as const;

function read(entry: ListUsing): [(typeof KINDS)[number], Readonly<Record<string, unknown>>] {
  const [name, given] = typeof entry === "string" ? [entry, {}] : Object.entries(entry)[0]!;
  const word = name
    .replace(/^(Elixir\.)?Cluster\.Strategy\.Consul\./, "")
    .replace(/^:/, "")
    .toLowerCase();
  const kind = KINDS.find((one) => one === word);
  if (kind !== undefined) return [kind, given];
  throw invalid(`list_using must name ${KINDS.join(", ")}, not ${JSON.stringify(name.slice(0, 60))}.`);
}

/** For {@link option}: an entry of `list_using`. */
export function listUsing(value: unknown): ListUsing | undefined {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return undefined;
  const [own, ...more] = Object.values(value);
  return more.length === 0 && typeof own === "object" && own !== null ? (value as ListUsing) : undefined;
}

function serviceOption(value: unknown): ServiceOption | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (typeof value !== "object" || value === null) return undefined;
  const [[key, text] = [], ...more] = Object.entries(value);
  const good =
    (key === "name" || key === "id") && typeof text === "string" && text !== "" && more.length === 0;
  return good ? (value as ServiceOption) : undefined;
}

function merge(common: SourceOptions, own: SourceOptions): SourceOptions {
  const given = Object.entries(own).filter(([, value]) => value !== undefined);
  return { ...common, ...Object.fromEntries(given) };
}

function invalid(message: string, cause?: unknown): Error {
  return strategiesError("STRATEGY_OPTIONS_INVALID", message, { cause, context: { strategy: "consul" } });
}
