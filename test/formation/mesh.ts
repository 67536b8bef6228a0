import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "../e2e/two-clusters.ts";
import type { NetworkHost } from "../support/network-namespaces.ts";
import type { OwnedProcess } from "../support/owned-process.ts";
import { type OtpRelease, requireOtp } from "../support/peers.ts";

export const command = fileURLToPath(new URL("../../packages/bridge/bin/isthmus.js", import.meta.url));

const COOKIE = "mesh_biscuit";

// Prints what the node is connected to whenever that changes, and how many processes run for others by erpc: nobody has
// to connect to a node to see that.
const OBSERVER = `spawn(fun() -> (fun Loop(Last) ->
  Servants = [P || P <- processes(), process_info(P, initial_call) =:= {initial_call, {erpc, execute_call, 4}}],
  Now = {lists:sort(nodes()), lists:sort(nodes(hidden)), length(Servants)},
  Now =:= Last orelse io:format("seen ~0p ~0p ~b~n", tuple_to_list(Now)),
  timer:sleep(20), Loop(Now) end)(none) end).`;

/** A host with an epmd, a BEAM node `app@<address>` and an `isthmus form`; each is started and ended by itself. */
export class Member {
  readonly node: string;
  readonly host: NetworkHost;
  readonly #otp: OtpRelease;
  readonly #folder: string;
  #beam: OwnedProcess | undefined;
  #form: OwnedProcess | undefined;

  readonly #tickTime: number;

  /** @param tickTime `net_ticktime` in seconds */
  constructor(host: NetworkHost, otp: OtpRelease, folder: string, tickTime: number) {
    this.#tickTime = tickTime;
    this.host = host;
    this.node = `app@${host.address}`;
    this.#otp = otp;
    this.#folder = join(folder, host.name);
    mkdirSync(this.#folder, { recursive: true });
  }

  async startEpmd(): Promise<void> {
    await this.host.start("epmd", requireOtp(this.#otp).epmd, []);
  }

  async startBeam(): Promise<void> {
    const args = [
      "-noinput",
      ...["-name", this.node, "-setcookie", COOKIE, "-start_epmd", "false"],
      ...["-kernel", "net_ticktime", String(this.#tickTime), "net_setuptime", "2"],
      ...["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"],
      ...["-eval", OBSERVER],
    ];
    this.#beam = await this.host.start(this.node, requireOtp(this.#otp).erl, args, { HOME: this.#folder });
    await until(() => this.#seen() !== undefined, `${this.node} is up`);
  }

  async startForm(topologies: string, ...args: string[]): Promise<OwnedProcess> {
    const file = join(this.#folder, "isthmus.yaml");
    const node = `node: { name: "${this.node}", cookie: ${COOKIE}, tick_time: ${this.#tickTime} }`;
    writeFileSync(file, `${node}\n${topologies}`);
    const all = [command, "form", file, ...args];
    this.#form = await this.host.start(`form for ${this.node}`, process.execPath, all);
    return this.#form;
  }

  /** SIGKILL for the BEAM. */
  async killBeam(): Promise<void> {
    await this.#beam!.kill();
  }

  /** SIGSTOP: its connections stay open, and nothing is answered. */
  async pauseBeam(): Promise<void> {
    await this.#beam!.pause();
  }

  /** SIGTERM, upon which a BEAM stops in order. */
  async stopBeam(): Promise<void> {
    await this.#beam!.stop();
  }

  get form(): OwnedProcess {
    return this.#form!;
  }

  get beam(): OwnedProcess {
    return this.#beam!;
  }

  /** `nodes()`, sorted. */
  get nodes(): string[] {
    return this.#names(1);
  }

  /** `nodes(hidden)`, sorted. */
  get hidden(): string[] {
    return this.#names(2);
  }

  /** Processes that run there for others. */
  get servants(): number {
    return Number(this.#seen()?.[3] ?? Number.NaN);
  }

  /** What `nodes()` was, every time that something changed since it was started. */
  get views(): string[][] {
    return (this.beam.output.match(/^seen .*$/gm) ?? []).map((line) =>
      names(/\[.*?\]/.exec(line)?.[0] ?? ""),
    );
  }

  #names(index: number): string[] {
    return names(this.#seen()?.[index] ?? "");
  }

  #seen(): RegExpExecArray | undefined {
    const output = this.#beam?.output ?? "";
    const last = output
      .slice(0, output.lastIndexOf("\n"))
      .split("\n")
      .findLast((line) => line.startsWith("seen "));
    return /^seen (\[.*?\]) (\[.*?\]) (\d+)$/.exec(last ?? "") ?? undefined;
  }
}

function names(list: string): string[] {
  return [...list.matchAll(/'([^']+)'/g)].map(([, name]) => name!);
}

/** Whether every member is connected to all others of its group and to nobody else. */
export function isMesh(...groups: readonly (readonly Member[])[]): boolean {
  return groups.every((group) =>
    group.every((member) => {
      const others = group.filter((other) => other !== member).map(({ node }) => node);
      return JSON.stringify(member.nodes) === JSON.stringify(others.sort());
    }),
  );
}

/** Waits until a mesh has been there for a while: after a partition `global` of OTP 25 and later may part nodes once more. */
export async function stays(mesh: readonly Member[]): Promise<void> {
  let since = Date.now();
  await until(() => {
    if (!isMesh(mesh)) since = Date.now();
    return Date.now() - since > 3000;
  }, "the mesh stays");
}

/** Waits until `condition` holds, and prints how long that took. */
export async function timed(what: string, condition: () => boolean, timeoutMs = 40_000): Promise<void> {
  const begin = performance.now();
  await until(condition, what, timeoutMs);
  process.stdout.write(`  ${what}: ${Math.round(performance.now() - begin)} ms\n`);
}
