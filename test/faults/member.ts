import { rmSync } from "node:fs";
import { join } from "node:path";
import { until } from "../e2e/two-clusters.ts";
import type { NetworkHost } from "../support/network-namespaces.ts";
import type { OwnedProcess } from "../support/owned-process.ts";
import { type OtpRelease, requireOtp } from "../support/peers.ts";
import { Checker, sumOf, type Wrong } from "./checker.ts";

/** Seconds without a sign of life after which a node or the bridge counts as lost, everywhere. */
export const TICK_SECONDS = 4;

/**
 * TCP_USER_TIMEOUT, as packages/bridge/docs/operations.md advises: a BEAM whose socket to a hidden node is full waits
 * until the socket has taken a tick before it looks whether the node is alive.
 */
const USER_TIMEOUT = `[{raw,6,18,<<${TICK_SECONDS * 1_500}:32/native>>}]`;

/** A host with an epmd and a BEAM node `<id>@<address>` that runs `isthmus_checker`. */
export class Member {
  readonly id: string;
  readonly cluster: "a" | "b";
  readonly host: NetworkHost;
  readonly node: string;
  readonly checker: Checker;
  readonly #otp: OtpRelease;
  readonly #folder: string;
  /** What an earlier life of the node had counted when it was killed, and nobody has asked for yet. */
  #past: Wrong = sumOf([]);
  #peers: readonly string[] = [];
  #load = "";
  #beam: OwnedProcess | undefined;
  #paused = false;

  /** @param id "a1": also the end of the name under which the other cluster knows the checker */
  constructor(id: string, host: NetworkHost, otp: OtpRelease, folder: string) {
    this.id = id;
    this.cluster = id.startsWith("a") ? "a" : "b";
    this.host = host;
    this.node = `${id}@${host.address}`;
    this.#otp = otp;
    this.#folder = folder;
    this.checker = new Checker(join(folder, `${id}.socket`));
  }

  get cookie(): string {
    return `cookie_of_${this.cluster}`;
  }

  /** The checker as the other cluster knows it. */
  get name(): string {
    return `checker_${this.id}`;
  }

  /** Whether it runs and is not paused. */
  get answers(): boolean {
    return this.#beam?.running === true && !this.#paused;
  }

  async startEpmd(): Promise<void> {
    await this.host.start("epmd", requireOtp(this.#otp).epmd, []);
  }

  /** Starts the node, and its load when it had one before. */
  async start(): Promise<void> {
    const { erl, ebin } = requireOtp(this.#otp);
    rmSync(this.checker.path, { force: true });
    const args = [
      "-noinput",
      ...["-name", this.node, "-setcookie", this.cookie, "-start_epmd", "false"],
      ...["-kernel", "net_ticktime", String(TICK_SECONDS), "net_setuptime", "3"],
      ...["-kernel", "inet_dist_connect_options", USER_TIMEOUT, "inet_dist_listen_options", USER_TIMEOUT],
      ...["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"],
      ...["-pa", ebin, "-s", "isthmus_checker"],
    ];
    const env = { HOME: this.#folder, ISTHMUS_CHECKER: this.checker.path, ERL_CRASH_DUMP_SECONDS: "0" };
    const beam = await this.host.start(this.id, erl, args, env);
    this.#beam = beam;
    await until(async () => !beam.running || (await this.checker.isUp()), `${this.id} is up`);
    if (!beam.running) throw new Error(`${this.id} has ended. It printed:\n${beam.output}`);
    // OTP 26 and later then have pids that OTP 23 cannot read
    await this.checker.spawned(2 ** 15);
    if (this.#load !== "") await this.checker.start(this.#peers, this.#load);
  }

  async load(peers: readonly string[], load: string): Promise<void> {
    this.#peers = peers;
    this.#load = load;
    await this.checker.start(peers, load);
  }

  /** SIGKILL. What it had counted until then is kept. */
  async kill(): Promise<void> {
    this.#past = sumOf([this.#past, await this.checker.wrong()]);
    await this.#beam!.kill();
  }

  /** SIGSTOP: its connections stay open, and nothing is answered until `resume`. */
  async pause(): Promise<void> {
    this.#paused = true;
    await this.#beam!.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#beam!.resume();
  }

  /** What went wrong since the last time, in all its lives. */
  async wrong(): Promise<Wrong> {
    const { counters, notes } = sumOf([this.#past, await this.checker.wrong()]);
    this.#past = sumOf([]);
    return { counters, notes: notes.map((note) => `${this.id}: ${note}`) };
  }

  /** How often messages were found missing between others. */
  async gaps(): Promise<number> {
    return (await this.checker.report())["gaps"] ?? 0;
  }

  /** How often its senders were told that what they sent to may be gone. */
  async notices(): Promise<number> {
    return (await this.checker.report())["notices"] ?? 0;
  }
}
