import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { until } from "../e2e/two-clusters.ts";
import type { NetworkHost } from "../support/network-namespaces.ts";

/** Where a service really listens. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

// Runs on a host of the network. What comes to one of its addresses, TCP or UDP, goes through a Unix socket, which has a
// path and so knows no networks: tcp to <folder>/<address>, each datagram to <folder>/<address>.udp and back.
const PROGRAM = `
const { connect, createServer } = require("node:net");
const { createSocket } = require("node:dgram");
const [folder, ...addresses] = process.argv.slice(1);
const ready = addresses.map((address) => new Promise((resolve, reject) => {
  const [host, port] = address.split(":");
  createServer((inside) => {
    const outside = connect(folder + "/" + address);
    for (const socket of [inside, outside]) {
      socket.on("error", () => {}).on("close", () => (inside.destroy(), outside.destroy()));
    }
    inside.pipe(outside).pipe(inside);
  }).on("error", reject).listen(+port, host, () => {
    const udp = createSocket("udp4", (datagram, from) => {
      const outside = connect(folder + "/" + address + ".udp").on("error", () => {});
      outside.end(datagram).on("data", (answer) => udp.send(answer, from.port, from.address));
    });
    udp.on("error", reject).bind(+port, host, resolve);
  });
}));
Promise.all(ready).then(() => console.log("ready"));
`;

/** Brings services of this machine's loopback to addresses of a network of namespaces. */
export class Relay {
  readonly #places = new Map<string, Place>();
  readonly #servers: Server[] = [];
  readonly #open = new Set<Socket>();

  /**
   * Starts it on `host`, for these addresses of the host, `address:port`.
   * @param folder empty; its path must be short
   */
  static async start(host: NetworkHost, folder: string, addresses: readonly string[]): Promise<Relay> {
    const relay = new Relay();
    for (const address of addresses) {
      await relay.#listen(join(folder, address), (inside) => relay.#tcp(inside, address));
      await relay.#listen(join(folder, `${address}.udp`), (inside) => relay.#udp(inside, address));
    }
    const program = await host.start("relay", process.execPath, ["-e", PROGRAM, folder, ...addresses]);
    await until(() => {
      if (!program.running) throw new Error(`The relay has ended: ${program.output}`);
      return program.output.includes("ready");
    }, "the relay is up");
    return relay;
  }

  private constructor() {}

  /** From now on what comes to `address` goes to `place`; until then it goes nowhere. */
  lead(address: string, place: Place): void {
    this.#places.set(address, place);
  }

  #tcp(inside: Socket, address: string): void {
    const place = this.#places.get(address);
    if (place === undefined) return void inside.destroy();
    const outside = this.#keep(connect({ ...place }));
    inside.once("close", () => outside.destroy());
    outside.once("close", () => inside.destroy());
    inside.pipe(outside).pipe(inside);
  }

  /** A datagram, which has at most one answer. */
  #udp(inside: Socket, address: string): void {
    const place = this.#places.get(address);
    if (place === undefined) return void inside.destroy();
    const outside = createSocket("udp4").on("error", () => inside.destroy());
    inside.once("data", (datagram) => outside.send(datagram, place.port, place.host));
    outside.once("message", (answer) => inside.end(answer));
    inside.once("close", () => outside.close());
    inside.setTimeout(5000, () => inside.destroy());
  }

  async #listen(path: string, accept: (inside: Socket) => void): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (inside) => accept(this.#keep(inside)));
    this.#servers.push(server.listen(path));
    await once(server, "listening");
  }

  #keep(socket: Socket): Socket {
    this.#open.add(socket);
    return socket.on("error", () => socket.destroy()).once("close", () => this.#open.delete(socket));
  }

  /** Ends everything on this side; the program ends with its host. */
  async stop(): Promise<void> {
    const closed = this.#servers.map((server) => once(server.close(), "close"));
    for (const socket of this.#open) socket.destroy();
    await Promise.all(closed);
  }
}
