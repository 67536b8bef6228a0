import { type HiddenNode, type NodeOptions, startNode } from "@isthmus/core";
import { lookupPort, type Registration, register, staticResolver } from "@isthmus/epmd-client";
import { type Atom, atom } from "@isthmus/etf";
import type { Beam } from "../support/beam.ts";
import type { Epmd } from "../support/epmd.ts";
import type { Certificates } from "./certificates.ts";
import { type Conversation, type Recorder, startRecorder } from "./recorder.ts";

/** Who makes the connections of a cell; the other end has no way to. */
export type Dialer = "we" | "they";

/** Options of {@link Cell}. */
export interface CellOptions {
  readonly beam: Beam;
  readonly epmd: Epmd;
  readonly dialer: Dialer;
  /** Name of our node, before the `@`. */
  readonly name: string;
  /** TLS when given, otherwise TCP with a recorder in between. */
  readonly certificates?: Certificates | undefined;
  readonly flags?: bigint | undefined;
}

/** One cell of the matrix: a node of ours and a real BEAM, connected from one side. */
export class Cell {
  readonly beam: Beam;
  readonly dialer: Dialer;
  /** Our node name. */
  readonly us: string;
  /** Our node name in Erlang. */
  readonly js: string;
  /** The BEAM's name. */
  readonly them: string;
  /** What came to our io sink. */
  readonly printed: string[] = [];
  readonly #options: CellOptions;
  #node: HiddenNode | undefined;
  #recorder: Recorder | undefined;
  #registration: Registration | undefined;
  #recorded: Conversation[] = [];

  constructor(options: CellOptions) {
    this.#options = options;
    this.beam = options.beam;
    this.dialer = options.dialer;
    this.them = options.beam.node;
    this.us = `${options.name}@127.0.0.1`;
    this.js = `'${this.us}'`;
  }

  get node(): HiddenNode {
    if (this.#node === undefined) throw new Error("The cell is not started.");
    return this.#node;
  }

  /** The BEAM's name, as a term. */
  get theirs(): Atom {
    return atom(this.them);
  }

  /** Evaluates on the BEAM. `JS` stands for our node's name. */
  erl(code: string): Promise<string> {
    return this.beam.eval(code.replace(/\bJS\b/g, this.js));
  }

  async start(): Promise<void> {
    const { epmd, dialer, certificates, flags } = this.#options;
    const shared = {
      name: this.us,
      cookie: "biscuit",
      tickTimeSeconds: 4,
      setupTimeoutMs: 60_000,
      processes: { io: { write: (text: string) => void this.printed.push(text) } },
      ...(flags === undefined ? {} : { flags }),
      ...(certificates === undefined ? {} : { tls: certificates.tls }),
    };
    const address = { host: "127.0.0.1", port: epmd.port };
    if (dialer === "we") {
      const options: NodeOptions = { ...shared, listen: false, epmd: address };
      if (certificates === undefined) {
        const { port } = (await lookupPort(this.beam.node.split("@")[0]!, address))!;
        this.#recorder = await startRecorder(() => port);
        const resolver = staticResolver({ [this.them]: { port: this.#recorder.port } });
        this.#node = await startNode({ ...options, resolver });
      } else this.#node = await startNode(options);
      return;
    }
    const listen = { host: "127.0.0.1" };
    // we know of nobody, so that no connection can be ours
    const resolver = staticResolver({});
    if (certificates === undefined) {
      this.#recorder = await startRecorder(() => this.node.port!);
      this.#registration = await register({
        name: this.us.split("@")[0]!,
        port: this.#recorder.port,
        epmd: address,
      });
      const { creation } = this.#registration;
      this.#node = await startNode({ ...shared, listen, resolver, epmd: false, creation });
    } else this.#node = await startNode({ ...shared, listen, resolver, epmd: address });
  }

  /** Makes the connection from the side that makes them. */
  async connect(): Promise<void> {
    if (this.dialer === "we") await this.node.connect(this.them);
    else if ((await this.erl("net_kernel:connect_node(JS)")) !== "true")
      throw new Error("They cannot connect.");
    // their side is up a little before ours has taken it
    await until(() => this.node.nodes().length === 1);
  }

  /** Ends our node and starts it again, as another incarnation. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    await this.#node?.close();
    await this.#registration?.close();
    // their end has seen it before anything new comes, and its name is free
    if (this.beam.running)
      await until(async () => (await this.erl("lists:member(JS, nodes(connected))")) === "false");
    this.#recorded = this.conversations();
    await this.#recorder?.stop();
    this.#recorder = undefined;
  }

  /** All connections of this cell, the present one included; none with TLS. */
  conversations(): Conversation[] {
    return [...this.#recorded, ...(this.#recorder?.conversations() ?? [])];
  }
}

/** Waits for something to become true; fails when it does not within thirty seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`It did not come to that within 30 seconds: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
