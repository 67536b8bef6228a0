import type { HiddenNode, NodeEvent } from "@isthmus/core";
import { atom, type Term, type Tuple, tuple } from "@isthmus/etf";
import { IsthmusError, silentLogger } from "@isthmus/wire";
import { expect, it } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import type { BeamFacts } from "../../src/form/beam-calls.ts";
import { LocalNode } from "../../src/form/local-node.ts";
import { Removals } from "../../src/form/removal.ts";

const NAME = "app@host";

/** A BEAM as its functions show it, and a connection to it. */
class FakeBeam {
  readonly clock = new FakeClock();
  readonly calls: string[] = [];
  connected = ["a@host"];
  otp = "27";
  kernel: Term = [];
  /** What `rpc:call(Peer, erlang, nodes, [])` gives. */
  neighbours: Term = [];
  canWatch = true;
  #listeners = new Set<(event: NodeEvent) => void>();
  #watchers: ((error: unknown) => void)[] = [];
  #up = false;

  get hidden(): HiddenNode {
    return {
      name: "isthmus-form-app@host",
      nodes: () => (this.#up ? [{ node: NAME, hidden: false, creation: 4 }] : []),
      disconnect: () => this.down(),
      onNodeEvent: (listener: (event: NodeEvent) => void) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      processes: {
        rpc: async (
          _node: string,
          module: string,
          name: string,
          args: readonly Term[],
          options: { signal: AbortSignal },
        ) => this.#answer(`${module}:${name}`, args, options.signal),
        erpc: {
          call: (_node: string, module: string, name: string) => {
            this.calls.push(`${module}:${name}`);
            if (!this.canWatch) return Promise.reject(failed(tuple(atom("erpc"), atom("notsup"))));
            return new Promise((_, reject) => this.#watchers.push(reject));
          },
        },
      },
    } as unknown as HiddenNode;
  }

  up(): void {
    this.#up = true;
    this.#emit({ type: "up", node: NAME, hidden: false, creation: 4 });
  }

  down(): void {
    this.#up = false;
    const reason = new IsthmusError("CONNECTION_CLOSED", "gone");
    this.#emit({ type: "down", node: NAME, hidden: false, reason });
    for (const reject of this.#watchers.splice(0)) reject(new IsthmusError("NO_CONNECTION", "gone"));
  }

  /** A connection of the BEAM came or went. */
  changed(connected: string[]): void {
    this.connected = connected;
    for (const reject of this.#watchers.splice(0)) reject(failed(tuple(atom("signal"), atom("changed"))));
  }

  #answer(called: string, args: readonly Term[], signal: AbortSignal): Term {
    signal.throwIfAborted();
    if (!this.#up) throw new IsthmusError("NO_CONNECTION", "no connection");
    this.calls.push(called);
    const peer = String((args[0] as { text?: string } | undefined)?.text);
    switch (called) {
      case "erlang:nodes":
        return [...this.connected, "isthmus-form-app@host"].map((node) => atom(node));
      case "erlang:system_info":
        return [...this.otp].map((digit) => digit.charCodeAt(0));
      case "application:get_all_env":
        return this.kernel;
      case "init:get_argument":
        return atom("error");
      case "net_kernel:connect_node":
        if (peer === "dead@host") return false;
        this.changed([...this.connected, peer]);
        return true;
      case "erlang:disconnect_node":
        this.changed(this.connected.filter((node) => node !== peer));
        return true;
      case "rpc:call":
        return this.neighbours;
      default:
        throw new Error(`nobody expected ${called}`);
    }
  }

  #emit(event: NodeEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

function failed(reason: Tuple): IsthmusError {
  return new IsthmusError("RPC_FAILED", "failed", { context: { class: "exit", reason } });
}

/** A local node that follows `beam`, and what it told. */
function follow(beam: FakeBeam) {
  const told: string[] = [];
  const facts: BeamFacts[] = [];
  const local = new LocalNode(
    { hidden: beam.hidden, name: NAME, logger: silentLogger, clock: beam.clock },
    {
      up: (found) => {
        facts.push(found);
        told.push("up");
      },
      down: () => told.push("down"),
    },
  );
  local.onChange((node, up) => told.push(`${up ? "+" : "-"}${node}`));
  return { local, told, facts };
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await Promise.resolve();
};

it("knows the connections of the BEAM, without ourselves, and hears when they change", async () => {
  const beam = new FakeBeam();
  const { local, told } = follow(beam);
  expect([...local.connected]).toEqual([]);
  beam.up();
  await settled();
  expect(told).toEqual(["up"]);
  expect([...local.connected]).toEqual(["a@host"]);
  beam.changed(["b@host"]);
  await settled();
  beam.changed(["b@host", "c@host"]);
  await settled();
  expect(told).toEqual(["up", "-a@host", "+b@host", "+c@host"]);
  local.stop();
});

it("asks at intervals where it cannot be told", async () => {
  const beam = new FakeBeam();
  beam.canWatch = false;
  const { local, told } = follow(beam);
  beam.up();
  await settled();
  expect(beam.calls.filter((call) => call === "lists:zipwith").length).toBe(1);
  beam.connected = [];
  await settled();
  expect(told).toEqual(["up"]);
  beam.clock.advance(5000);
  await settled();
  expect(told).toEqual(["up", "-a@host"]);
  local.stop();
});

it("waits for the BEAM to come back, and begins anew", async () => {
  const beam = new FakeBeam();
  const { local, told } = follow(beam);
  beam.up();
  await settled();
  beam.down();
  expect(local.facts).toBeUndefined();
  await expect(local.connect("b@host", new AbortController().signal)).rejects.toMatchObject({
    code: "LOCAL_NODE_DOWN",
  });
  beam.connected = [];
  beam.up();
  await settled();
  expect(told).toEqual(["up", "down", "up"]);
  expect([...local.connected]).toEqual([]);
  local.stop();
  beam.down();
  expect(told).toEqual(["up", "down", "up"]);
});

it("has it connect, and says when it could not", async () => {
  const beam = new FakeBeam();
  const { local } = follow(beam);
  beam.up();
  await settled();
  const { signal } = new AbortController();
  await local.connect("b@host", signal);
  expect([...local.connected]).toEqual(["a@host", "b@host"]);
  await expect(local.connect("dead@host", signal)).rejects.toMatchObject({
    code: "PEER_UNREACHABLE",
    context: { node: "dead@host" },
  });
  local.stop();
});

it.each<[string, Term, boolean]>([
  ["24", [], false],
  ["25", [], true],
  ["29", [tuple(atom("prevent_overlapping_partitions"), true)], true],
  ["27", [tuple(atom("prevent_overlapping_partitions"), false)], false],
  ["27", [tuple(atom("connect_all"), false)], false],
])("knows whether global cuts connections: OTP %s with %o", async (otp, kernel, cuts) => {
  const beam = new FakeBeam();
  Object.assign(beam, { otp, kernel });
  const { local, facts } = follow(beam);
  beam.up();
  await settled();
  expect(facts).toEqual([{ release: Number(otp), cutsOverlaps: cuts }]);
  local.stop();
});

/** Removals on a BEAM that is up. */
async function removing(beam: FakeBeam, wanted: string[] = []) {
  const { local } = follow(beam);
  beam.up();
  await settled();
  const end = new AbortController();
  const removals = new Removals({
    local,
    isWanted: (node) => wanted.includes(node),
    signal: end.signal,
    logger: silentLogger,
    clock: beam.clock,
  });
  return { removals, end, local };
}

const disconnects = (beam: FakeBeam): number =>
  beam.calls.filter((call) => call === "erlang:disconnect_node").length;

it("disconnects a node that does not answer, or shares no neighbour", async () => {
  for (const neighbours of [tuple(atom("badrpc"), atom("timeout")), [], [atom("stranger@host")]]) {
    const beam = new FakeBeam();
    beam.connected = ["a@host", "b@host"];
    beam.neighbours = neighbours;
    const { removals, local } = await removing(beam);
    await removals.remove("a@host");
    expect([...local.connected]).toEqual(["b@host"]);
    local.stop();
  }
});

it("leaves a node alone while it shares neighbours, until it goes by itself", async () => {
  const beam = new FakeBeam();
  beam.connected = ["a@host", "b@host"];
  beam.neighbours = [atom("b@host"), atom(NAME)];
  const { removals, local } = await removing(beam);
  const removed = removals.remove("a@host");
  for (let i = 0; i < 3; i++) {
    await settled();
    beam.clock.advance(5000);
  }
  expect(disconnects(beam)).toBe(0);
  beam.changed(["b@host"]);
  await settled();
  beam.clock.advance(5000);
  await removed;
  expect(disconnects(beam)).toBe(0);
  local.stop();
});

it("does not ask where global cuts nothing", async () => {
  const beam = new FakeBeam();
  beam.otp = "23";
  const { removals, local } = await removing(beam);
  await removals.remove("a@host");
  expect(beam.calls).not.toContain("rpc:call");
  expect(disconnects(beam)).toBe(1);
  local.stop();
});

it("gives a removal up when the node is wanted again, or all ends", async () => {
  const beam = new FakeBeam();
  beam.connected = ["a@host", "b@host"];
  beam.neighbours = [atom("b@host")];
  const wanted: string[] = [];
  const { removals, local, end } = await removing(beam, wanted);
  const first = removals.remove("a@host");
  const second = removals.remove("b@host");
  beam.neighbours = [atom("a@host"), atom("b@host")];
  await settled();
  wanted.push("a@host");
  beam.clock.advance(5000);
  await expect(first).rejects.toMatchObject({ code: "REMOVAL_GIVEN_UP" });
  await settled();
  end.abort(new IsthmusError("CONNECT_ABORTED", "stopped"));
  await expect(second).rejects.toMatchObject({ code: "CONNECT_ABORTED" });
  expect(disconnects(beam)).toBe(0);
  local.stop();
});
