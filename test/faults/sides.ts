import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../e2e/two-clusters.ts";
import { type Network, type NetworkHost, startNetwork } from "../support/network-namespaces.ts";
import { type OtpRelease, requireOtp } from "../support/peers.ts";
import { type Report, sumOf, type Wrong } from "./checker.ts";
import { Member } from "./member.ts";
import { BridgeProgram, type Program } from "./program.ts";

/** What is between the two clusters. */
export interface Between {
  /** In the order in which they are started. */
  readonly bridges: readonly {
    readonly title: string;
    readonly host: NetworkHost;
    readonly configuration: readonly string[];
  }[];
  /** What runs before the bridges do. */
  readonly programs?: readonly Program[];
  /** The checkers of the other side as this member knows them, as Erlang terms. */
  peersOf(member: Member): string[];
  /** Of which kind its load is, as an Erlang term. */
  loadOf(member: Member): string;
}

/** How the two clusters are joined. */
export interface Arrangement {
  /** Hosts beyond those of the members. */
  readonly hosts: number;
  between(members: readonly Member[], hosts: readonly NetworkHost[]): Between;
}

/**
 * Two clusters of two real nodes each, which share nothing, and what joins them: every node and bridge on a host of its
 * own, with its own epmd. The checkers of each side put a load on those of the other.
 */
export class Sides {
  readonly network: Network;
  readonly members: readonly Member[];
  readonly bridges: readonly BridgeProgram[];
  readonly programs: readonly Program[];
  readonly #folder = mkdtempSync(join(tmpdir(), "isthmus-faults-"));
  readonly #between: Between;

  static async start(otpA: OtpRelease, otpB: OtpRelease, arrangement: Arrangement): Promise<Sides> {
    const network = await startNetwork({ hosts: 4 + arrangement.hosts });
    const sides = new Sides(network, otpA, otpB, arrangement);
    try {
      await sides.#begin(otpA);
      return sides;
    } catch (error) {
      await sides.stop();
      throw error;
    }
  }

  private constructor(network: Network, otpA: OtpRelease, otpB: OtpRelease, arrangement: Arrangement) {
    this.network = network;
    this.members = ["a1", "a2", "b1", "b2"].map(
      (id, i) => new Member(id, network.hosts[i]!, i < 2 ? otpA : otpB, this.#folder),
    );
    this.#between = arrangement.between(this.members, network.hosts.slice(4));
    this.programs = this.#between.programs ?? [];
    this.bridges = this.#between.bridges.map(({ title, host, configuration }, i) => {
      const file = join(mkdtempSync(join(this.#folder, `bridge${i}-`)), "isthmus.yaml");
      return new BridgeProgram(title, host, file, configuration);
    });
  }

  async #begin(otp: OtpRelease): Promise<void> {
    for (const { host } of this.bridges) await host.start("epmd", requireOtp(otp).epmd, []);
    for (const member of this.members) await member.startEpmd();
    await Promise.all(this.members.map((member) => member.start()));
    for (const program of [...this.programs, ...this.bridges]) await program.start();
    for (const member of this.members) await member.load(this.peersOf(member), this.#between.loadOf(member));
    await this.progressed();
  }

  /** @param id "a1", "a2", "b1" or "b2" */
  member(id: string): Member {
    return this.members.find((member) => member.id === id)!;
  }

  peersOf(member: Member): string[] {
    return this.#between.peersOf(member);
  }

  /** Bytes of memory of all bridges. */
  get bridgeMemory(): number {
    return this.bridges.reduce((sum, { memory }) => sum + memory, 0);
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
        until(
          async () => (await member.notices()) > (before.get(member) ?? 0),
          `${member.id} is told`,
          45_000,
        ),
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
      await until(quiet, `${id} is quiet`, 40_000).catch(async (error: Error) => {
        throw new Error(`${error.message}: ${JSON.stringify({ ...report, ...(await checker.waiting()) })}`);
      });
    }
  }

  async stop(): Promise<void> {
    await this.network.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
