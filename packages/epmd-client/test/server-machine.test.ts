import { describe, expect, it } from "vitest";
import { NodeRegistry } from "../src/registry.ts";
import { encodeAlive2Request, encodePort2Request } from "../src/requests.ts";
import { isLocalPeer, ServerConnection, type ServerConnectionOptions } from "../src/server-machine.ts";
import { cuts, feed, framed } from "./support/chunks.ts";

const NOW = 1000;

function setup() {
  const registry = new NodeRegistry();
  let id = 0;
  const open = (change: Partial<ServerConnectionOptions> = {}) => {
    const options = {
      registry,
      id: ++id,
      local: true,
      relaxedCommandCheck: false,
      epmdPort: 4369,
      ...change,
    };
    const machine = new ServerConnection(options);
    return {
      id,
      machine,
      send: (...chunks: Buffer[]) => {
        const actions = chunks.map((chunk) => machine.receive(chunk, NOW));
        return actions.at(-1)!;
      },
    };
  };
  return {
    registry,
    open,
    alive: (name: string, highVersion = 6) => encodeAlive2Request({ name, port: 5000, highVersion }),
  };
}

describe("ServerConnection", () => {
  const requests = [
    ["ALIVE2", encodeAlive2Request({ name: "new", port: 5000 }), "hold"],
    ["ALIVE2, refused", encodeAlive2Request({ name: "old", port: 5000 }), "refused"],
    ["PORT2", encodePort2Request("old"), "close"],
    ["NAMES", framed("n"), "close"],
    ["DUMP", framed("d"), "close"],
    ["KILL", framed("k"), "close"],
  ] as const;

  describe.each(requests)("%s", (_, request, next) => {
    it.each(cuts(request))("is answered with its last byte, $how", ({ chunks }) => {
      const { open, alive } = setup();
      open().send(alive("old"));
      const { send } = open();
      const action = feed(chunks, send, ({ next }) => next === "wait");
      expect(action.next).toBe(next);
      expect(action.reply?.length).toBeGreaterThan(1);
    });

    it("is not answered when bytes follow at once", () => {
      const { open, alive, registry } = setup();
      open().send(alive("old"));
      const action = open().send(Buffer.concat([request, Buffer.of(1)]));
      expect(action).toMatchObject({ next: "close", problem: { code: "EPMD_REQUEST_MALFORMED" } });
      expect(action.reply).toBeUndefined();
      expect(registry.size).toBe(1);
    });
  });

  it("reads no further than the request once it knows the length, as epmd does", () => {
    const { open, registry } = setup();
    expect(open().send(framed("n").subarray(0, 2), Buffer.from("nXX"))).toMatchObject({ next: "close" });
    const request = encodeAlive2Request({ name: "a", port: 5000 });
    const action = open().send(request.subarray(0, 5), Buffer.concat([request.subarray(5), Buffer.of(0)]));
    expect(action.reply?.toString("hex")).toBe("7600000003e8");
    expect(action).toMatchObject({ next: "close", problem: { code: "EPMD_REQUEST_MALFORMED" } });
    expect(registry.size).toBe(0);
  });

  it("answers ALIVE2 in the form of the client's highest version", () => {
    const { open, alive } = setup();
    expect(open().send(alive("a", 6)).reply?.toString("hex")).toBe("7600000003e8");
    expect(open().send(alive("b", 5)).reply?.toString("hex")).toBe("79000002");
    expect(open().send(alive("a", 6))).toMatchObject({
      next: "refused",
      problem: { code: "EPMD_NAME_TAKEN" },
    });
    expect(open().send(alive("a", 5)).reply?.toString("hex")).toBe("79010063");
  });

  it("drops a registration on any byte, on the end, and not before", () => {
    const { open, alive, registry } = setup();
    const a = open();
    const b = open();
    a.send(alive("a"));
    b.send(alive("b"));
    expect(registry.size).toBe(2);
    expect(a.send(Buffer.of(0))).toMatchObject({
      next: "close",
      problem: { code: "EPMD_REQUEST_MALFORMED" },
    });
    expect(registry.find(Buffer.from("a"))).toBeUndefined();
    b.machine.closed();
    expect(registry.size).toBe(0);
    b.machine.closed();
    expect(a.send(alive("a"))).toEqual({ next: "wait" });
    expect(registry.size).toBe(0);
  });

  it("closes a refused connection on any byte and leaves the holder alone", () => {
    const { open, alive, registry } = setup();
    open().send(alive("a"));
    const refused = open();
    refused.send(alive("a"));
    expect(refused.send(Buffer.of(0)).next).toBe("close");
    expect(registry.size).toBe(1);
  });

  it("tells nothing about a name that is registered but too long to be asked for", () => {
    const { open, alive } = setup();
    expect(open().send(alive("n".repeat(255))).next).toBe("hold");
    const action = open().send(encodePort2Request("n".repeat(255)));
    expect(action).toMatchObject({ next: "close", problem: { code: "EPMD_REQUEST_MALFORMED" } });
    expect(action.reply).toBeUndefined();
    expect(
      open()
        .send(encodePort2Request("n".repeat(254)))
        .reply?.toString("hex"),
    ).toBe("7701");
  });

  it("does not answer a name that is not UTF-8", () => {
    const { open } = setup();
    expect(open().send(framed(Buffer.from("7afffe", "hex"))).reply).toBeUndefined();
  });

  it("takes bodies of 1 to 3057 bytes", () => {
    const { open } = setup();
    expect(open().send(framed(Buffer.alloc(0)))).toMatchObject({
      next: "close",
      problem: { code: "EPMD_REQUEST_MALFORMED" },
    });
    expect(open().send(framed(`n${"x".repeat(3056)}`)).reply).toBeDefined();
    const length = Buffer.from([3058 >> 8, 3058 & 255]);
    expect(open().send(length)).toMatchObject({ next: "close", problem: { code: "EPMD_REQUEST_TOO_LARGE" } });
  });

  it("lets only local peers change or see more than names", () => {
    const { open, alive } = setup();
    open().send(alive("a"));
    for (const body of ["d", "k", "sa"]) {
      const action = open({ local: false, relaxedCommandCheck: true }).send(framed(body));
      expect(action).toMatchObject({ next: "close", problem: { code: "EPMD_REQUEST_FORBIDDEN" } });
      expect(action.reply).toBeUndefined();
    }
    expect(open({ local: false }).send(alive("b"))).toMatchObject({
      problem: { code: "EPMD_REQUEST_FORBIDDEN" },
    });
    expect(open({ local: false }).send(framed("n")).reply).toBeDefined();
    expect(open({ local: false }).send(encodePort2Request("a")).reply?.[1]).toBe(0);
  });

  it("is killed when nobody is registered, or when it is relaxed", () => {
    const { open, alive } = setup();
    expect(open().send(framed("k"))).toMatchObject({ next: "exit", reply: Buffer.from("OK") });
    open().send(alive("a"));
    expect(open().send(framed("k"))).toMatchObject({ next: "close", reply: Buffer.from("NO") });
    expect(open({ relaxedCommandCheck: true }).send(framed("k"))).toMatchObject({ next: "exit" });
  });

  it("stops a node only when it is relaxed", () => {
    const { open, alive, registry } = setup();
    const a = open();
    a.send(alive("a"));
    expect(open().send(framed("sa"))).toMatchObject({
      next: "close",
      problem: { code: "EPMD_REQUEST_FORBIDDEN" },
    });
    const stopped = open({ relaxedCommandCheck: true }).send(framed("sa\0"));
    expect(stopped).toEqual({ next: "close", reply: Buffer.from("STOPPED"), closeOther: a.id });
    expect(registry.size).toBe(0);
    const unknown = open({ relaxedCommandCheck: true }).send(framed("sa"));
    expect(unknown).toEqual({ next: "close", reply: Buffer.from("NOEXISTSTOPPED") });
  });

  it("refuses names beyond its limit", () => {
    const registry = new NodeRegistry({ maxNames: 0 });
    const { open, alive } = setup();
    const action = open({ registry }).send(alive("a"));
    expect(action).toMatchObject({ next: "refused", problem: { code: "EPMD_TOO_MANY_NAMES" } });
    expect(action.reply?.toString("hex")).toBe("760100000063");
  });
});

describe("isLocalPeer", () => {
  it.each([
    ["127.0.0.1", "127.0.0.1", true],
    ["127.8.9.10", "10.0.0.1", true],
    ["::1", "::1", true],
    ["::ffff:127.0.0.1", "::ffff:10.0.0.1", true],
    ["10.0.0.1", "10.0.0.1", true],
    ["::ffff:10.0.0.1", "10.0.0.1", true],
    ["fe80::1", "fe80::1", true],
    ["10.0.0.2", "10.0.0.1", false],
    ["::ffff:10.0.0.2", "::ffff:10.0.0.1", false],
    ["fe80::2", "fe80::1", false],
    ["10.0.0.2", undefined, false],
    [undefined, undefined, false],
    ["1270.0.0.1", "10.0.0.1", false],
  ])("%s connected to %s: %s", (remote, local, expected) => {
    expect(isLocalPeer(remote, local)).toBe(expected);
  });
});
