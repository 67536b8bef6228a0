import { HIDDEN_FULL } from "@isthmus/dist-handshake";
import { type Atom, atom, type Term, TermWriter } from "@isthmus/etf";
import { type Logger, silentLogger } from "@isthmus/wire";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { FrameReader } from "../../src/channel/frame-reader.ts";
import { SignalWriter } from "../../src/channel/signal-writer.ts";
import type { Connection } from "../../src/net/connection.ts";
import type { ProcessContext } from "../../src/process/context.ts";
import type { Process, SpawnOptions } from "../../src/process/process.ts";
import { ProcessTable, type ProcessTableOptions } from "../../src/process/table.ts";

/** One direction of a connection: frames that were written and have not arrived yet. */
interface Wire {
  readonly frames: Buffer[];
  deliver(frame: Buffer): void;
}

export interface LogLine {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A node in memory: a process table and its connections. */
export class TestNode implements ProcessContext {
  readonly self: Atom;
  readonly creation: number;
  readonly clock: FakeClock;
  readonly logger: Logger;
  readonly log: LogLine[] = [];
  readonly table: ProcessTable;
  /** Errors with which connections were closed because of what arrived here. */
  readonly violations: Error[] = [];
  readonly connections = new Map<Atom, Connection>();
  readonly #network: Network;
  readonly #waiting = new Map<Atom, ((connection: Connection | undefined) => void)[]>();

  constructor(network: Network, name: string, creation: number, options: ProcessTableOptions) {
    this.#network = network;
    this.self = atom(name);
    this.creation = creation;
    this.clock = network.clock;
    const log =
      (level: string): Logger["info"] =>
      (fields, message) =>
        void this.log.push({ level, fields, message });
    this.logger = { ...silentLogger, info: log("info"), warn: log("warn"), error: log("error") };
    this.table = new ProcessTable(this, options);
  }

  connection(node: Atom): Connection | undefined {
    return this.connections.get(node);
  }

  whenConnected(node: Atom, run: (connection: Connection | undefined) => void): void {
    const connection = this.connections.get(node);
    if (connection !== undefined) run(connection);
    else if (this.#network.refused.has(node.text)) run(undefined);
    else {
      const waiting = this.#waiting.get(node) ?? [];
      waiting.push(run);
      this.#waiting.set(node, waiting);
      if (this.#network.autoConnect) this.#network.connect(this.self.text, node.text);
    }
  }

  /** Nodes that a connection is awaited to. */
  get awaited(): string[] {
    return Array.from(this.#waiting.keys(), (node) => node.text);
  }

  settleWaiting(node: Atom, connection: Connection | undefined): void {
    const waiting = this.#waiting.get(node) ?? [];
    this.#waiting.delete(node);
    for (const run of waiting) run(connection);
  }
}

/**
 * Nodes joined by the bytes that a SignalWriter makes and a FrameReader reads; nothing arrives until
 * {@link Network.settle} or {@link Network.step} says so.
 */
export class Network {
  readonly clock = new FakeClock();
  /** Nodes that cannot be connected to. */
  readonly refused = new Set<string>();
  /** Whether a signal to a node makes the connection at once. */
  autoConnect = true;
  /** Called when a connection is open and those who wait for it have not been told. */
  onOpen: () => void = () => undefined;
  readonly flags: bigint;
  readonly #nodes = new Map<string, TestNode>();
  readonly #wires = new Map<string, Wire>();

  constructor(flags: bigint = HIDDEN_FULL) {
    this.flags = flags;
  }

  node(name: string, creation: number, options: ProcessTableOptions = {}): TestNode {
    const node = new TestNode(this, name, creation, options);
    this.#nodes.set(name, node);
    return node;
  }

  connect(left: string, right: string): void {
    const a = this.#get(left);
    const b = this.#get(right);
    this.#open(a, b);
    this.#open(b, a);
    this.onOpen();
    a.settleWaiting(b.self, a.connections.get(b.self));
    b.settleWaiting(a.self, b.connections.get(a.self));
  }

  /** The attempts to connect from `left` to `right` fail. */
  fail(left: string, right: string): void {
    this.#get(left).settleWaiting(this.#get(right).self, undefined);
  }

  /** The connection breaks; what is on its way is lost. */
  disconnect(left: string, right: string): void {
    const a = this.#get(left);
    const b = this.#get(right);
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#wires.delete(`${one.self.text} ${other.self.text}`);
      one.connections.delete(other.self);
    }
    a.table.connectionLost(b.self);
    b.table.connectionLost(a.self);
  }

  /** Directions in which something is on its way, as "from to". */
  get pending(): string[] {
    return [...this.#wires].filter(([, { frames }]) => frames.length > 0).map(([name]) => name);
  }

  /** Lets the next frame of one direction arrive. */
  step(direction: string): void {
    const wire = this.#wires.get(direction);
    const frame = wire?.frames.shift();
    if (frame !== undefined) wire?.deliver(frame);
  }

  /** Lets everything arrive, local signals included, until nothing is under way any more. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      const [direction] = this.pending;
      if (direction !== undefined) {
        quiet = 0;
        this.step(direction);
      } else {
        quiet++;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  #get(name: string): TestNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  #open(from: TestNode, to: TestNode): void {
    const out = new TermWriter();
    const reader = new FrameReader(from.self, this.flags);
    const name = `${from.self.text} ${to.self.text}`;
    const wire: Wire = {
      frames: [],
      deliver: (bytes) => {
        const connection = to.connections.get(from.self);
        if (connection === undefined) return;
        try {
          const signal = reader.read(bytes, 0, bytes.length);
          if (signal !== undefined) to.table.signal(connection, signal);
        } catch (error) {
          to.violations.push(error as Error);
          this.disconnect(from.self.text, to.self.text);
        }
      },
    };
    this.#wires.set(name, wire);
    const signals = new SignalWriter(out, this.flags, () => {
      signals.frames.flush();
      let bytes = Buffer.concat([...signals.frames.ready.splice(0), out.take()]);
      // one call may have written several fragments
      while (bytes.length > 0) {
        const end = 4 + bytes.readUInt32BE(0);
        wire.frames.push(bytes.subarray(4, end));
        bytes = bytes.subarray(end);
      }
    });
    // of a connection, processes know these fields only
    const connection: Pick<Connection, "peer" | "peerCreation" | "flags" | "signals"> = {
      peer: to.self,
      peerCreation: to.creation,
      flags: this.flags,
      signals,
    };
    from.connections.set(to.self, connection as Connection);
  }
}

export const LEFT = "left@h";
export const RIGHT = "right@h";

/** Two nodes, `left@h` with creation 11 and `right@h` with creation 22, not connected yet. */
export function twoNodes(
  flags?: bigint,
  options: ProcessTableOptions = {},
): { network: Network; left: TestNode; right: TestNode } {
  const network = new Network(flags);
  return { network, left: network.node(LEFT, 11, options), right: network.node(RIGHT, 22, options) };
}

/** A process that keeps what it gets. */
export function collector(
  node: TestNode,
  options: Omit<SpawnOptions, "onMessage"> = {},
): { readonly got: Term[]; readonly process: Process } {
  const got: Term[] = [];
  const process = node.table.spawn({ ...options, onMessage: (message) => void got.push(message) });
  return { got, process };
}
