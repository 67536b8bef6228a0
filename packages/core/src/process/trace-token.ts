import { type Pid, type Term, Tuple, tuple } from "@isthmus/etf";

/**
 * The seq_trace token of a process, `{Flags, Label, Serial, From, LastSerial}`: it comes with a message, goes with
 * whatever the process sends after that, and is lost with the next message that has none (kernel `seq_trace`; PROTOCOL
 * 5.3). So a BEAM can follow a chain of messages through this node.
 */
export class TraceToken {
  #token: Tuple | undefined;
  #clock = 0;
  #last = 0;

  get term(): Tuple | undefined {
    return this.#token;
  }

  /** A message with this token was received, or the program begins a trace; undefined for none. */
  received(token: Term | undefined): void {
    if (token === undefined || !(token instanceof Tuple) || token.size !== 5) {
      this.#token = undefined;
      return;
    }
    this.#token = token;
    const serial = Number(token.elements[2]);
    this.#last = serial;
    if (serial > this.#clock) this.#clock = serial;
  }

  /** The token for a signal that `from` sends now; undefined when it has none. */
  next(from: Pid): Tuple | undefined {
    if (this.#token === undefined) return undefined;
    const [flags, label] = this.#token.elements as [Term, Term];
    this.#clock++;
    this.#token = tuple(flags, label, this.#clock, from, this.#last);
    return this.#token;
  }
}
