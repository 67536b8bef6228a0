import { once } from "node:events";
import { get } from "node:http";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import type { TrunkLink } from "../../packages/bridge/src/trunk/link.ts";
import { startCuttingProxy } from "./cutting-proxy.ts";
import type { Ledger } from "./ledger.ts";
import { ending, startNorth, startSouth, WebSocket } from "./sites.ts";

const CHANNELS = ["shop-bill", "bill-shop", "third"];

/** Sends on all channels, as far as they are not blocked, until told to stop. */
async function feed(
  site: { readonly link: TrunkLink; readonly ledger: Ledger },
  going: () => boolean,
  size: () => number,
): Promise<void> {
  while (going()) {
    for (const channel of CHANNELS) {
      for (let i = 0; i < 4 && site.link.state !== "down" && !site.link.blocked(channel); i++) {
        site.ledger.send(site.link, channel, size());
      }
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a trunk over WebSocket", () => {
  it("whose connection is cut thousands of times under load loses, repeats and reorders nothing", {
    timeout: 300_000,
  }, async () => {
    const CUTS = 2500;
    const limits = { graceMs: 120_000, highWaterBytes: 256 * 1024 };
    const south = await startSouth({ limits });
    const proxy = ending(await startCuttingProxy(south.listener.port), (one) => one.close());
    const random = seeded(20_260_101);
    // sometimes in the middle of the handshake, sometimes after much
    proxy.budget = () => Math.floor(random() ** 3 * 400_000);
    const north = startNorth({ port: proxy.port }, { limits });
    await north.ledger.until(() => north.ledger.events.length > 0, "never up");
    await south.ledger.until(() => south.ledger.events.length > 0, "never up");
    const began = performance.now();
    const going = (): boolean => proxy.cuts < CUTS;
    const size = (): number => (random() < 0.005 ? 100_000 : Math.floor(random() * 400));
    await Promise.all([feed(north, going, size), feed(south, going, size)]);
    proxy.budget = undefined;
    await Promise.all([south.ledger.caughtUp(north.ledger), north.ledger.caughtUp(south.ledger)]);
    const seconds = (performance.now() - began) / 1000;

    expect([north.ledger.faults, south.ledger.faults]).toEqual([[], []]);
    for (const { ledger } of [north, south]) {
      expect(ledger.events.filter((event) => event === "up" || event.startsWith("lost"))).toEqual(["up"]);
      for (const channel of CHANNELS) expect(ledger.sent.get(channel)).toBeGreaterThan(1000);
    }
    const { counters, resumptions } = north.link.status();
    expect(resumptions).toBeGreaterThan(CUTS / 4);
    expect(counters!.resent).toBeGreaterThan(0);
    const payloads = [...north.ledger.sent.values(), ...south.ledger.sent.values()].reduce(
      (a, b) => a + b,
      0,
    );
    process.stdout.write(
      `${proxy.cuts} cuts in ${seconds.toFixed(1)} s, ${resumptions} sessions taken up again, ${payloads} payloads, ${counters!.resent} frames sent again\n`,
    );
  });

  it("a slow receiver holds a window and no more, and does not stop the others", async () => {
    const south = await startSouth();
    const north = startNorth({ port: south.listener.port });
    await north.ledger.until(() => north.link.state === "up", "never up");
    south.link.pause("slow");
    for (let i = 0; i < 200_000 && !north.link.blocked("slow"); i++)
      north.ledger.send(north.link, "slow", 1000);
    expect(north.link.blocked("slow")).toBe(true);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 100_000; i++) {
      north.ledger.send(north.link, "quick", 1000);
      if (north.link.blocked("quick"))
        await north.ledger.until(() => !north.link.blocked("quick"), "never writable");
    }
    await south.ledger.until(() => south.ledger.received.get("quick") === 100_000, "not everything arrived");
    expect(south.ledger.received.get("slow")).toBeUndefined();
    expect(south.link.status().incomingBytes).toBeLessThanOrEqual(1024 * 1024);
    expect(north.link.status().outgoingBytes).toBeLessThan(4 * 1024 * 1024);
    // 100 MB went past it
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
    south.link.resume("slow");
    await south.ledger.caughtUp(north.ledger);
    expect(south.ledger.faults).toEqual([]);
  });

  it("a receiver that does not read at all lets nothing pile up on the sender", async () => {
    const south = await startSouth();
    const proxy = ending(await startCuttingProxy(south.listener.port), (one) => one.close());
    const limits = { keepAliveMs: 200, silenceMs: 1000 };
    const north = startNorth({ port: proxy.port }, { limits });
    await north.ledger.until(() => north.link.state === "up", "never up");
    proxy.stall();
    for (let i = 0; i < 200_000 && !north.link.blocked("c"); i++) north.ledger.send(north.link, "c", 1000);
    expect(north.link.blocked("c")).toBe(true);
    expect(north.link.status().outgoingBytes).toBeLessThan(4 * 1024 * 1024);
    await north.ledger.until(
      () => north.ledger.events.includes("suspended TRUNK_SILENT"),
      "silence was not noticed",
    );
  });

  it("messages of many megabytes go through while small ones overtake them", async () => {
    const south = await startSouth();
    const north = startNorth({ port: south.listener.port });
    await north.ledger.until(() => north.link.state === "up", "never up");
    const order: string[] = [];
    south.ledger.onData = (channel) => order.push(channel);
    north.ledger.send(north.link, "large", 100 * 1024 * 1024);
    north.ledger.send(north.link, "small", 10);
    await south.ledger.caughtUp(north.ledger);
    expect(order).toEqual(["small", "large"]);
    expect(south.ledger.faults).toEqual([]);
  });

  it("beyond the grace time everything is lost on both sides, and it begins anew", async () => {
    const limits = { graceMs: 300 };
    const south = await startSouth({ limits });
    const proxy = ending(await startCuttingProxy(south.listener.port), (one) => one.close());
    const north = startNorth({ port: proxy.port }, { limits });
    await Promise.all(
      [north, south].map(({ ledger, link }) => ledger.until(() => link.state === "up", "never up")),
    );
    proxy.down = true;
    for (const { ledger, link } of [north, south]) {
      await ledger.until(() => link.state === "down", "never lost");
      expect(ledger.events.slice(0, 3)).toEqual(["up", "suspended TRUNK_BROKEN", "lost TRUNK_GRACE_OVER"]);
    }
    proxy.down = false;
    await Promise.all(
      [north, south].map(({ ledger, link }) => ledger.until(() => link.state === "up", "never up")),
    );
    north.ledger.send(north.link, "c", 100);
    await south.ledger.caughtUp(north.ledger);
  });

  it("when the far process goes away, it is told at once; a new one there means a new session", async () => {
    const first = await startSouth();
    const north = startNorth({ port: first.listener.port });
    await north.ledger.until(() => north.link.state === "up", "never up");
    first.acceptor.close();
    await north.ledger.until(() => north.link.state === "down", "never told");
    expect(north.ledger.events).toEqual(["up", "lost TRUNK_CLOSED"]);
    await first.listener.close();
    const second = await startSouth({}, { port: first.listener.port });
    await second.ledger.until(() => second.link.state === "up", "never up");
  });
});

describe("who may connect", () => {
  it("not one with another secret: both sides say so", async () => {
    const south = await startSouth();
    const lines: string[] = [];
    const log = (fields: object, message: string): void =>
      void lines.push(`${message} ${JSON.stringify(fields)}`);
    const logger = { debug: log, info: log, warn: log, error: log };
    startNorth({ port: south.listener.port }, { secret: "not the secret of the two", logger });
    await expect.poll(() => south.acceptor.refused.get("TRUNK_AUTHENTICATION") ?? 0).toBeGreaterThan(1);
    await expect.poll(() => lines.join("\n")).toContain("TRUNK_AUTHENTICATION");
    expect(lines.join("\n")).not.toContain("not the secret");
    expect(south.ledger.events).toEqual([]);
  });

  it("not one of another version: both sides say which they speak", async () => {
    const south = await startSouth({}, {}, { versions: [[2, 1]] });
    const lines: string[] = [];
    const log = (fields: object): void => void lines.push(JSON.stringify(fields));
    startNorth({ port: south.listener.port }, { logger: { debug: log, info: log, warn: log, error: log } });
    await expect.poll(() => lines.join("\n")).toContain("one speaks 1.0, the other 2.1");
    expect(south.acceptor.refused.get("TRUNK_VERSION")).toBeGreaterThan(0);
  });

  it("not at another path, not without the subprotocol, and not as anything but a WebSocket", async () => {
    const { listener } = await startSouth();
    const status = (path: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        get({ port: listener.port, path }, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).once("error", reject);
      });
    expect([await status("/trunk"), await status("/trunk/health"), await status("/")]).toEqual([
      426, 200, 404,
    ]);
    const upgrade = async (path: string, protocols: string[]): Promise<number | undefined> => {
      const socket = new WebSocket(`ws://127.0.0.1:${listener.port}${path}`, protocols);
      const [, response] = (await once(socket, "unexpected-response")) as [unknown, { statusCode?: number }];
      return response.statusCode;
    };
    expect(await upgrade("/other", ["isthmus-trunk"])).toBe(404);
    expect(await upgrade("/trunk", [])).toBe(400);
    expect(await upgrade("/trunk", ["chat"])).toBe(400);
  });

  it("strangers cannot take all the places, nor stay", async () => {
    const south = await startSouth({}, {}, { maxPending: 3, handshakeMs: 500 });
    const url = `ws://127.0.0.1:${south.listener.port}/trunk`;
    const sockets = [1, 2, 3].map(() => new WebSocket(url, ["isthmus-trunk"]));
    await Promise.all(sockets.map((socket) => once(socket, "open")));
    const fourth = new WebSocket(url, ["isthmus-trunk"]);
    const [, response] = (await once(fourth, "unexpected-response")) as [unknown, { statusCode?: number }];
    expect(response.statusCode).toBe(503);
    await Promise.all(sockets.map((socket) => once(socket, "close")));
    const north = startNorth({ port: south.listener.port });
    await north.ledger.until(() => north.link.state === "up", "never up");
  });

  it("bytes that are no trunk end the connection, and nothing else", async () => {
    const south = await startSouth();
    const north = startNorth({ port: south.listener.port });
    await north.ledger.until(() => north.link.state === "up", "never up");
    const url = `ws://127.0.0.1:${south.listener.port}/trunk`;
    for (const bytes of [Buffer.from("hello"), "text", Buffer.alloc(5000), Buffer.alloc(300_000)]) {
      const socket = new WebSocket(url, ["isthmus-trunk"]);
      await once(socket, "open");
      socket.on("error", () => undefined);
      socket.send(bytes);
      await once(socket, "close");
    }
    const raw = connect(south.listener.port, "127.0.0.1", () => raw.write("\0\x01\x02 nothing\r\n\r\n"));
    raw.resume();
    await once(raw, "close");
    expect(north.ledger.events).toEqual(["up"]);
  });
});

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
