import { describe, expect, it } from "vitest";
import { type Environment, environmentTopology, expandEnvironment } from "../src/environment.ts";

/** What went wrong, all of it as one text. */
function failure(run: () => unknown): { code: string; message: string; everything: string } {
  try {
    run();
  } catch (error) {
    const { code, message, context, cause } = error as Error & { code: string; context: unknown };
    return { code, message, everything: [message, JSON.stringify(context), String(cause)].join("\n") };
  }
  throw new Error("nothing went wrong");
}

describe("variables in a configuration", () => {
  const env = { HOST: "10.0.0.5", EMPTY: "", ODD: "${HOST}" };

  it("are replaced in every text, however deep, and in nothing else", () => {
    const strategy = { start: () => undefined };
    const make = (): string => "${HOST}";
    class Own {
      readonly text = "${HOST}";
    }
    const own = new Own();
    const config = {
      hosts: ["app@${HOST}", "${HOST}:${HOST}"],
      deep: { nothing: null, number: 4, flag: true, text: "x$${HOST}$HOST" },
      strategy,
      make,
      own,
    };
    const expanded = expandEnvironment(config, env);
    expect(expanded).toEqual({
      hosts: ["app@10.0.0.5", "10.0.0.5:10.0.0.5"],
      deep: { nothing: null, number: 4, flag: true, text: "x${HOST}$HOST" },
      strategy,
      make,
      own,
    });
    expect([expanded.make, expanded.own]).toEqual([make, own]);
    expect(config.hosts[0], "what is given stays").toBe("app@${HOST}");
  });

  it.each([
    ["${MISSING:-fallback}", "fallback"],
    ["${EMPTY:-fallback}", "fallback"],
    ["${MISSING:-}", ""],
    ["${HOST:-fallback}", "10.0.0.5"],
    ["${HOST:?must be there}", "10.0.0.5"],
    ["${ODD}", "${HOST}"],
    ["${MISSING:-a:-b}", "a:-b"],
  ])("%s is %j", (text, value) => {
    expect(expandEnvironment(text, env)).toBe(value);
  });

  it.each([
    ["${MISSING}", "The environment variable MISSING is not set. Set it, or give a default."],
    ["${EMPTY}", "The environment variable EMPTY is not set. Set it, or give a default."],
    ["${MISSING:?the API token}", "The environment variable MISSING is not set: the API token"],
    ["${}", /without a variable/],
    ["${NOT A NAME}", /without a variable/],
    ["${HOST", /without a variable/],
  ])("%s is refused", (text, message) => {
    const { code, message: said } = failure(() => expandEnvironment({ a: [text] }, env));
    expect(code).toBe("ENVIRONMENT_INVALID");
    expect(said).toMatch(message);
  });

  it("cannot give a configuration another prototype", () => {
    const expanded = expandEnvironment(JSON.parse('{"__proto__": {"admin": "yes"}}') as object, {});
    expect((expanded as { admin?: string }).admin).toBeUndefined();
  });
});

describe("values in the form of {:system, ...}", () => {
  const env = {
    PORT: "45892",
    BAD: "hunter2",
    RATE: "1.5",
    FLAG: "YES",
    LIST: "a, b ,c",
    MODULE: "Elixir.Cluster.Strategy.Gossip",
    FILE: "/run/secrets/token",
    ODD_FILE: "/run/secrets/none",
  };
  const readFile = (path: string): string => {
    if (path === "/run/secrets/token") return "0123\n";
    throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
  };

  it.each([
    [[":system", "PORT"], "45892"],
    [[":system", "NONE", "default"], "default"],
    [[":system", "NONE", false], false],
    [[":system", ":integer", "PORT"], 45_892],
    [[":system", ":integer", "NONE", 7], 7],
    [[":system", ":float", "RATE"], 1.5],
    [[":system", ":boolean", "FLAG"], true],
    [
      [":system", ":list", "LIST"],
      ["a", "b", "c"],
    ],
    [[":system", ":atom", "MODULE"], "Elixir.Cluster.Strategy.Gossip"],
    [[":system", ":module", "MODULE"], "Elixir.Cluster.Strategy.Gossip"],
    [[":system", ":string", "BAD"], "hunter2"],
    [[":system_file", "FILE"], "0123"],
    [[":system_file", ":integer", "FILE"], 123],
    [
      ["system", "PORT"],
      ["system", "PORT"],
    ],
  ])("%j is %j", (form, value) => {
    expect(expandEnvironment({ a: form }, env, readFile)).toEqual({ a: value });
  });

  it.each([
    [[":system", ":integer", "BAD"], /variable BAD must be a whole number\.$/],
    [[":system", ":float", "BAD"], /BAD must be a number\.$/],
    [[":system", ":boolean", "BAD"], /BAD must be true or false\.$/],
    [[":system", "NONE"], /NONE is not set/],
    [[":system", ":tuple", "BAD"], /types are :string/],
    [[":system"], /A list that begins with :system must be/],
    [[":system", ":integer", "PORT", 1, 2], /A list that begins with :system must be/],
    [[":system_file", "ODD_FILE"], /ODD_FILE names a file that cannot be read \(ENOENT\)\.$/],
  ])("%j is refused, and the value never shown", (form, message) => {
    const { code, message: said, everything } = failure(() => expandEnvironment(form, env, readFile));
    expect(code).toBe("ENVIRONMENT_INVALID");
    expect(said).toMatch(message);
    expect(everything).not.toMatch(/hunter2|secrets/);
  });
});

describe("the topology of the environment", () => {
  const kubernetes = {
    LIBCLUSTER_KUBERNETES_SELECTOR: "app=shop",
    LIBCLUSTER_KUBERNETES_NODE_BASENAME: "shop",
  };
  const shop = { kubernetes_selector: "app=shop", kubernetes_node_basename: "shop" };

  it.each<[string, Environment, unknown]>([
    ["nothing is set", { PATH: "/bin", LIBCLUSTER_STRATEGY: "", LIBCLUSTER_OF_OURS: "x" }, undefined],
    ["Gigalixir's are", kubernetes, { strategy: "kubernetes", config: shop }],
    [
      "the module is named",
      { ...kubernetes, LIBCLUSTER_STRATEGY: "Elixir.Cluster.Strategy.Kubernetes" },
      { strategy: "Cluster.Strategy.Kubernetes", config: shop },
    ],
    [
      "gossip is meant",
      {
        LIBCLUSTER_MULTICAST_PORT: "45893",
        LIBCLUSTER_MULTICAST_PORT_IF_ADDR: "127.0.0.1",
        LIBCLUSTER_MULTICAST_TTL: "2",
      },
      {
        strategy: "gossip",
        config: { multicast_addr: "230.1.1.251", port: 45_893, if_addr: "127.0.0.1", multicast_ttl: 2 },
      },
    ],
    [
      "both have variables and one is chosen",
      { ...kubernetes, LIBCLUSTER_STRATEGY: "gossip", LIBCLUSTER_MULTICAST_ADDR: "233.252.1.32" },
      { strategy: "gossip", config: { multicast_addr: "233.252.1.32" } },
    ],
    [
      "it is Epmd's",
      { LIBCLUSTER_STRATEGY: "Cluster.Strategy.Epmd" },
      { strategy: "Cluster.Strategy.Epmd", config: { hosts: [] } },
    ],
  ])("is right when %s", (_when, env, topology) => {
    expect(environmentTopology(env)).toEqual(topology);
  });

  it.each<[Environment, RegExp]>([
    [
      { ...kubernetes, LIBCLUSTER_MULTICAST_TTL: "1" },
      /LIBCLUSTER_STRATEGY is not set, and there are variables of gossip and of kubernetes/,
    ],
    [{ LIBCLUSTER_MULTICAST_PORT: "hunter2" }, /LIBCLUSTER_MULTICAST_PORT must be a whole number/],
    [
      { LIBCLUSTER_STRATGY: "hunter2" },
      /LIBCLUSTER_STRATGY is not known. Did you mean LIBCLUSTER_STRATEGY\?/,
    ],
  ])("is refused for %j", (env, message) => {
    const { code, message: said, everything } = failure(() => environmentTopology(env));
    expect(code).toBe("ENVIRONMENT_INVALID");
    expect(said).toMatch(message);
    expect(everything).not.toContain("hunter2");
  });
});
