import { readFileSync } from "node:fs";
import { systemClock } from "@isthmus/wire";
import { afterEach, describe, expect, it } from "vitest";
import { Ledger } from "../../../../test/trunk/ledger.ts";
import { TrunkAcceptor } from "../../src/trunk/acceptor.ts";
import { decodeMessage } from "../../src/trunk/codec.ts";
import { dialTrunk } from "../../src/trunk/dial.ts";
import { KIND } from "../../src/trunk/frames.ts";
import type { TrunkLink } from "../../src/trunk/link.ts";
import { natsDialer } from "../../src/trunk/nats-dialer.ts";
import { startNatsListener } from "../../src/trunk/nats-listener.ts";
import { NatsWithRights, type Rights } from "./nats-rights.ts";

const SECRET = "a secret that both sites have";
const BILLING = "shop billing";
const STOCK = "shop stock";
const backoff = { firstMs: 5, maxMs: 100 };
/** What is tried again now and then is tried again soon. */
const hurried = { ...systemClock, after: (ms: number, run: () => void) => systemClock.after(ms / 50, run) };

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** The rights of a site, and what is forbidden of it. */
const rights = (site: string, not: { publish?: string[]; subscribe?: string[] } = {}): Rights => ({
  publish: { allow: [`isthmus.trunk.${site}.>`], deny: not.publish ?? [] },
  subscribe: { allow: [`isthmus.trunk.*.${site}.>`], deny: not.subscribe ?? [] },
});
const BOTH = { north: rights("north"), south: rights("south") };

interface Site {
  readonly link: TrunkLink;
  readonly ledger: Ledger;
}

async function server(users: Readonly<Record<string, Rights>> | string): Promise<NatsWithRights> {
  const one = await NatsWithRights.start(users);
  ends.push(() => one.stop());
  return one;
}

async function twoSites(
  nats: Pick<NatsWithRights, "as">,
): Promise<{ readonly north: Site; readonly south: Site }> {
  const acceptor = new TrunkAcceptor({ site: "south" });
  ends.push(() => acceptor.close());
  const south = { ledger: new Ledger() };
  const accepted = acceptor.accept({ peer: "north", secret: SECRET, sink: south.ledger });
  const listener = await startNatsListener({ ...nats.as("south"), acceptor, backoff, clock: hurried });
  ends.push(() => listener.close());
  const north = { ledger: new Ledger() };
  const pair = { site: "north", peer: "south" };
  const dialed = dialTrunk({
    ...{ ...pair, secret: SECRET, sink: north.ledger, backoff },
    open: natsDialer({ ...nats.as("north"), ...pair, clock: hurried }),
  });
  ends.push(() => dialed.close());
  const sites = { north: { ...north, link: dialed }, south: { ...south, link: accepted } };
  for (const { link, ledger } of Object.values(sites))
    await ledger.until(() => link.state === "up", "never up");
  return sites;
}

function send({ link, ledger }: Site, channel: string, count: number): void {
  for (let i = 0; i < count; i++) ledger.send(link, channel, i);
}

const arrived = (site: Site, channel: string, count: number): Promise<void> =>
  site.ledger.until(() => site.ledger.received.get(channel) === count, `${count} on ${channel}`);

const happened = (site: Site, event: string): Promise<void> =>
  site.ledger.until(() => site.ledger.events.includes(event), event);

describe("subjects of a trunk over NATS", () => {
  it("each pair of clusters has its own: a third party that may watch one sees that one and nothing else", async () => {
    const watcher: Rights = {
      publish: { deny: [">"] },
      subscribe: { allow: ["isthmus.trunk.north.south.data.shop.billing"] },
    };
    const nats = await server({ ...BOTH, watcher });
    const client = await nats.client("watcher");
    ends.push(() => client.close());
    const payloads: string[] = [];
    const kinds = new Set<number>();
    client.subscribe("isthmus.trunk.north.south.data.shop.billing", {
      callback: (_error, { data }) => {
        // messages of the trunk, not what is sent to find out whether they would come through
        if (data[0] !== 0) return;
        for (const [kind, , , , bytes] of decodeMessage(Buffer.from(data.subarray(17)))) {
          kinds.add(kind);
          payloads.push(Buffer.from(bytes as Uint8Array).toString());
        }
      },
    });
    const refused: string[] = [];
    for (const subject of ["isthmus.trunk.north.south.data.shop.stock", "isthmus.trunk.>"])
      client.subscribe(subject, { callback: (error) => void refused.push(String(error?.code)) });
    await client.flush();
    expect(refused).toEqual(["PERMISSIONS_VIOLATION", "PERMISSIONS_VIOLATION"]);

    const { north, south } = await twoSites(nats);
    const received: string[] = [];
    south.ledger.data = (_link, channel, bytes) => void received.push(`${channel}: ${bytes}`);
    for (let i = 0; i < 50; i++) {
      north.link.send(BILLING, Buffer.from(`billing ${i}`));
      north.link.send(STOCK, Buffer.from(`stock ${i}`));
    }
    south.link.send("billing shop", Buffer.from("the other way"));
    await north.link.drain(10_000);
    await south.link.drain(10_000);
    await client.flush();
    expect(received.filter((line) => line.startsWith(STOCK)).length).toBe(50);
    expect(payloads).toEqual(Array.from({ length: 50 }, (_, i) => `billing ${i}`));
    expect([...kinds]).toEqual([KIND.DATA]);
  });

  it("names are words of subjects, whatever is in them", async () => {
    const anything: Rights = { publish: { allow: [">"] }, subscribe: { allow: [">"] } };
    const nats = await server({ north: anything, south: anything });
    const watcher = await nats.client("south");
    ends.push(() => watcher.close());
    const subjects = new Set<string>();
    watcher.subscribe("isthmus.trunk.north.south.data.>", {
      callback: (_error, { subject }) => void subjects.add(subject),
    });
    await watcher.flush();
    const { north, south } = await twoSites(nats);
    // "a.b *" and ">" are what sites make of such names of clusters
    for (const channel of ["a.b=20=2a =3e", "ü", "one two three", " "]) send(north, channel, 1);
    for (const channel of ["a.b=20=2a =3e", "ü", "one two three", " "]) await arrived(south, channel, 1);
    await watcher.flush();
    expect([...subjects].toSorted()).toEqual(
      ["a=2eb=20=2a.=3e", "=c3=bc", "one.two.three", "=.="]
        .map((words) => `isthmus.trunk.north.south.data.${words}`)
        .toSorted(),
    );
  });

  it.each(["publish", "subscribe"] as const)(
    "a pair that may not %s fails alone, and works once it may",
    async (what) => {
      const stock = { [what]: ["isthmus.trunk.north.south.data.shop.stock"] };
      const users =
        what === "publish"
          ? { ...BOTH, north: rights("north", stock) }
          : { ...BOTH, south: rights("south", stock) };
      const nats = await server(users);
      const { north, south } = await twoSites(nats);
      send(north, STOCK, 3);
      send(north, BILLING, 100);
      await happened(north, `denied ${STOCK} TRUNK_DENIED`);
      await arrived(south, BILLING, 100);
      expect(north.link.status()).toMatchObject({ state: "up", denied: [STOCK], resumptions: 0 });
      expect(south.ledger.received.has(STOCK)).toBe(false);

      await nats.change(BOTH);
      await arrived(south, STOCK, 3);
      await north.ledger.until(() => north.link.state === "up", "up");
      expect(north.link.status()).toMatchObject({ denied: [], losses: 0 });
      expect([...north.ledger.faults, ...south.ledger.faults]).toEqual([]);
    },
  );

  it.each(["publish", "subscribe"] as const)(
    "a right to %s that is taken away in the middle of it",
    async (what) => {
      const stock = { [what]: ["isthmus.trunk.north.south.data.shop.stock"] };
      const less =
        what === "publish"
          ? { ...BOTH, north: rights("north", stock) }
          : { ...BOTH, south: rights("south", stock) };
      const nats = await server(BOTH);
      const { north, south } = await twoSites(nats);
      let going = true;
      const feeding = (async () => {
        for (let i = 0; going; i++) {
          for (const channel of [BILLING, STOCK])
            if (north.link.state !== "down" && !north.link.blocked(channel))
              north.ledger.send(north.link, channel, (i * 37) % 3000);
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      await south.ledger.until(() => (south.ledger.received.get(STOCK) ?? 0) > 100, "both move");
      await nats.change(less);
      await happened(north, `denied ${STOCK} TRUNK_DENIED cut`);
      await happened(south, `cut ${STOCK}`);
      const before = south.ledger.received.get(BILLING) ?? 0;
      await south.ledger.until(() => (south.ledger.received.get(BILLING) ?? 0) > before + 500, "one moves");

      await nats.change(BOTH);
      await south.ledger.until(() => (south.ledger.received.get(STOCK) ?? 0) > 100, "both move again");
      going = false;
      await feeding;
      await south.ledger.caughtUp(north.ledger);
      for (const { ledger } of [north, south]) {
        expect(ledger.faults).toEqual([]);
        expect(ledger.events.filter((event) => event.startsWith("lost"))).toEqual([]);
      }
    },
  );

  it("the example's configuration lets its pair of clusters pass, and no other of north's", async () => {
    const path = new URL("../../../../examples/trunk/nats.conf", import.meta.url);
    const { url } = await server(readFileSync(path, "utf8"));
    const passwords = new Map([
      ["north", "a"],
      ["south", "b"],
    ]);
    const { north, south } = await twoSites({
      as: (user) => ({ servers: url, user, password: passwords.get(user)! }),
    });
    send(north, BILLING, 10);
    send(north, STOCK, 10);
    send(south, "billing shop", 10);
    await arrived(south, BILLING, 10);
    await arrived(north, "billing shop", 10);
    await happened(north, `denied ${STOCK} TRUNK_DENIED`);
  });

  it("a site without any right is told so", async () => {
    const nobody: Rights = { publish: { deny: [">"] }, subscribe: { deny: [">"] } };
    const nats = await server({ ...BOTH, nobody });
    const lines: string[] = [];
    const log = (fields: object, message: string): void =>
      void lines.push(`${message} ${JSON.stringify(fields)}`);
    const logger = { debug: log, info: log, warn: log, error: log };
    const acceptor = new TrunkAcceptor({ site: "south" });
    const listener = await startNatsListener({ ...nats.as("nobody"), acceptor, backoff, logger });
    ends.push(() => listener.close());
    const pair = { site: "north", peer: "south" };
    const link = dialTrunk({
      ...{ ...pair, secret: SECRET, sink: new Ledger(), backoff, logger },
      open: natsDialer({ ...nats.as("nobody"), ...pair }),
    });
    ends.push(() => link.close());
    await expect.poll(() => lines.join("\n")).toMatch(/trunk cannot listen over NATS.*TRUNK_DENIED/);
    await expect.poll(() => lines.join("\n")).toMatch(/trunk cannot connect.*TRUNK_DENIED/);
  });
});
