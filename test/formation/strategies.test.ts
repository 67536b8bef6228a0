import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../e2e/two-clusters.ts";
import { describeNetwork, type Network, startNetwork } from "../support/network-namespaces.ts";
import { type OtpRelease, otpReleases, requireOtp } from "../support/peers.ts";
import { isMesh, stays } from "./mesh.ts";
import { Peer } from "./strategies-peer.ts";
import {
  METADATA,
  podName,
  RESOLV_CONF,
  ROWS,
  type Row,
  SERVICES,
  type Services,
  type Source,
  startServices,
} from "./strategies-table.ts";

type Trio = readonly [Peer, Peer, Peer];

const STEPS = ["two nodes", "join", "restart", "heal", "leave"] as const;
type Times = Partial<Record<(typeof STEPS)[number], number>>;

let folder: string;
let network: Network;
let services: Services | undefined;
let present: Trio | undefined;
const trios = new Map<Row["named"], Trio>();
const table = new Map<string, Times>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "isthmus-strategies-"));
  network = await startNetwork({
    hosts: 5,
    names: { "rancher-metadata": SERVICES },
    files: { "/etc/resolv.conf": RESOLV_CONF },
  });
  services = await startServices(network.hosts[3]!, subfolder("services"));
  for (const host of network.hosts.slice(0, 3)) await host.run("ip", "route", "add", METADATA, "dev", "eth0");
  for (const host of network.hosts) await host.start("epmd", requireOtp().epmd, []);
});
afterAll(async () => {
  await network?.stop();
  await services?.relay.stop();
  await services?.knot.stop();
  rmSync(folder, { recursive: true, force: true });
  print("milliseconds until", STEPS);
  for (const [title, times] of table) {
    const columns = STEPS.map((step) => times[step] ?? "-");
    print(title, columns);
  }
});

function print(title: string, columns: readonly (string | number)[]): void {
  process.stdout.write(`  ${title.padEnd(20)}${columns.map((one) => String(one).padStart(11)).join("")}\n`);
}

function subfolder(name: string): string {
  const path = join(folder, name.replaceAll(/\W+/g, "-"));
  mkdirSync(path);
  return path;
}

/** Three nodes that are up and connected to nobody, and have no sidecars. */
async function threeNodes(named: Row["named"]): Promise<Trio> {
  for (const peer of present ?? []) if (peer.formed) await peer.form.kill();
  await network.heal();
  const trio = trios.get(named) ?? makeTrio(named);
  trios.set(named, trio);
  if (present !== undefined && present !== trio) await Promise.all(present.map((peer) => peer.killBeam()));
  present = trio;
  await Promise.all(trio.map((peer) => (peer.up ? peer.beam.resume() : peer.startBeam())));
  await Promise.all(trio.map((peer) => peer.part()));
  for (const peer of trio) await until(() => peer.hidden.length === 0, `nobody is left at ${peer.node}`);
  // what they said of a trial that failed is not for the next one
  for (const peer of trio) peer.takeReports();
  return trio;
}

function makeTrio(named: Row["named"]): Trio {
  const newer: OtpRelease = otpReleases().some(({ otp }) => otp === 27) ? 27 : 25;
  const shared = network.hosts[4]!;
  const peers = ([25, newer, 25] as const).map((otp, i) => {
    const own = network.hosts[i]!;
    const home = subfolder(`${named} ${i}`);
    if (named === "on one host") return new Peer(shared, otp, home, `app${i}@${shared.address}`);
    return new Peer(own, otp, home, `app@${named === "as pods" ? podName(i) : own.address}`);
  });
  return peers as unknown as Trio;
}

/** A strategy forms a cluster of the trio, and mends it. */
class Trial {
  readonly #row: Row;
  readonly #source: Source;
  readonly #trio: Trio;
  readonly times: Times = {};

  constructor(row: Row, source: Source, trio: Trio) {
    this.#row = row;
    this.#source = source;
    this.#trio = trio;
  }

  /** Two are known: their sidecars connect them. */
  async twoNodes(): Promise<void> {
    const [a, b, c] = this.#trio;
    if (this.#late) await c.stopBeam();
    for (const peer of [a, b]) await this.#source.enter?.(peer);
    const begin = performance.now();
    await Promise.all([a, b].map((peer) => this.#startForm(peer)));
    await this.#mesh("two nodes", begin, [a, b]);
    expect(c.nodes).toEqual([]);
  }

  /** A third one becomes known. Unless its own sidecar is what tells of it, those of the others connect it. */
  async join(): Promise<void> {
    const [a, b, c] = this.#trio;
    const { known } = this.#row;
    const undisturbed = watch(a, b);
    let begin = performance.now();
    if (known === "by entry") await this.#source.enter!(c);
    else if (known === "by sidecar") await this.#startForm(c);
    else {
      await c.startBeam();
      begin = performance.now();
    }
    await this.#mesh("join", begin, [a, b, c]);
    undisturbed();
    if (known !== "by sidecar") await this.#startForm(c);
    await this.#allKnowAll();
  }

  /** One is killed, and started again. */
  async restart(): Promise<void> {
    const [a, b, c] = this.#trio;
    await b.killBeam();
    await until(() => isMesh([a, c]), "the dead node is gone");
    await b.startBeam();
    await this.#mesh("restart", performance.now(), [a, b, c]);
    await this.#allKnowAll();
  }

  /** One is cut off from the others for longer than the net tick, or, where all are on one host, hangs for so long. */
  async heal(): Promise<void> {
    const [a, b, c] = this.#trio;
    const cut = this.#row.named !== "on one host";
    if (cut) await network.partition([a.host, b.host], [c.host]);
    else await c.pauseBeam();
    await until(() => isMesh([a, b], cut ? [c] : []), "the loss is noticed");
    const begin = performance.now();
    if (cut) await network.heal();
    else c.beam.resume();
    await this.#mesh("heal", begin, [a, b, c]);
    if (cut) await stays([a, b, c]);
    await this.#allKnowAll();
  }

  /**
   * One is known no more. As it lives it is not disconnected; when it has stopped and starts again, without a sidecar,
   * nobody connects it.
   */
  async leave(): Promise<void> {
    const [a, b, c] = this.#trio;
    const { known } = this.#row;
    const undisturbed = watch(a, b);
    const seen = [a, b].map(({ form }) => form.output.length);
    const all = (text: string): boolean =>
      [a, b].every(({ form }, i) => form.output.slice(seen[i]).includes(text));
    const begin = performance.now();
    if (known === "by itself") await c.stopBeam();
    else if (known === "by entry") await this.#source.leave!(c);
    else await endForm(c);
    if (known === "by configuration") {
      await Promise.all([a, b].map(endForm));
      seen.fill(0);
      await Promise.all([a, b].map((peer) => this.#startForm(peer, [a, b])));
      await until(() => all("discovery names other nodes"), "the new configuration holds");
    } else {
      await until(() => all(`"removed":["${c.node}"]`), "discovery names it no more");
    }
    if (known !== "by configuration") this.times.leave = Math.round(performance.now() - begin);
    if (known === "by entry" || known === "by sidecar") {
      await until(() => all("discovery names a node no more that is up"), "the removal is held back");
    }
    const before = [a, b].map(({ form }) => form.output.length);
    if (known !== "by itself") {
      expect(isMesh([a, b, c])).toBe(true);
      if (c.formed) await endForm(c);
      await c.stopBeam();
    }
    await until(() => isMesh([a, b]), "the stopped node is gone");
    undisturbed();
    if (known === "by itself") return endForm(c);
    await c.startBeam();
    for (const [i, { form }] of [a, b].entries()) {
      const attempts = form.output.slice(before[i]).match(/^.*(cannot connect|node connected).*$/gm) ?? [];
      expect(attempts.filter((line) => line.includes(`"node":"${c.node}"`))).toEqual([]);
    }
    expect(c.views.flat()).toEqual([]);
  }

  /** What every BEAM is connected to is what it must be, also when the sidecars have ended, and none has complained. */
  async end(): Promise<void> {
    const [a, b, c] = this.#trio;
    for (const peer of [a, b]) {
      expect([peer.nodes, peer.hidden]).toEqual([
        [a, b].filter((other) => other !== peer).map(({ node }) => node),
        [`isthmus-form-${peer.node}`],
      ]);
    }
    await Promise.all([a, b].map(endForm));
    await until(() => [a, b].every(({ hidden }) => hidden.length === 0), "the sidecars are gone");
    expect(isMesh([a, b])).toBe(true);
    expect(c.up ? [c.nodes, c.hidden] : [[], []]).toEqual([[], []]);
    expect(this.#trio.flatMap((peer) => peer.takeReports())).toEqual([]);
  }

  get #late(): boolean {
    return this.#row.known === "by itself" || this.#row.known === "by configuration";
  }

  async #startForm(peer: Peer, named: readonly Peer[] = this.#trio): Promise<void> {
    const { strategy } = this.#row;
    const topology = { strategy, config: this.#source.config(named), removal: "immediately" };
    await peer.startForm(`topologies: ${JSON.stringify({ trial: topology })}`);
  }

  async #mesh(step: (typeof STEPS)[number], begin: number, group: readonly Peer[]): Promise<void> {
    await until(() => isMesh(group), `all are connected: ${step}`, 40_000);
    this.times[step] = Math.round(performance.now() - begin);
  }

  /** Waits until every sidecar is there and has discovered both others: one that has not was not needed for the mesh. */
  async #allKnowAll(): Promise<void> {
    const knows = ({ form, hidden }: Peer): boolean => {
      const session = form.output.slice(form.output.lastIndexOf("the local node is up"));
      const counts = session.match(/(?<="nodes":)\d+(?=,"added")/g) ?? [];
      return hidden.length === 1 && counts.at(-1) === "2";
    };
    await until(() => this.#trio.every(knows), "all sidecars know all nodes");
  }
}

/** @returns a function that fails if one of the two has lost the other meanwhile, be it for a moment */
function watch(one: Peer, other: Peer): () => void {
  const pairs = [
    [one, other.node, one.views.length],
    [other, one.node, other.views.length],
  ] as const;
  return () => {
    for (const [peer, name, before] of pairs)
      for (const view of peer.views.slice(before - 1)) expect(view).toContain(name);
  };
}

async function endForm({ form }: Peer): Promise<void> {
  expect(await form.stop()).toMatchObject({ code: 0 });
}

describeNetwork("a cluster of three BEAM nodes, formed by", () => {
  it.each(ROWS.map((row) => [row.title, row] as const))("%s", async (title, row) => {
    const trio = await threeNodes(row.named);
    const source = await row.open(services!, subfolder(title));
    try {
      const trial = new Trial(row, source, trio);
      await trial.twoNodes();
      await trial.join();
      await trial.restart();
      await trial.heal();
      await trial.leave();
      await trial.end();
      table.set(title, trial.times);
      const { times } = trial;
      const known = STEPS.filter((step) => times[step] !== undefined);
      process.stdout.write(`  ${title}: ${known.map((step) => `${step} ${times[step]} ms`).join(", ")}\n`);
    } catch (error) {
      const said = trio.flatMap((peer) => [
        `--- ${peer.node} ---\n${peer.up ? peer.beam.output.slice(-3000) : "down"}`,
        `--- its sidecar ---\n${peer.form?.output.slice(-4000)}`,
      ]);
      throw new Error(`${(error as Error).message}\n${said.join("\n")}`, { cause: error });
    } finally {
      await source.close?.();
    }
  });
});
