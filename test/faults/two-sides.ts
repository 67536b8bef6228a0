import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "../e2e/two-clusters.ts";
import { type Network, type NetworkHost, startNetwork } from "../support/network-namespaces.ts";
import type { OwnedProcess } from "../support/owned-process.ts";
import { type OtpRelease, requireOtp } from "../support/peers.ts";
import { type Report, sumOf, type Wrong } from "./checker.ts";
import { Member, TICK_SECONDS } from "./member.ts";

const command = fileURLToPath(new URL("../../packages/bridge/bin/isthmus.js", import.meta.url));

/** Milliseconds between two steps of a client; messages in one step; every which message has a mebibyte. */
const LOAD = "interval => 100, burst => 5, big_every => 400";

const loadOf = ({ name, cluster }: Member): string =>
  `#{${LOAD}, groups => {${name}, checkers_${cluster}, checkers_${cluster === "a" ? "b" : "a"}}}`;

/**
 * Two clusters of two real nodes each, which share nothing, and `isthmus run` between them: every one on a host of its
 * own, with its own epmd. The checkers of each side put a load on those of the other.
 */
export class TwoSides {
  readonly network: Network;
  readonly members: readonly Member[];
  readonly bridgeHost: NetworkHost;
  readonly #folder: string;
  #bridge: OwnedProcess | undefined;

  static async start(otpA: OtpRelease, otpB: OtpRelease): Promise<TwoSides> {
    const sides = new TwoSides(await startNetwork({ hosts: 5 }), otpA, otpB);
    try {
      await sides.bridgeHost.start("epmd", requireOtp(otpA).epmd, []);
      for (const member of sides.members) await member.startEpmd();
      await Promise.all(sides.members.map((member) => member.start()));
      await sides.startBridge();
      for (const member of sides.members) await member.load(sides.peersOf(member), loadOf(member));
      return sides;
    } catch (error) {
      await sides.stop();
      throw error;
    }
  }

  private constructor(network: Network, otpA: OtpRelease, otpB: OtpRelease) {
    this.network = network;
    this.#folder = mkdtempSync(join(tmpdir(), "isthmus-faults-"));
    this.bridgeHost = network.hosts[4]!;
    this.members = ["a1", "a2", "b1", "b2"].map(
      (id, i) => new Member(id, network.hosts[i]!, i < 2 ? otpA : otpB, this.#folder),
    );
    writeFileSync(this.#configuration, this.#configure());
  }

  /** @param id "a1", "a2", "b1" or "b2" */
  member(id: string): Member {
    return this.members.find((member) => member.id === id)!;
  }

  /** The checkers of the other side as those of this one know them, as Erlang terms. */
  peersOf({ cluster }: Member): string[] {
    return this.members
      .filter((member) => member.cluster !== cluster)
      .map(({ name }) => `{${name},'bridge_${cluster}@${this.bridgeHost.address}'}`);
  }

  get bridge(): OwnedProcess {
    return this.#bridge!;
  }

  /** Bytes of memory of the bridge's process. */
  get bridgeMemory(): number {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.bridge.pid}/status`, "utf8"))!;
    return Number(kib) * 1024;
  }

  async startBridge(): Promise<void> {
    const args = [command, "run", "--log-format", "json", this.#configuration];
    this.#bridge = await this.bridgeHost.start("the bridge", process.execPath, args, {});
    await until(
      () => !this.bridge.running || this.bridge.output.includes("isthmus is up"),
      "the bridge is up",
    );
    if (!this.bridge.running) throw new Error(`The bridge has ended. It printed:\n${this.bridge.output}`);
  }

  /** What went wrong anywhere since the last time. */
  async wrong(): Promise<Wrong> {
    return sumOf(await Promise.all(this.members.map((member) => member.wrong())));
  }

  /** Waits until every client on every node has reached what it wanted `times` more often. */
  async progressed(times = 2): Promise<void> {
    await Promise.all(
      this.members.map(async ({ id, checker }) => {
        const before = await checker.progress();
        let behind: string[] = [];
        await until(
          async () => {
            const now = await checker.progress();
            behind = Object.keys(before).filter((client) => now[client]! < before[client]! + times);
            return behind.length === 0;
          },
          `all clients of ${id} go on`,
          45_000,
        ).catch((error: Error) => {
          throw new Error(`${error.message}; these do not: ${behind.join(" ")}`);
        });
      }),
    );
  }

  /** Waits until senders of each of these have been told, since `before`, that what they send to may be gone. */
  async noticed(members: readonly Member[], before: ReadonlyMap<Member, number>): Promise<void> {
    await Promise.all(
      members.map((member) =>
        until(async () => (await member.notices()) > (before.get(member) ?? 0), `${member.id} is told`),
      ),
    );
  }

  /** How often messages were found missing between others, anywhere. */
  async gaps(): Promise<number> {
    const counts = await Promise.all(this.members.map((member) => member.gaps()));
    return counts.reduce((total, count) => total + count, 0);
  }

  /** How often each that can answer was told so until now. */
  async notices(): Promise<Map<Member, number>> {
    const there = this.members.filter(({ answers }) => answers);
    return new Map(await Promise.all(there.map(async (member) => [member, await member.notices()] as const)));
  }

  /** Ends the load, and waits until everybody knows what became of everything, and all workers are gone. */
  async quiesce(): Promise<void> {
    await Promise.all(this.members.map(({ checker }) => checker.quiesce()));
    for (const { id, checker } of this.members) {
      let report: Report = {};
      const quiet = async (): Promise<boolean> => {
        report = await checker.report();
        return report["clients"] === 0 && report["workers"] === 0;
      };
      await until(quiet, `${id} is quiet`, 40_000).catch((error: Error) => {
        throw new Error(`${error.message}: ${JSON.stringify(report)}`);
      });
    }
  }

  async stop(): Promise<void> {
    await this.network.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #configuration(): string {
    return join(this.#folder, "isthmus.yaml");
  }

  #configure(): string {
    const { address } = this.bridgeHost;
    const of = (id: "a" | "b"): Member[] => this.members.filter(({ cluster }) => cluster === id);
    const cluster = (id: "a" | "b"): string[] => [
      `  ${id}:`,
      `    node: bridge_${id}@${address}`,
      `    cookie: ${of(id)[0]!.cookie}`,
      `    listen: { host: ${address} }`,
      "    epmd: { embedded: never }",
      `    discovery: { hosts: [${of(id).map(({ node }) => node)}] }`,
      `    tick_time: ${TICK_SECONDS}`,
    ];
    const routes = this.members.map(
      ({ cluster: to, name, node }) =>
        `  - { from: ${to === "a" ? "b" : "a"}, to: ${to}, name: checker, as: ${name}, node: ${node} }`,
    );
    const groups = (from: "a" | "b", to: "a" | "b"): string[] => [
      `  - { from: ${from}, to: ${to}, groups: "{checker,*}" }`,
      `  - { from: ${from}, to: ${to}, groups: checkers_${to}, form: fan_out }`,
    ];
    return [
      ...["clusters:", ...cluster("a"), ...cluster("b")],
      ...["routes:", ...routes],
      ...["groups:", ...groups("a", "b"), ...groups("b", "a")],
      "state_file: state",
      "shutdown: { drain_seconds: 1 }",
      "",
    ].join("\n");
  }
}
