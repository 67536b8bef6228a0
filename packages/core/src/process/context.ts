import type { Atom } from "@isthmus/etf";
import type { Clock, Logger } from "@isthmus/wire";
import type { Connection } from "../net/connection.ts";

/** What processes need of the node they live on. */
export interface ProcessContext {
  /** Our node name. */
  readonly self: Atom;
  /** Our incarnation; in every pid, port and reference that we make. */
  readonly creation: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The open connection to `node`, if there is one. */
  connection(node: Atom): Connection | undefined;
  /**
   * Calls `run` with the connection to `node`: at once when it is open, otherwise when it has been made (an attempt
   * begins by itself), or with undefined when it could not be. Calls for one node run in the order they were made.
   */
  whenConnected(node: Atom, run: (connection: Connection | undefined) => void): void;
}
