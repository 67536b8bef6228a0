import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lookupPort } from "../src/client.ts";
import type { EpmdServer } from "../src/embedded-server.ts";
import { register } from "../src/registration.ts";
import { startEpmdServer } from "../src/server.ts";
import { erlCallCookie, installedOtps, type Otp, RealNode, run } from "./support/otp.ts";

const otps = installedOtps();
const open: (() => Promise<void>)[] = [];
let server: EpmdServer;

beforeEach(async () => {
  server = await startEpmdServer({ port: 0 });
  open.push(() => server.close());
});
afterEach(async () => {
  for (const end of open.splice(0).reverse()) await end();
});

async function node(otp: Otp, name: string, args: readonly string[] = []): Promise<RealNode> {
  const made = await RealNode.start(otp, name, server.port, args);
  open.push(() => made.stop());
  return made;
}
const names = () => server.names().map(({ name }) => name);

describe.each(otps)("nodes of OTP $release at our server", (otp) => {
  const { release } = otp;

  it("register, find each other, and are listed", async () => {
    const x = await node(otp, "x@127.0.0.1");
    const y = await node(otp, "y@127.0.0.1", ["-hidden"]);
    expect(names()).toEqual(["y", "x"]);
    const announced = await lookupPort("y", { port: server.port });
    const versions = { highVersion: 6, lowVersion: 5, extra: Buffer.alloc(0) };
    expect(announced).toMatchObject({ nodeType: "normal", protocol: 0, ...versions });
    const granted = server.names().find(({ name }) => name === "x")!.creation;
    expect(await x.eval("erts_internal:get_creation().")).toBe(String(granted));
    expect(await x.eval("net_adm:ping('y@127.0.0.1').")).toBe("pong");
    expect(await y.eval("net_adm:ping('x@127.0.0.1').")).toBe("pong");
    expect(await x.eval("net_adm:ping('z@127.0.0.1').")).toBe("pang");
    const ports = Object.fromEntries(server.names().map(({ name, port }) => [name, port]));
    const listed = await x.eval('{ok, Names} = net_adm:names("127.0.0.1"), lists:sort(Names).');
    expect(listed).toBe(`[{"x",${ports["x"]}},{"y",${ports["y"]}}]`);
    expect(await x.eval('erl_epmd:port_please("y", {127,0,0,1}).')).toBe(`{port,${ports["y"]},6}`);
    await x.stop();
    await expect.poll(names).toEqual(["y"]);
  });

  it("find our registrations too", async () => {
    const epmd = { port: server.port };
    const js = await register({ name: "js", port: 4711, epmd });
    open.push(() => js.close());
    const x = await node(otp, "x@127.0.0.1");
    expect(await x.eval('erl_epmd:port_please("js", {127,0,0,1}).')).toBe("{port,4711,6}");
    await js.close();
    expect(await x.eval('erl_epmd:port_please("js", {127,0,0,1}).')).toBe("noport");
  });

  it("are refused a name that is taken", async () => {
    await node(otp, "x@127.0.0.1");
    await expect(node(otp, "x@127.0.0.1")).rejects.toThrow(/x@127\.0\.0\.1 ended|in use|duplicate_name/);
    expect(names()).toEqual(["x"]);
  });

  it("register over IPv6", async () => {
    const inet6 = ["-proto_dist", "inet6_tcp"];
    const x = await node(otp, "x@::1", inet6);
    const y = await node(otp, "y@::1", inet6);
    expect(names()).toEqual(["y", "x"]);
    expect(await x.eval(`net_adm:ping('${y.name}').`)).toBe("pong");
  });

  it("are content with our server instead of starting epmd", async () => {
    const x = await node(otp, "x@127.0.0.1", ["-start_epmd", "true"]);
    const y = await node(otp, "y@127.0.0.1", ["-start_epmd", "true"]);
    expect(await x.eval(`net_adm:ping('${y.name}').`)).toBe("pong");
    expect(names()).toEqual(["y", "x"]);
  });

  it(
    release < 25 ? "stay unregistered when the server has gone" : "come back when the server does",
    async () => {
      const x = await node(otp, "x@127.0.0.1");
      const { port } = server;
      await server.close();
      server = await startEpmdServer({ port });
      if (release < 25) {
        // The old node is still there, only not registered.
        expect(await x.eval("node().")).toBe("'x@127.0.0.1'");
        expect(names()).toEqual([]);
        return;
      }
      await expect.poll(names, { timeout: 20_000 }).toEqual(["x"]);
    },
  );

  it("programs list and kill it: epmd -names, -kill", async () => {
    const flags = ["-port", String(server.port)];
    const js = await register({ name: "js", port: 4711, epmd: { port: server.port } });
    open.push(() => js.close());
    const listed = await run(otp, "epmd", [...flags, "-names"], server.port);
    expect(listed.output).toContain(
      `epmd: up and running on port ${server.port} with data:\nname js at port 4711\n`,
    );
    expect((await run(otp, "epmd", [...flags, "-kill"], server.port)).output).toContain("living nodes");
    await js.close();
    expect((await run(otp, "epmd", [...flags, "-kill"], server.port)).output).toContain("Killed");
    await server.closed;
  });

  it("programs stop a node when it is relaxed: epmd -stop", async () => {
    const relaxed = await startEpmdServer({ port: 0, relaxedCommandCheck: true });
    open.push(() => relaxed.close());
    const js = await register({ name: "js", port: 4711, keep: false, epmd: { port: relaxed.port } });
    const stop = (name: string) =>
      run(otp, "epmd", ["-port", String(relaxed.port), "-stop", name], relaxed.port);
    expect((await stop("js")).output).toContain("STOPPED");
    await expect.poll(() => js.registered).toBe(false);
    expect((await stop("js")).output).toContain("NOEXIST");
  });

  it("erl_call finds a node through it", async () => {
    await node(otp, "x@127.0.0.1");
    const args = ["-n", "x@127.0.0.1", ...erlCallCookie, "-a", "erlang node"];
    const { output } = await run(otp, "erl_call", args, server.port);
    expect(output).toContain("'x@127.0.0.1'");
  });
});

const neighbours = otps
  .toSorted((a, b) => a.release - b.release)
  .flatMap((older, i, sorted) => (sorted[i + 1] === undefined ? [] : [{ older, newer: sorted[i + 1]! }]));

describe.each(neighbours)("nodes of OTP $older.release and $newer.release", ({ older, newer }) => {
  it("find each other through our server", async () => {
    const x = await node(older, "x@127.0.0.1");
    const y = await node(newer, "y@127.0.0.1");
    expect(await x.eval("net_adm:ping('y@127.0.0.1').")).toBe("pong");
    expect(await y.eval("net_adm:ping('x@127.0.0.1').")).toBe("pong");
  });
});
