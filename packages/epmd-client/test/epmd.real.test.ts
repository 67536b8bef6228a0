import { afterEach, describe, expect, it } from "vitest";
import { dump, kill, listNames, lookupPort, stopNode } from "../src/client.ts";
import { type RegistrationChange, register } from "../src/registration.ts";
import { foldCreation } from "../src/replies.ts";
import { ensureEpmdServer } from "../src/server.ts";
import { code } from "./support/code.ts";
import { installedOtps, RealEpmd } from "./support/otp.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

describe.each(installedOtps())("our client and epmd of OTP $release", (otp) => {
  const start = async (options: { port?: number; relaxed?: boolean } = {}) => {
    const epmd = await RealEpmd.start(otp, options);
    open.push({ close: () => epmd.stop() });
    return epmd;
  };
  const announce = async (
    port: number,
    name: string,
    change: Partial<Parameters<typeof register>[0]> = {},
  ) => {
    const made = await register({ name, port: 5000, epmd: { port }, ...change });
    open.push(made);
    return made;
  };

  it("register, look up, list, dump, unregister", async () => {
    const { port } = await start();
    const extra = Buffer.from([1, 0, 255]);
    const a = await announce(port, "alpha");
    const b = await announce(port, "gämma 😀", { port: 65535, nodeType: "normal", lowVersion: 6, extra });
    expect(a.creation).toBeGreaterThan(3);
    expect(b.creation).toBeGreaterThan(3);
    const common = { protocol: 0, highVersion: 6 };
    const alpha = {
      ...common,
      name: "alpha",
      port: 5000,
      nodeType: "hidden",
      lowVersion: 5,
      extra: Buffer.alloc(0),
    };
    expect(await lookupPort("alpha", { port })).toEqual(alpha);
    const gamma = { ...common, name: "gämma 😀", port: 65535, nodeType: "normal", lowVersion: 6, extra };
    expect(await lookupPort("gämma 😀", { port })).toEqual(gamma);
    expect(await lookupPort("nobody", { port })).toBeUndefined();
    const nodes = [
      { name: "gämma 😀", port: 65535 },
      { name: "alpha", port: 5000 },
    ];
    expect(await listNames({ port })).toEqual({ epmdPort: port, nodes });
    await a.close();
    expect(await lookupPort("alpha", { port })).toBeUndefined();
    expect((await dump({ port })).entries).toMatchObject([
      { name: "gämma 😀", port: 65535, active: true },
      { name: "alpha", port: 5000, active: false },
    ]);
  });

  it("two names on one port, and a name that is taken", async () => {
    const { port } = await start();
    const first = await announce(port, "a");
    const second = await announce(port, "b");
    expect((await listNames({ port })).nodes).toHaveLength(2);
    await expect(announce(port, "a")).rejects.toEqual(code("EPMD_NAME_TAKEN"));
    expect([first.registered, second.registered]).toEqual([true, true]);
  });

  it("count creations up, and fold them for old nodes as we do", async () => {
    const { port } = await start();
    const first = await announce(port, "a");
    await first.close();
    for (let i = 1; i <= 4; i++) {
      const old = await announce(port, "a", { highVersion: 5 });
      expect(old.creation).toBe(foldCreation(first.creation + i));
      await old.close();
    }
    expect((await announce(port, "a")).creation).toBe(first.creation + 5);
  });

  it("the name is free as soon as close() resolves", async () => {
    const { port } = await start();
    const first = await announce(port, "a");
    await first.close();
    for (let i = 1; i <= 20; i++) {
      const again = await announce(port, "a");
      expect(again.creation).toBe(first.creation + i);
      await again.close();
    }
  });

  it("longest names and extras", async () => {
    const { port } = await start();
    const name = "😀".repeat(254);
    const extra = Buffer.alloc(1020, 7);
    await announce(port, name, { extra });
    expect(await lookupPort(name, { port })).toMatchObject({ name, extra });
    // epmd registers 255 characters but does not answer whoever asks for them.
    await announce(port, "n".repeat(255));
    await expect(lookupPort("n".repeat(255), { port })).rejects.toEqual(code("EPMD_NO_REPLY"));
  });

  it("kill and stop by epmd's rules", async () => {
    const strict = await start();
    const { port } = strict;
    const a = await announce(port, "a");
    expect(await kill({ port })).toBe(false);
    await expect(stopNode("a", { port })).rejects.toEqual(code("EPMD_NO_REPLY"));
    await a.close();
    expect(await kill({ port })).toBe(true);
    expect(await strict.ended()).toBe(0);
    await expect(listNames({ port })).rejects.toEqual(code("EPMD_UNREACHABLE"));
  });

  it("a name that is stopped comes back by itself", async () => {
    const { port } = await start({ relaxed: true });
    const changes: RegistrationChange[] = [];
    const a = await announce(port, "a", { onChange: (change) => changes.push(change) });
    expect(await stopNode("nobody", { port })).toBe(false);
    expect(await stopNode("a", { port })).toBe(true);
    await expect
      .poll(() => changes.map(({ type }) => type), { timeout: 10_000 })
      .toEqual(["lost", "restored"]);
    expect(a.registered).toBe(true);
    expect(await lookupPort("a", { port })).toMatchObject({ port: 5000 });
  });

  it("names come back when epmd is killed and started again", async () => {
    const first = await start();
    const { port } = first;
    const a = await announce(port, "a");
    const b = await announce(port, "b", { keep: false });
    const { creation } = a;
    await first.stop();
    await expect.poll(() => [a.registered, b.registered]).toEqual([false, false]);
    await start({ port });
    await expect.poll(() => a.registered, { timeout: 20_000 }).toBe(true);
    expect(a.creation).toBe(creation);
    expect((await listNames({ port })).nodes).toEqual([{ name: "a", port: 5000 }]);
    expect(b.registered).toBe(false);
  });

  it("ensureEpmdServer leaves epmd its port", async () => {
    const { port } = await start();
    expect(await ensureEpmdServer({ port })).toBeUndefined();
    expect((await listNames({ port })).nodes).toEqual([]);
  });
});
