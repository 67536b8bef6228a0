import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server, type Socket as TcpSocket } from "node:net";
import { type DecodedPacket, decode, encode, type Packet } from "dns-packet";

/** A query as the server got it. */
export interface ReceivedQuery {
  readonly packet: DecodedPacket;
  readonly name: string;
  readonly type: string;
  readonly over: "udp" | "tcp";
  /** Port that it came from. */
  readonly port: number;
}

/** What to send back, one message after the other; nothing for silence. */
export type Script = (query: ReceivedQuery) => readonly Buffer[];

/** A name server on loopback that answers as a test says, however wrong that is. */
export class NameServer {
  readonly queries: ReceivedQuery[] = [];
  script: Script;
  /** Sends the bytes of a TCP answer; a test may cut or delay them. */
  tcpWrite = (socket: TcpSocket, framed: Buffer): void => void socket.write(framed);
  readonly #udp: Socket;
  readonly #tcp: Server;
  readonly #sockets = new Set<TcpSocket>();

  static async start(script: Script): Promise<NameServer> {
    const udp = createSocket("udp4");
    // the same port for both: another one is tried when someone has it already
    for (let attempt = 0; ; attempt++) {
      const tcp = createServer().listen(0, "127.0.0.1");
      await once(tcp, "listening");
      const { port } = tcp.address() as { port: number };
      try {
        const bound = once(udp, "listening");
        udp.bind(port, "127.0.0.1");
        await bound;
        return new NameServer(script, udp, tcp);
      } catch (error) {
        tcp.close();
        if (attempt === 10) throw error;
      }
    }
  }

  private constructor(script: Script, udp: Socket, tcp: Server) {
    this.script = script;
    this.#udp = udp;
    this.#tcp = tcp;
    udp.on("message", (bytes, { port }) => {
      for (const answer of this.#answers(bytes, "udp", port)) udp.send(answer, port, "127.0.0.1");
    });
    tcp.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("data", (bytes) => {
        for (const answer of this.#answers(bytes.subarray(2), "tcp", socket.remotePort!)) {
          const prefix = Buffer.alloc(2);
          prefix.writeUInt16BE(answer.length);
          this.tcpWrite(socket, Buffer.concat([prefix, answer]));
        }
      });
    });
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: "127.0.0.1", port: this.#udp.address().port };
  }

  stop(): void {
    this.#udp.close();
    this.#tcp.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #answers(bytes: Buffer, over: "udp" | "tcp", port: number): readonly Buffer[] {
    const packet = decode(bytes);
    const { name, type } = packet.questions![0]!;
    const query = { packet, name, type, over, port };
    this.queries.push(query);
    return this.script(query);
  }
}

/** An answer to `query` with the right id and question, unless `fields` say otherwise. */
export function answerTo({ packet }: ReceivedQuery, fields: Partial<Packet> = {}): Buffer {
  return encode({ type: "response", id: packet.id!, questions: packet.questions!, ...fields });
}

/** An answer with these addresses. */
export function addressesTo(query: ReceivedQuery, addresses: readonly string[], ttl = 60): Buffer {
  const { name } = query;
  const type = query.type as "A" | "AAAA";
  return answerTo(query, { answers: addresses.map((data) => ({ type, class: "IN", name, ttl, data })) });
}
