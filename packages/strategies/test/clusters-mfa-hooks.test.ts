import { atom, type Term, tuple } from "@isthmus/etf";
import { epmd } from "@isthmus/strategies";
import { IsthmusError } from "@isthmus/wire";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeClock } from "../../../test/support/fake-clock.ts";
import { type Cluster, startCluster } from "../src/cluster/cluster.ts";
import { mfaHooks, readMfa } from "../src/cluster/mfa-hooks.ts";
import { recordingLogger, settled } from "./support/fake-cluster.ts";

/** A BEAM that answers what the test says. */
class FakeBeam {
  readonly node = "beam@h";
  readonly calls: string[] = [];
  nodes: string[] = [];
  connect: Term = true;
  disconnect: Term = true;
  list: Term | undefined;
  down = false;
  /** When set, `nodes()` is answered only when this is called. */
  hold: { release(): void } | undefined;

  readonly rpc = async (module: string, fun: string, args: readonly Term[]): Promise<Term> => {
    this.calls.push(`${module}:${fun}(${args.join()})`);
    if (this.down) throw new IsthmusError("NO_CONNECTION", "No connection.");
    const [node] = args.slice(-1);
    if (fun === "disconnect_node") {
      if (this.disconnect === true) this.nodes = this.nodes.filter((name) => name !== String(node));
      return this.disconnect;
    }
    if (fun === "connect_node" || fun === "join") {
      if (this.connect === true) this.nodes.push(String(node));
      return this.connect;
    }
    const answer = this.list ?? this.nodes.map((name) => atom(name));
    if (this.hold !== undefined) {
      const { hold } = this;
      await new Promise<void>((resolve) => {
        hold.release = resolve;
      });
    }
    return answer;
  };
}

let beam: FakeBeam;
let logger: ReturnType<typeof recordingLogger>;
let clusters: Cluster[];
beforeEach(() => {
  beam = new FakeBeam();
  logger = recordingLogger();
  clusters = [];
});
afterEach(async () => {
  for (const cluster of clusters) await cluster.stop();
});
const signal = new AbortController().signal;
const make = (options: object = {}) => mfaHooks({ node: beam.node, rpc: beam.rpc, logger, ...options });

describe("hooks that call functions of a BEAM", () => {
  it.each<[Term]>([[true], [atom("true")], [atom("ok")]])("take %s for connected", async (answer) => {
    beam.connect = answer;
    const hooks = make();
    await hooks.connect("a@h", signal);
    expect(hooks.listNodes()).toEqual(["a@h"]);
    expect(beam.calls[0]).toBe("net_kernel:connect_node(a@h)");
  });

  it.each<[Term, string, RegExp]>([
    [false, "CONNECT_FAILED", /beam@h could not connect to a@h: it is unreachable/],
    [atom("ignored"), "CONNECT_IGNORED", /beam@h is not distributed/],
    [tuple(atom("error"), atom("nope")), "CONNECT_FAILED", /the answer was \{error, nope\}/],
  ])("take %s for an error", async (answer, code, message) => {
    beam.connect = answer;
    await expect(make().connect("a@h", signal)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it("leave nodes, also those that are gone", async () => {
    const hooks = make();
    await hooks.connect("a@h", signal);
    for (const answer of [true, false, atom("ignored"), atom("ok")] as const) {
      beam.disconnect = answer;
      await hooks.disconnect("a@h");
    }
    expect(hooks.listNodes()).toEqual([]);
    beam.disconnect = atom("busy");
    await expect(hooks.disconnect("a@h")).rejects.toMatchObject({ code: "DISCONNECT_FAILED" });
  });

  it("tell what the BEAM said last, and what has changed since", async () => {
    beam.nodes = ["a@h"];
    const hooks = make();
    const told: string[] = [];
    const offs = [
      hooks.onNodeUp?.((node) => told.push(`up ${node}`)),
      hooks.onNodeDown?.((node) => told.push(`down ${node}`)),
    ];
    expect(hooks.listNodes()).toEqual([]);
    await settled();
    beam.nodes = ["b@h"];
    expect(hooks.listNodes()).toEqual(["a@h"]);
    await settled();
    expect(hooks.listNodes()).toEqual(["b@h"]);
    expect(told).toEqual(["up a@h", "down a@h", "up b@h"]);
    for (const off of offs) off?.();
    beam.nodes = [];
    hooks.listNodes();
    await settled();
    expect(told.length).toBe(3);
    expect(beam.calls[0]).toBe("erlang:nodes(connected)");
  });

  it("do not take an answer from before a connection for one from after it", async () => {
    const hooks = make();
    const hold = { release: (): void => undefined };
    beam.hold = hold;
    hooks.listNodes();
    await hooks.connect("a@h", signal);
    hold.release();
    beam.hold = undefined;
    await settled();
    expect(hooks.listNodes()).toEqual(["a@h"]);
  });

  it("keep the last answer while the BEAM cannot be asked, and say so once", async () => {
    beam.nodes = ["a@h"];
    const hooks = make();
    hooks.listNodes();
    await settled();
    beam.down = true;
    for (let time = 0; time < 3; time++) {
      expect(hooks.listNodes()).toEqual(["a@h"]);
      await settled();
    }
    beam.down = false;
    beam.list = atom("what");
    hooks.listNodes();
    await settled();
    expect(hooks.listNodes()).toEqual(["a@h"]);
    expect(logger.lines.map(({ level, fields }) => [level, fields["code"]])).toEqual([
      ["warn", "NO_CONNECTION"],
      ["debug", "NO_CONNECTION"],
      ["debug", "NO_CONNECTION"],
      ["warn", "DISCOVERY_FAILED"],
    ]);
  });

  it("serve a topology of libcluster's shape, whose functions share connections with those of another", async () => {
    const clock = new FakeClock();
    const connect = ["Shop.Cluster", ":join", [":eu"]] as unknown as readonly [string, string];
    const topologies = {
      one: { strategy: epmd({ hosts: ["a@h", "beam@h"] }), connect },
      two: { strategy: epmd({ hosts: ["a@h", "b@h"] }), connect },
    };
    const cluster = await startCluster({ hooks: make(), beam, topologies, clock, logger });
    clusters.push(cluster);
    await settled();
    await settled();
    expect(beam.calls.filter((call) => call.includes("join"))).toEqual([
      "Elixir.Shop.Cluster:join(eu,a@h)",
      "Elixir.Shop.Cluster:join(eu,b@h)",
    ]);
    expect(cluster.status().topologies.map(({ nodes }) => nodes.map(({ state }) => state))).toEqual([
      ["connected"],
      ["connected", "connected"],
    ]);
  });
});

describe("a function in a configuration file", () => {
  it.each([
    [
      [":net_kernel", ":connect_node", []],
      ["net_kernel", "connect_node", []],
    ],
    [
      ["Cluster.Hooks", "connect"],
      ["Elixir.Cluster.Hooks", "connect", []],
    ],
    [
      ["Elixir.Cluster.Hooks", "connect"],
      ["Elixir.Cluster.Hooks", "connect", []],
    ],
    [
      ["erlang", "nodes", [":connected", 1, "text"]],
      ["erlang", "nodes", [atom("connected"), 1, "text"]],
    ],
    ["net_kernel", undefined],
    [["net_kernel"], undefined],
    [["net_kernel", "connect_node", "a"], undefined],
    [["net_kernel", ""], undefined],
    [["net kernel", "f"], undefined],
    [[1, "f"], undefined],
  ])("%j is %s", (value, mfa) => {
    expect(readMfa(value)).toEqual(mfa);
  });
});
