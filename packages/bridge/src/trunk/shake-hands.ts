import { type Clock, type IsthmusError, isIsthmusError } from "@isthmus/wire";
import { malformed } from "./codec.ts";
import { trunkError } from "./errors.ts";
import { goodbye } from "./farewell.ts";
import type { Established, Handshake } from "./handshake.ts";

import type { Wire } from "./wire.ts";

/** How a handshake over a wire ends; one of both is called, once. */
export interface HandshakeEnd {
  /** The wire is to be taken over before this returns. */
  established(established: Established): void;
  /** The wire is closed. */
  failed(reason: IsthmusError): void;
}

/**
 * Runs a handshake over a wire.
 * @param timeoutMs how long it may take
 * @returns ends it at once; then neither of `end` is called
 */
export function shakeHands(
  wire: Wire,
  handshake: Handshake,
  clock: Clock,
  timeoutMs: number,
  end: HandshakeEnd,
): () => void {
  let over = false;
  const stop = (): void => {
    over = true;
    timer.cancel();
    wire.events = undefined;
  };
  const fail = (reason: IsthmusError, tell: boolean): void => {
    if (over) return;
    stop();
    if (tell) wire.send(goodbye(reason));
    wire.close();
    end.failed(reason);
  };
  const timer = clock.after(timeoutMs, () =>
    fail(
      trunkError("TRUNK_UNREACHABLE", `The handshake was not over after ${timeoutMs} ms.`, {
        context: { timeoutMs },
      }),
      true,
    ),
  );
  wire.events = {
    message(message) {
      try {
        const answer = handshake.receive(message);
        if (answer !== undefined) wire.send(answer);
      } catch (error) {
        fail(isIsthmusError(error) ? error : malformed("see the cause", error), true);
        return;
      }
      if (handshake.established === undefined || over) return;
      stop();
      end.established(handshake.established);
    },
    drained: () => undefined,
    // nothing is asked for before the handshake is over
    allowed: () => undefined,
    denied: () => undefined,
    closed: (reason) => fail(reason, false),
  };
  if (handshake.first !== undefined) wire.send(handshake.first);
  return () => {
    if (over) return;
    stop();
    // the dialing side may think that the handshake is over
    wire.send(goodbye(trunkError("TRUNK_CLOSED", "The trunk was closed.")));
    wire.close();
  };
}
