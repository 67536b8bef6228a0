/**
 * The strategy `consul`: the instances of a service in HashiCorp Consul.
 *
 * @example
 * ```ts
 * const strategy = consul({ service: "shop", nodeBasename: "shop", passing: true });
 * const topology = startTopology({ name: "shop", strategy, hooks });
 * ```
 * @packageDocumentation
 */
import type { Strategy } from "../contract.ts";
import { defineStrategy } from "../define.ts";
import { strategiesError } from "../errors.ts";
import { type OptionsInput, type OptionsOf, option, readOptions } from "../options.ts";
import type { Polling } from "../poll.ts";
import { watchMultisite } from "./multisite.ts";
import { type Registration, type RegistrationOptions, register } from "./registration.ts";
import { access, type ListUsing, listUsing, readSources, SOURCE_OPTIONS } from "./sources.ts";
import { Union } from "./union.ts";
import { watchLookup } from "./watch.ts";

export type { ListUsing, ServiceOption } from "./sources.ts";

const REGISTER_OPTIONS = {
  address: option.optional(option.text()),
  port: option.optional(option.integer({ min: 1, max: 65_535 })),
  tags: option.list(option.text(), { default: [] }),
  ttl: option.milliseconds({ default: 15_000, min: 1000 }),
};

/** How our own node is entered in Consul; all of it optional. */
export type ConsulRegisterOptions = OptionsInput<typeof REGISTER_OPTIONS>;

const OPTIONS = {
  ...SOURCE_OPTIONS,
  listUsing: option.list(option.any<ListUsing>("a word or an object with one key", listUsing), {
    default: ["health"],
  }),
  pollingInterval: option.milliseconds({ default: 5000 }),
  waitTime: option.milliseconds({ default: 60_000, min: 0, max: 600_000 }),
  emptyIsValid: option.boolean({ default: false }),
  register: option.any("true, false, or an object", registerOption, {
    default: false,
  }),
};

/** Options of {@link consul}; docs/consul.md describes each. */
export type ConsulOptions = OptionsInput<typeof OPTIONS>;

/** The nodes of a service in Consul, as libcluster_consul's `Cluster.Strategy.Consul`, kept up by blocking queries. */
export const consul = defineStrategy({
  name: "consul",
  aliases: ["Cluster.Strategy.Consul"],
  options: OPTIONS,
  create(options): Strategy {
    const { listUsing: entries, pollingInterval: intervalMs, waitTime: waitMs, emptyIsValid } = options;
    const { lookups, multisites } = readSources(entries, options);
    const registration = readRegistration(options);
    const watch = { intervalMs, waitMs, emptyIsValid };
    let running: Polling[] = [];
    let entry: Registration | undefined;
    return {
      start(context) {
        const union = new Union(context);
        entry =
          registration && context.passive !== true ? register(union.add().context, registration) : undefined;
        running = [
          ...lookups.map((lookup) => watchLookup(union.add().context, lookup, watch)),
          ...multisites.map((multisite) => watchMultisite(union, multisite, watch)),
          ...(entry === undefined ? [] : [entry]),
        ];
      },
      refresh() {
        for (const one of running) one.refresh();
      },
      drain: () => entry?.drain(),
      async stop() {
        await Promise.all(running.splice(0).map((one) => one.stop()));
      },
    };
  },
});

function readRegistration(options: OptionsOf<typeof OPTIONS>): RegistrationOptions | undefined {
  const { register: given, service } = options;
  if (given === false) return undefined;
  const name = typeof service === "object" && "name" in service ? service.name : service;
  if (typeof name !== "string") {
    throw strategiesError(
      "STRATEGY_OPTIONS_INVALID",
      "To register, the strategy consul needs the name of the service.",
      {
        context: { strategy: "consul", option: "register" },
      },
    );
  }
  const { address, port, tags, ttl } = readOptions(
    "consul (register)",
    REGISTER_OPTIONS,
    given === true ? {} : given,
  );
  return { access: access(options), service: name, address, port, tags, ttlMs: ttl };
}

function registerOption(value: unknown): boolean | ConsulRegisterOptions | undefined {
  if (typeof value === "boolean") return value;
  return typeof value === "object" && value !== null ? (value as ConsulRegisterOptions) : undefined;
}
