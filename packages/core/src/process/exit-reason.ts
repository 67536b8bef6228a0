import { encode, inspectTerm, type Term, type TermWriter, tuple } from "@isthmus/etf";
import { type IsthmusError, isIsthmusError } from "@isthmus/wire";
import type { BodySource } from "../channel/frame-writer.ts";
import { coreError } from "../errors.ts";
import { JS_ERROR, NOCATCH } from "./atoms.ts";

/** The reason of one exit, for any number of signals: encoded once, when the first remote process is to learn it. */
export class ExitReason implements BodySource {
  readonly term: Term;
  #bytes: Buffer | undefined;

  constructor(term: Term) {
    this.term = term;
  }

  writeTo(out: TermWriter): void {
    this.#bytes ??= this.#encode();
    out.copy(this.#bytes, 1, this.#bytes.length);
  }

  /** A process must be able to end, whatever its reason is: what cannot be encoded is replaced by a text. */
  #encode(): Buffer {
    try {
      return encode(this.term);
    } catch (error) {
      return encode(jsError(error));
    }
  }
}

/** How a function can end without a value, in Erlang's terms. */
export type RaiseClass = "throw" | "error" | "exit";

/**
 * Ends the present function as Erlang's `throw/1`, `error/1` or `exit/1` would: for functions given to
 * `ProcessTable.expose`, and for handlers of processes and servers, whose process then ends with that reason.
 * @throws IsthmusError `RAISED`, always
 */
export function raise(raiseClass: RaiseClass, reason: Term): never {
  throw coreError("RAISED", `${raiseClass}: ${describe(reason)}`, { context: { class: raiseClass, reason } });
}

/** Class and reason of anything thrown: of {@link raise} as given; else an error `{js_error, Message}`. */
export function raisedBy(error: unknown): { readonly class: RaiseClass; readonly reason: Term } {
  if (isIsthmusError(error) && error.code === "RAISED") {
    const { class: raiseClass, reason } = (error as IsthmusError).context;
    return { class: raiseClass as RaiseClass, reason: reason as Term };
  }
  return { class: "error", reason: jsError(error) };
}

/** The exit reason of a process whose code threw `error`, as a BEAM makes it of throw, error and exit. */
export function crashReason(error: unknown): Term {
  const raised = raisedBy(error);
  switch (raised.class) {
    case "exit":
      return raised.reason;
    case "throw":
      return tuple(tuple(NOCATCH, raised.reason), []);
    case "error":
      return isIsthmusError(error) && error.code === "RAISED" ? tuple(raised.reason, []) : raised.reason;
  }
}

/** `{js_error, Message}`, the message a UTF-8 binary of at most 1000 characters. */
function jsError(error: unknown): Term {
  const message = error instanceof Error ? error.message : String(error);
  return tuple(JS_ERROR, message.slice(0, 1000).toWellFormed());
}

/** A term for a sentence: Erlang syntax, cut when long. */
export function describe(term: Term): string {
  let text: string;
  try {
    text = inspectTerm(term);
  } catch {
    return "a term";
  }
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
