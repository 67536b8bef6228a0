import { describe, expect, it } from "vitest";
import { NodeRegistry } from "../src/registry.ts";

const node = (name: string | Buffer, port = 5000) => ({
  name: Buffer.from(name as string),
  port,
  nodeType: 77,
  protocol: 0,
  highVersion: 6,
  lowVersion: 5,
  extra: Buffer.alloc(0),
});
const names = (nodes: { name: Buffer }[]) => nodes.map(({ name }) => name.toString());

describe("NodeRegistry", () => {
  it("finds what is registered, the newest first", () => {
    const registry = new NodeRegistry();
    for (const [owner, name] of ["a", "b", "c"].entries())
      registry.register(owner, node(name, 5000 + owner), 100);
    expect(registry.size).toBe(3);
    expect(names(registry.active())).toEqual(["c", "b", "a"]);
    expect(registry.find(Buffer.from("b"))).toMatchObject({ port: 5001, owner: 1, creation: 100 });
    expect(registry.find(Buffer.from("x"))).toBeUndefined();
  });

  it("keeps its own copy of the bytes", () => {
    const registry = new NodeRegistry();
    const given = { ...node("a"), extra: Buffer.from("xtra") };
    registry.register(1, given, 100);
    given.name.fill(0);
    given.extra.fill(0);
    expect(registry.find(Buffer.from("a"))?.extra).toEqual(Buffer.from("xtra"));
  });

  it("lets a name be held once, and two names share a port", () => {
    const registry = new NodeRegistry();
    expect(registry.register(1, node("a"), 100)).toEqual({ ok: true, creation: 100 });
    expect(registry.register(2, node("a", 1), 101)).toEqual({ ok: false, reason: "taken" });
    expect(registry.register(3, node("b"), 100)).toEqual({ ok: true, creation: 100 });
    expect(registry.find(Buffer.from("a"))?.port).toBe(5000);
  });

  it("goes on counting when a name comes back", () => {
    const registry = new NodeRegistry();
    for (let i = 0; i < 5; i++) {
      expect(registry.register(i, node("a"), 100)).toEqual({ ok: true, creation: 100 + i });
      expect(registry.unregister(i)).toBe(true);
      expect(registry.unregister(i)).toBe(false);
    }
    expect(registry.size).toBe(0);
    expect(names(registry.unused())).toEqual(["a"]);
    registry.register(9, node("a"), 100);
    expect(registry.unused()).toEqual([]);
  });

  it("never gives a creation of 0 to 3 and stays within 32 bits", () => {
    for (const seconds of [0, 1, 2, 3, 2 ** 32, 2 ** 32 + 3]) {
      expect(new NodeRegistry().register(1, node("a"), seconds)).toEqual({ ok: true, creation: 4 });
    }
    const registry = new NodeRegistry();
    expect(registry.register(1, node("a"), 2 ** 32 - 1)).toEqual({ ok: true, creation: 2 ** 32 - 1 });
    registry.unregister(1);
    expect(registry.register(1, node("a"), 7)).toEqual({ ok: true, creation: 4 });
  });

  it("remembers a bounded number of names out of use, the oldest go", () => {
    const registry = new NodeRegistry({ maxUnusedNames: 2 });
    for (const [owner, name] of ["a", "b", "c"].entries()) {
      registry.register(owner, node(name), 100);
      registry.unregister(owner);
    }
    expect(names(registry.unused())).toEqual(["b", "c"]);
    expect(registry.register(1, node("a"), 500)).toEqual({ ok: true, creation: 500 });
    expect(registry.register(2, node("b"), 500)).toEqual({ ok: true, creation: 101 });
  });

  it("remembers 1000 by default", () => {
    const registry = new NodeRegistry();
    for (let i = 0; i < 1001; i++) {
      registry.register(i, node(`n${i}`), 100);
      registry.unregister(i);
    }
    expect(registry.unused()).toHaveLength(1000);
    expect(names(registry.unused())[0]).toBe("n1");
  });

  it("bounds the number of live names", () => {
    const registry = new NodeRegistry({ maxNames: 1 });
    registry.register(1, node("a"), 100);
    expect(registry.register(2, node("b"), 100)).toEqual({ ok: false, reason: "limit" });
    registry.unregister(1);
    expect(registry.register(2, node("b"), 100)).toMatchObject({ ok: true });
  });

  it.each([
    ["256 characters", Buffer.from("n".repeat(256))],
    ["more than 1020 bytes", Buffer.from("😀".repeat(256))],
    ["bytes that are not UTF-8", Buffer.from([0xff, 0xfe])],
    ["a surrogate", Buffer.from([0xed, 0xa0, 0x80])],
    ["an overlong form", Buffer.from([0xc1, 0x81])],
  ])("refuses %s", (_, name) => {
    expect(new NodeRegistry().register(1, node(name), 100)).toEqual({ ok: false, reason: "invalid" });
  });

  it("refuses an extra of more than 1020 bytes", () => {
    const registry = new NodeRegistry();
    const refused = registry.register(1, { ...node("a"), extra: Buffer.alloc(1021) }, 100);
    expect(refused).toEqual({ ok: false, reason: "invalid" });
    expect(registry.register(1, { ...node("a"), extra: Buffer.alloc(1020) }, 100)).toMatchObject({
      ok: true,
    });
  });
});
