import * as v from "valibot";

// Messages are written here: what valibot says by itself is meant for programmers.
const text = (what: string) => v.pipe(v.string(`must be ${what}`), v.nonEmpty(`must be ${what}, not empty`));

/** A whole number, also as text, which is what an environment variable gives. */
const whole = (what: string, min: number, max: number) =>
  v.pipe(
    v.union([v.number(), v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number))], `must be ${what}`),
    v.integer(`must be ${what}`),
    v.minValue(min, `must be ${what}`),
    v.maxValue(max, `must be ${what}`),
  );
const port = (min: number) => whole(`a port number, ${min} to 65535`, min, 65_535);
const object = <T extends v.ObjectEntries>(entries: T) => v.strictObject(entries);

const cookie = v.union(
  [text("the cookie"), object({ file: text("the path of a file") }), object({ home: v.literal(true) })],
  "must be the cookie itself, { file: PATH }, or { home: true } for ~/.erlang.cookie",
);

const cluster = object({
  node: text("a node name, as bridge@10.0.0.5"),
  cookie,
  listen: v.optional(object({ host: v.optional(text("an address")), port: v.optional(port(0)) })),
  epmd: v.optional(
    object({
      host: v.optional(text("an address")),
      port: v.optional(port(1)),
      register: v.optional(v.boolean("must be true or false")),
      embedded: v.optional(v.picklist(["auto", "always", "never"], "must be auto, always or never")),
    }),
  ),
  discovery: v.optional(
    object({
      strategy: v.optional(v.literal("epmd", "must be epmd: other strategies are not there yet")),
      hosts: v.array(text("a node name"), "must be a list of node names"),
      ports: v.optional(v.record(text("a node name"), port(1), "must be a map of node names to ports")),
    }),
  ),
  tick_time: v.optional(whole("seconds, 1 to 86400", 1, 86_400)),
});

const route = object({
  from: text("a cluster"),
  to: text("a cluster"),
  name: text("the registered name of the target process"),
  as: v.optional(text("the name to export it under")),
  node: v.optional(text("a node name")),
  nodes: v.optional(
    v.pipe(
      v.array(text("a node name"), "must be a list of node names"),
      v.minLength(1, "must name at least one node"),
    ),
  ),
  balance: v.optional(v.picklist(["first_up", "round_robin"], "must be first_up or round_robin")),
});

/** What a configuration file must look like. */
export const configSchema = object({
  clusters: v.record(text("a name"), cluster, "must be a map of cluster names to clusters"),
  routes: v.optional(v.array(route, "must be a list of routes"), []),
  log: v.optional(
    object({
      level: v.optional(
        v.picklist(
          ["debug", "info", "warn", "error", "silent"],
          "must be debug, info, warn, error or silent",
        ),
      ),
      format: v.optional(v.picklist(["auto", "json", "pretty"], "must be auto, json or pretty")),
    }),
    {},
  ),
  shutdown: v.optional(object({ drain_seconds: v.optional(whole("seconds, 0 to 3600", 0, 3600)) }), {}),
});

/** A file that has the right form; what it means is checked afterwards. */
export type ConfigFile = v.InferOutput<typeof configSchema>;

/** The keys that may stand in each place, for suggestions. `*` stands for any name. */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  "": Object.keys(configSchema.entries),
  "clusters.*": Object.keys(cluster.entries),
  "clusters.*.cookie": ["file", "home"],
  "clusters.*.listen": ["host", "port"],
  "clusters.*.epmd": ["host", "port", "register", "embedded"],
  "clusters.*.discovery": ["strategy", "hosts", "ports"],
  "routes.*": Object.keys(route.entries),
  log: ["level", "format"],
  shutdown: ["drain_seconds"],
};
