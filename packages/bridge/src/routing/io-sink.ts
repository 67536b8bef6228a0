import type { HiddenNode, Process } from "@isthmus/core";
import { Atom, atom, Pid, type Term, Tuple, tuple } from "@isthmus/etf";

const IO_REQUEST = atom("io_request");
const IO_REPLY = atom("io_reply");
const OK = atom("ok");
const EOF = atom("eof");
const ENOTSUP = tuple(atom("error"), atom("enotsup"));

/**
 * The group leader of functions that were called from another cluster: what they print is taken and dropped, and what
 * they want to read is at its end. Their caller's own group leader would be asked from the other cluster to apply
 * functions, which the io protocol allows.
 */
export function startIoSink(node: HiddenNode): Process {
  return node.spawn({
    onMessage: (message, self) => {
      if (!(message instanceof Tuple) || message.size !== 4) return;
      const [kind, from, as, request] = message.elements as readonly [Term, Term, Term, Term];
      if (kind === IO_REQUEST && from instanceof Pid) self.send(from, tuple(IO_REPLY, as, answer(request)));
    },
  });
}

function answer(request: Term): Term {
  if (!(request instanceof Tuple)) return ENOTSUP;
  const [kind, second] = request.elements;
  if (!(kind instanceof Atom)) return ENOTSUP;
  if (kind.text === "put_chars") return OK;
  if (kind.text === "requests" && Array.isArray(second)) {
    // as in a sequence: the last answer, or the first that is an error
    let last: Term = OK;
    for (const one of second as readonly Term[]) {
      last = answer(one);
      if (last === ENOTSUP) break;
    }
    return last;
  }
  return kind.text.startsWith("get_") && kind.text !== "get_geometry" ? EOF : ENOTSUP;
}
