import type { BodySource, SignalWriter, TokenSource } from "@isthmus/core/channel";
import { Atom, Pid, type Reference, type TermWriter } from "@isthmus/etf";

/** Whose message it is and whom it is for, as the cluster knows them to which it goes. */
export interface Addressed {
  readonly sender: Pid;
  readonly to: Pid | Reference | Atom;
}

/** The beginning of a long message. */
export interface Beginning extends Addressed {
  /** Appends the first of the pieces in which its term comes. */
  readonly body: BodySource;
  readonly token: TokenSource;
  /** In how many pieces it comes, 2 or more. */
  readonly pieces: number;
  /** How long it is, about. */
  readonly bytes: number;
}

/** The way of one long message to its node, on which it can be given up without anything else being lost. */
export interface Carrier {
  /** Whether the connection is gone. */
  readonly lost: boolean;
  /** Whether it takes nothing more at present; {@link CarrierEvents.writable} says when it does. */
  readonly blocked: boolean;
  /** Sends the first piece. @throws what its body throws, and nothing is sent then */
  begin(beginning: Beginning): void;
  /** Sends the next piece, which is what `out` has, and empties that. */
  piece(out: TermWriter): void;
  /** The last piece has been sent: {@link CarrierEvents.closed} tells when what is sent now cannot overtake it. */
  end(): void;
  /** Gives it up, unless all of it has been sent. May be called again, and must be called. */
  close(): void;
}

/** Who is told what happens on a {@link Carrier}. */
export interface CarrierEvents {
  /** After {@link Carrier.blocked} was true. */
  writable(): void;
  /** It is gone. Called once, not after {@link Carrier.close}. */
  closed(): void;
}

/** Sends a message. */
export function sendMessage(
  signals: SignalWriter,
  { sender, to }: Addressed,
  body: BodySource,
  token: TokenSource,
): void {
  if (to instanceof Pid) signals.send(sender, to, body, token);
  else if (to instanceof Atom) signals.sendName(sender, to, body, token);
  else signals.sendAlias(sender, to, body, token);
}
