import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../e2e/two-clusters.ts";
import type { NetworkHost } from "../support/network-namespaces.ts";
import type { OtpRelease } from "../support/peers.ts";
import { isMesh, Member } from "./mesh.ts";

const TICK_SECONDS = 4;

const REPORT = /^=((?!INFO|PROGRESS)[A-Z]+ REPORT)====.*===\n((?:(?!^(?:=[A-Z]+ REPORT====|seen )).*\n?)*)/gm;

// What OTP says when nodes are lost, which is what these tests do to them.
const LOSSES = [
  /^\*\* Node \S+ not responding \*\*\s+\*\* Removing \(timedout\) connection \*\*$/,
  /^'global' at node \S+ (requested disconnect from|disconnected) node \S+ in order to prevent overlapping partitions$/,
  /^'global' at \S+ failed to connect to \S+$/,
  // the answer of a node that has hung to global's request for a lock, made on the connection before
  /^The global_name_server locker process received an unexpected message:\s+\{\{#Ref<[\d.]+>,'[^']+'\},(true|false)\}$/,
];

/** A {@link Member} that can have any name, share its host with others, and be parted from all nodes on demand. */
export class Peer extends Member {
  override readonly node: string;
  readonly #part: string;
  /** What the BEAMs before the present one said. */
  #said = "";
  /** How much of what the present one said was looked at. */
  #read = 0;
  #started = false;

  /** @param folder of this peer alone */
  constructor(host: NetworkHost, otp: OtpRelease, folder: string, node: string) {
    super(host, otp, folder, TICK_SECONDS);
    this.node = node;
    // the home of its BEAM, which evaluates .erlang there when it starts
    const home = join(folder, host.name);
    mkdirSync(home, { recursive: true });
    this.#part = join(home, "part");
    writeFileSync(
      join(home, ".erlang"),
      `spawn(fun() -> (fun Wait() ->
  file:delete(${JSON.stringify(this.#part)}) =:= ok andalso [erlang:disconnect_node(Node) || Node <- nodes()],
  timer:sleep(20), Wait() end)() end).\n`,
    );
  }

  override async startBeam(): Promise<void> {
    if (this.#started) this.#said += `${this.beam.output.slice(this.#read)}\n`;
    this.#read = 0;
    await super.startBeam();
    this.#started = true;
  }

  get up(): boolean {
    return this.#started && this.beam.running;
  }

  /** Whether its sidecar runs. */
  get formed(): boolean {
    return this.form?.running === true;
  }

  /** `erlang:disconnect_node/1` for every node that it is connected to. */
  async part(): Promise<void> {
    writeFileSync(this.#part, "");
    await until(() => isMesh([this]), `${this.node} is alone`);
  }

  /** Errors, crashes and warnings that its BEAMs reported since this was called last, but for losses of nodes. */
  takeReports(): string[] {
    const said = this.#said + this.beam.output.slice(this.#read);
    this.#said = "";
    this.#read = this.beam.output.length;
    return [...said.matchAll(REPORT)]
      .filter(([, , text]) => !LOSSES.some((loss) => loss.test(text!.trim())))
      .map(([, what, text]) => `${this.node}: ${what}: ${text!.trim()}`);
  }
}
