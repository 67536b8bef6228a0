import { type HiddenNode, type NodeEvent, type NodeOptions, startNode } from "@isthmus/core";
import { Cookie, HIDDEN_FULL, HIDDEN_PASS_THROUGH } from "@isthmus/dist-handshake";
import { atom, tuple } from "@isthmus/etf";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startBeam } from "../support/beam.ts";
import { type Epmd, startEpmd } from "../support/epmd.ts";
import { eachOtp } from "../support/peers.ts";
import { until } from "./cell.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";

let epmd: Epmd;
let nodes: HiddenNode[] = [];
beforeAll(async () => {
  epmd = await startEpmd();
});
afterAll(() => epmd.stop());
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  nodes = [];
});

async function start(
  name: string,
  options: Partial<NodeOptions> = {},
): Promise<{ node: HiddenNode; events: NodeEvent[] }> {
  const node = await startNode({
    name: `${name}@127.0.0.1`,
    cookie: "biscuit",
    listen: { host: "127.0.0.1" },
    epmd: { host: "127.0.0.1", port: epmd.port },
    ...options,
  });
  nodes.push(node);
  const events: NodeEvent[] = [];
  node.onNodeEvent((event) => events.push(event));
  return { node, events };
}

const beam = (name: string, otp: 23 | 25 | 27 | 29, args: string[] = []) =>
  startBeam({ name: `${name}@127.0.0.1`, cookie: "biscuit", epmdPort: epmd.port, otp, args });

eachOtp("with a real node", ({ release: otp, otp: wanted }) => {
  it.each([
    ["pass-through framing", HIDDEN_PASS_THROUGH],
    ["distribution headers, atom cache and fragments", HIDDEN_FULL],
  ] as const)("messages of every size come and go unchanged: %s", async (_name, flags) => {
    const peer = await beam(`sizes_${flags === HIDDEN_FULL ? "full" : "plain"}_${otp}`, wanted);
    const { node } = await start(`js_sizes_${otp}`, { flags });
    await peer.eval("isthmus_probe:orders(orders)");
    node.serve("echo", { call: (request) => request });
    for (const size of [0, 1, 65_000, 65_536, 131_072, 1_000_003]) {
      const bytes = Buffer.alloc(size, 3);
      const answer = await node.call({ name: "orders", node: peer.node }, tuple(atom("echo"), bytes), {
        timeoutMs: 20_000,
      });
      expect(Buffer.isBuffer(answer) && answer.equals(bytes)).toBe(true);
      expect(
        await peer.eval(
          `B${size} = binary:copy(<<3>>, ${size}), B${size} =:= gen_server:call({echo, '${node.name}'}, B${size}, 20000)`,
          { timeoutMs: 30_000 },
        ),
      ).toBe("true");
    }
    // the same atoms again and again, so that cached ones are referred to
    expect(
      await peer.eval(
        `T = {some, [atoms, here, #{and_here => {now, again}}], self(), make_ref()}, [T = gen_server:call({echo, '${node.name}'}, T) || _ <- lists:seq(1, 300)], ok`,
      ),
    ).toBe("ok");
    await peer.stop();
  });

  it("is connected to by the BEAM, and told when it goes, with both ends alive in between for longer than the tick time", async () => {
    const peer = await beam(`ticking_${otp}`, wanted, ["-kernel", "net_ticktime", "4"]);
    const { node, events } = await start(`js_ticking_${otp}`, { tickTimeSeconds: 4 });
    expect(await peer.eval(`net_kernel:connect_node('${node.name}')`)).toBe("true");
    await new Promise((resolve) => setTimeout(resolve, 7000));
    expect(await peer.eval("nodes(hidden)")).toBe(`['${node.name}']`);
    expect(events.map(({ type }) => type)).toEqual(["up"]);
    await peer.pause();
    await until(() => events.length > 1);
    expect(events[1]).toMatchObject({ type: "down", node: peer.node, reason: { code: "TICK_TIMEOUT" } });
    await peer.resume();
    await peer.stop();
  });
});

describe("connecting", () => {
  it("a wrong cookie is refused both ways, and the message never shows it", async () => {
    const peer = await beam("guarded", 25);
    const { node } = await start("js_stranger", { cookie: "not_the_biscuit" });
    await expect(node.connect(peer.node)).rejects.toMatchObject({ code: "HANDSHAKE_COOKIE_REJECTED" });
    await expect(node.connect(peer.node)).rejects.not.toThrow(/not_the_biscuit/);
    expect(await peer.eval(`net_adm:ping('${node.name}')`)).toBe("pang");
    await peer.stop();
  });

  it("two cookies are accepted at once while they are changed over", async () => {
    const peer = await beam("rotating", 25);
    const { node } = await start("js_rotating", { cookie: [Cookie.of("new_one"), Cookie.of("biscuit")] });
    expect(await peer.eval(`net_adm:ping('${node.name}')`)).toBe("pong");
    await peer.stop();
  });

  it("a node that is not allowed is told so", async () => {
    const peer = await beam("unwelcome", 25);
    const { node } = await start("js_choosy", { allow: (name) => name !== "unwelcome@127.0.0.1" });
    expect(await peer.eval(`net_adm:ping('${node.name}')`)).toBe("pang");
    expect(node.nodes()).toEqual([]);
    await peer.stop();
  });

  it("a node that nobody knows, a host that nobody has, and our own name are clear errors", async () => {
    const { node } = await start("js_lonely");
    await expect(node.connect("nobody@127.0.0.1")).rejects.toMatchObject({ code: "NODE_NOT_REGISTERED" });
    await expect(node.connect("nonsense")).rejects.toMatchObject({ code: "NODE_NAME_INVALID" });
    await expect(node.connect(node.name)).rejects.toMatchObject({ code: "NODE_IS_SELF" });
    await node.close();
    await expect(node.connect("a@127.0.0.1")).rejects.toMatchObject({ code: "NODE_CLOSED" });
  });

  it("when both ends dial at once there is one connection in the end", async () => {
    for (let round = 0; round < 5; round++) {
      const peer = await beam(`both_${round}`, 25);
      // names on either side of the peer's, so that each of the two outcomes is seen
      const { node } = await start(round % 2 === 0 ? `a_js_${round}` : `z_js_${round}`);
      const [, pong] = await Promise.all([
        node.connect(peer.node),
        peer.eval(`net_adm:ping('${node.name}')`),
      ]);
      expect(pong).toBe("pong");
      expect(node.nodes().map(({ node: name }) => name)).toEqual([peer.node]);
      expect(await peer.eval("length(nodes(hidden))")).toBe("1");
      await peer.stop();
    }
  });

  it("a node that was restarted is connected to again, with its new incarnation", async () => {
    const { node, events } = await start("js_patient");
    const first = await beam("phoenix", 25);
    await node.connect(first.node);
    await first.kill();
    await until(() => events.length === 2);
    const second = await beam("phoenix", 25);
    await second.eval("isthmus_probe:orders(orders)");
    expect(await node.call({ name: "orders", node: second.node }, tuple(atom("add"), 1, 2))).toBe(3);
    const creations = events.filter((event) => event.type === "up").map(({ creation }) => creation);
    expect(new Set(creations).size).toBe(2);
    await second.stop();
  });
});

describe("over TLS", () => {
  let certificates: Certificates;
  beforeAll(() => {
    certificates = makeCertificates();
  });
  afterAll(() => certificates.remove());

  it.each([25, 27] as const)(
    "calls go both ways with certificates checked on both ends, OTP %i",
    async (otp) => {
      const peer = await beam(`secure_${otp}`, otp, [...certificates.erl]);
      const { node } = await start(`js_secure_${otp}`, { tls: certificates.tls });
      await peer.eval("isthmus_probe:orders(orders)");
      node.serve("echo", { call: (request) => request });
      expect(await node.call({ name: "orders", node: peer.node }, tuple(atom("add"), 1, 2))).toBe(3);
      node.disconnect(peer.node);
      await until(async () => (await peer.eval("nodes(hidden)")) === "[]");
      expect(await peer.eval(`gen_server:call({echo, '${node.name}'}, secret)`)).toBe("secret");
      await peer.stop();
    },
  );
});
