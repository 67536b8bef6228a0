import type { BackoffOptions } from "@isthmus/wire";
import type { CredentialOptions } from "../trunk/credentials.ts";
import type { OpenWire } from "../trunk/dial.ts";
import type { TrunkLimits } from "../trunk/limits.ts";
import type { NatsListenerOptions } from "../trunk/nats-listener.ts";
import type { WebSocketListenerOptions } from "../trunk/ws-server.ts";

/** Our site, and how it is joined with others. */
export interface TrunkOptions {
  /** Our site's name. */
  readonly site: string;
  /** Where other sites may connect to us by WebSocket. @default nowhere */
  readonly listen?: Omit<WebSocketListenerOptions, "acceptor">;
  /** Where other sites may connect to us over NATS. @default nowhere */
  readonly nats?: Omit<NatsListenerOptions, "acceptor">;
  /** The other sites, by name. */
  readonly sites: Readonly<Record<string, SiteOptions>>;
}

/** Another site. */
export interface SiteOptions extends CredentialOptions {
  /** The ways there, tried in turn; none for a site that connects to us. */
  readonly open?: readonly OpenWire[];
  /** Deflate, if the far site does too. @default false */
  readonly deflate?: boolean;
  /** Delays between attempts to connect. @default 200 ms to 10 s */
  readonly backoff?: BackoffOptions;
  readonly limits?: Partial<TrunkLimits>;
}
