import { connect } from "nats";
import { describe, expect, it } from "vitest";
import { type AcceptOptions, TrunkAcceptor } from "../../packages/bridge/src/trunk/acceptor.ts";
import { type DialOptions, dialTrunk } from "../../packages/bridge/src/trunk/dial.ts";
import type { TrunkLink } from "../../packages/bridge/src/trunk/link.ts";
import type { NatsOptions } from "../../packages/bridge/src/trunk/nats-client.ts";
import { natsDialer } from "../../packages/bridge/src/trunk/nats-dialer.ts";
import { type NatsListener, startNatsListener } from "../../packages/bridge/src/trunk/nats-listener.ts";
import { type Nats, startNats } from "../support/nats.ts";
import { Ledger } from "./ledger.ts";
import { ending, SECRET } from "./sites.ts";

interface Site {
  readonly link: TrunkLink;
  readonly ledger: Ledger;
}

const backoff = { firstMs: 5, maxMs: 200 };

async function nats(options: Parameters<typeof startNats>[0] = {}): Promise<Nats> {
  return ending(await startNats(options), (one) => one.stop());
}

async function startSouth(
  options: NatsOptions,
  accept: Partial<AcceptOptions> = {},
): Promise<Site & { readonly listener: NatsListener; readonly acceptor: TrunkAcceptor }> {
  const acceptor = ending(new TrunkAcceptor({ site: "south.example" }), (one) => one.close());
  const ledger = new Ledger();
  const link = acceptor.accept({ peer: "north", secret: SECRET, sink: ledger, ...accept });
  const listener = await startNatsListener({ ...options, acceptor, backoff });
  ending(listener, (one) => one.close());
  return { acceptor, listener, link, ledger };
}

function startNorth(options: NatsOptions, dial: Partial<DialOptions> = {}): Site {
  const ledger = new Ledger();
  const pair = { site: "north", peer: "south.example" } as const;
  const link = dialTrunk({
    ...{ ...pair, secret: SECRET, sink: ledger, backoff },
    open: natsDialer({ ...options, ...pair }),
    ...dial,
  });
  ending(link, (one) => one.close());
  return { link, ledger };
}

const up = (...sites: readonly Site[]): Promise<unknown> =>
  Promise.all(sites.map(({ link, ledger }) => ledger.until(() => link.state === "up", "never up")));

/** Sends on a channel, as far as it is not blocked, until told to stop. */
async function feed({ link, ledger }: Site, going: () => boolean): Promise<void> {
  for (let i = 0; going(); i++) {
    for (let n = 0; n < 20 && link.state !== "down" && !link.blocked("c"); n++)
      ledger.send(link, "c", (i * 37) % 3000);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a trunk over NATS", () => {
  it("carries both ways, large and small", async () => {
    const server = await nats({ token: "a token" });
    const options = { servers: server.url, token: "a token" };
    const south = await startSouth(options);
    const north = startNorth(options);
    await up(north, south);
    for (const site of [north, south]) {
      site.ledger.send(site.link, "large", 20 * 1024 * 1024);
      for (let i = 0; i < 5000; i++) site.ledger.send(site.link, "small", i);
    }
    await Promise.all([north.ledger.caughtUp(south.ledger), south.ledger.caughtUp(north.ledger)]);
    expect([north.ledger.faults, south.ledger.faults]).toEqual([[], []]);
    expect(north.link.status().wire).toBe(`nats 127.0.0.1:${server.port}`);
  });

  it("survives the server: killed and started again and again, stopped and continued, nothing is lost", async () => {
    const server = await nats();
    const limits = { keepAliveMs: 200, silenceMs: 1000 };
    const south = await startSouth({ servers: server.url }, { limits });
    const north = startNorth({ servers: server.url }, { limits });
    await up(north, south);
    let going = true;
    const feeding = Promise.all([north, south].map((site) => feed(site, () => going)));
    for (let round = 1; round <= 5; round++) {
      const arrived = south.ledger.received.get("c") ?? 0;
      await south.ledger.until(() => (south.ledger.received.get("c") ?? 0) > arrived + 500, "nothing moves");
      if (round === 3) {
        await server.pause();
        await north.ledger.until(() => north.link.state === "suspended", "silence was not noticed");
        server.resume();
      } else {
        await server.kill();
        await north.ledger.until(() => north.link.state === "suspended", "the end was not noticed");
        await server.start();
      }
      await up(north, south);
    }
    going = false;
    await feeding;
    await Promise.all([north.ledger.caughtUp(south.ledger), south.ledger.caughtUp(north.ledger)]);
    for (const { ledger } of [north, south]) {
      expect(ledger.faults).toEqual([]);
      expect(ledger.events.filter((event) => event === "up" || event.startsWith("lost"))).toEqual(["up"]);
      expect(ledger.events.filter((event) => event === "resumed").length).toBeGreaterThanOrEqual(5);
    }
  });

  it("messages that NATS loses are noticed, and come again", async () => {
    const server = await nats();
    const south = await startSouth({ servers: server.url });
    // a client that loses every 200th message, as a slow consumer may
    let count = 0;
    const lossy = async () => ({
      connect: async (options: object) => {
        const connection = await connect(options);
        const publish = connection.publish.bind(connection);
        connection.publish = (subject, payload) => {
          if (++count % 200 !== 0) publish(subject, payload);
        };
        return connection;
      },
    });
    const pair = { site: "north", peer: "south.example" } as const;
    const north = startNorth(
      { servers: server.url },
      { open: natsDialer({ servers: server.url, ...pair, load: lossy }), limits: { keepAliveMs: 100 } },
    );
    await up(north, south);
    await feed(north, () => (north.ledger.sent.get("c") ?? 0) < 50_000);
    await south.ledger.caughtUp(north.ledger);
    expect(south.ledger.faults).toEqual([]);
    expect(south.ledger.events).toContain("suspended TRUNK_GAP");
    expect(south.ledger.events.filter((event) => event.startsWith("lost"))).toEqual([]);
  });

  it("sites with rights to their own subjects only", async () => {
    const rights = (site: string) => ({
      publish: [`isthmus.trunk.${site}.>`],
      subscribe: [`isthmus.trunk.*.${site}.>`],
    });
    const users = [
      { user: "north", password: "secret of north", ...rights("north") },
      { user: "south", password: "secret of south", ...rights("south=2eexample") },
    ];
    const server = await nats({ users });
    const south = await startSouth({ servers: server.url, user: "south", password: "secret of south" });
    const north = startNorth({ servers: server.url, user: "north", password: "secret of north" });
    await up(north, south);
    north.ledger.send(north.link, "c", 1000);
    await south.ledger.caughtUp(north.ledger);
  });

  it("a listener that comes back is known at once to have forgotten the connections", async () => {
    const server = await nats();
    const south = await startSouth({ servers: server.url });
    const north = startNorth({ servers: server.url });
    await up(north, south);
    await south.listener.close();
    await north.ledger.until(() => north.link.state === "suspended", "never suspended");
    ending(await startNatsListener({ servers: server.url, acceptor: south.acceptor }), (one) => one.close());
    await up(north, south);
    expect(north.ledger.events).toEqual(["up", "suspended TRUNK_BROKEN", "resumed"]);
  });

  it("more than two sites", async () => {
    const server = await nats();
    const south = await startSouth({ servers: server.url });
    const north = startNorth({ servers: server.url });
    const ledger = new Ledger();
    const fromWest = south.acceptor.accept({ peer: "west", secret: `${SECRET} 2`, sink: ledger });
    const west = startNorth(
      { servers: server.url },
      {
        site: "west",
        secret: `${SECRET} 2`,
        open: natsDialer({ servers: server.url, site: "west", peer: "south.example" }),
      },
    );
    await up(north, south, west, { link: fromWest, ledger });
    north.ledger.send(north.link, "c", 10);
    west.ledger.send(west.link, "d", 10);
    await Promise.all([south.ledger.caughtUp(north.ledger), ledger.caughtUp(west.ledger)]);
    expect([...south.ledger.received, ...ledger.received]).toEqual([
      ["c", 1],
      ["d", 1],
    ]);
  });

  it("says what is wrong: no server, a wrong token, a wrong secret, too short messages", async () => {
    const server = await nats({ token: "a token" });
    const failure = async (options: NatsOptions): Promise<unknown> =>
      startNatsListener({ ...options, acceptor: new TrunkAcceptor({ site: "south" }) }).catch(
        (error) => error,
      );
    expect(await failure({ servers: "nats://127.0.0.1:1" })).toMatchObject({ code: "TRUNK_UNREACHABLE" });
    const refused = (await failure({ servers: server.url, token: "another token" })) as Error;
    expect(refused).toMatchObject({ code: "TRUNK_UNREACHABLE" });
    expect(refused.message).not.toContain("another token");
    expect(await failure({ servers: server.url, prefix: "a..b" })).toMatchObject({
      code: "TRUNK_OPTIONS_INVALID",
    });
    const small = await nats({ maxPayload: 1024 });
    expect(await failure({ servers: small.url })).toMatchObject({ code: "TRUNK_OPTIONS_INVALID" });

    const south = await startSouth({ servers: server.url, token: "a token" });
    startNorth({ servers: server.url, token: "a token" }, { secret: "not the secret of the two" });
    await expect.poll(() => south.acceptor.refused.get("TRUNK_AUTHENTICATION") ?? 0).toBeGreaterThan(1);
    expect(south.ledger.events).toEqual([]);
  });

  it("needs the npm package nats, and says so", async () => {
    const load = async (): Promise<never> => {
      throw new Error("Cannot find package");
    };
    const acceptor = new TrunkAcceptor({ site: "south" });
    await expect(startNatsListener({ servers: "nats://127.0.0.1:1", acceptor, load })).rejects.toMatchObject({
      code: "PEER_DEPENDENCY_MISSING",
    });
  });
});
