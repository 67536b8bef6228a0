import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { SiteCertificate } from "./certificates.ts";

/** An HTTP proxy on loopback that knows CONNECT only. */
export interface ConnectProxy {
  readonly port: number;
  /** Targets that were asked for, as `host:port`. */
  readonly targets: readonly string[];
  close(): Promise<void>;
}

/** Starts a proxy; with `credentials` it asks for them: "user:password". */
export async function startConnectProxy(
  options: { readonly credentials?: string; readonly tls?: SiteCertificate } = {},
): Promise<ConnectProxy> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const server = options.tls === undefined ? createServer() : createTlsServer(options.tls);
  const expected = options.credentials && `Basic ${Buffer.from(options.credentials).toString("base64")}`;
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("connect", (request: IncomingMessage, near: Socket) => {
    const target = request.url ?? "";
    near.on("error", () => near.destroy());
    if (expected !== undefined && request.headers["proxy-authorization"] !== expected) {
      near.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
      return;
    }
    targets.push(target);
    const [host, port] = target.split(":");
    const far = connect(Number(port), host, () => {
      near.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      near.pipe(far).pipe(near);
    });
    sockets.add(far);
    far.on("error", () => near.destroy());
    far.once("close", () => {
      sockets.delete(far);
      near.destroy();
    });
    near.once("close", () => far.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    targets,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
