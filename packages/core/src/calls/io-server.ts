import { Atom, atom, Pid, type Term, Tuple, tuple } from "@isthmus/etf";
import { ERROR, OK } from "../process/atoms.ts";
import type { LocalProcess } from "../process/local-process.ts";
import type { SpawnOptions } from "../process/process.ts";
import type { Runtime } from "../process/runtime.ts";
import { charsText, formatText, termText } from "./io-format.ts";

const IO_REQUEST = atom("io_request");
const IO_REPLY = atom("io_reply");
const REQUEST = atom("request");
const ENOTSUP = atom("enotsup");
const EOF = atom("eof");
const LATIN1 = "latin1";

/** Where text goes that processes with this group leader print. */
export interface IoSink {
  /** Gets text as it comes, lines not separated. What it throws is reported to the printing process as an error. */
  write(text: string): void;
}

/** Options of an io server. */
export type IoServerOptions = Pick<SpawnOptions, "name">;

/**
 * A process that speaks the io protocol (PROTOCOL 8.4), to be group leader of others: what they print with `io:format`,
 * `io:put_chars`, `io:write` and the like goes to `sink`. Reading from it meets the end of file.
 */
export function serveIo(runtime: Runtime, sink: IoSink, options: IoServerOptions = {}): LocalProcess {
  const server = runtime.spawn({
    ...options,
    onMessage: (message) => {
      if (!(message instanceof Tuple) || message.size !== 4 || message.elements[0] !== IO_REQUEST) return;
      const [, from, replyAs, request] = message.elements;
      if (!(from instanceof Pid) || replyAs === undefined || request === undefined) return;
      server.send(from, tuple(IO_REPLY, replyAs, carryOut(request, sink)));
    },
  });
  return server;
}

/** Does what is asked. @returns the answer */
function carryOut(request: Term, sink: IoSink): Term {
  if (request instanceof Atom) return request.text === "getopts" ? [] : tuple(ERROR, REQUEST);
  if (!(request instanceof Tuple) || !(request.elements[0] instanceof Atom)) return tuple(ERROR, REQUEST);
  const [kind, ...parts] = request.elements as readonly [Atom, ...Term[]];
  switch (kind.text) {
    case "put_chars":
      return put(request, parts, sink);
    case "requests":
      return all(parts[0], sink);
    case "get_until":
    case "get_chars":
    case "get_line":
    case "get_password":
      return EOF;
    case "setopts":
    case "get_geometry":
      return tuple(ERROR, ENOTSUP);
    default:
      return tuple(ERROR, REQUEST);
  }
}

/** `{put_chars, Encoding, Chars}`, `{put_chars, Encoding, M, F, A}`, and the old forms without encoding. */
function put(request: Tuple, parts: readonly Term[], sink: IoSink): Term {
  try {
    const encoded = parts.length === 2 || parts.length === 4;
    const encoding = encoded && parts[0] instanceof Atom ? parts[0].text : LATIN1;
    const [first, name, args] = encoded ? parts.slice(1) : parts;
    const text =
      name === undefined ? charsText(first as Term, encoding === LATIN1) : made(first as Term, name, args);
    if (text === undefined) return tuple(ERROR, REQUEST);
    sink.write(text);
    return OK;
  } catch {
    return tuple(ERROR, request);
  }
}

function all(requests: Term | undefined, sink: IoSink): Term {
  if (!Array.isArray(requests)) return tuple(ERROR, REQUEST);
  let answer: Term = OK;
  for (const request of requests as readonly Term[]) {
    answer = carryOut(request, sink);
    if (answer instanceof Tuple && answer.elements[0] === ERROR) break;
  }
  return answer;
}

/** What `M:F(A...)` would give: of the functions of `io_lib` that the io module asks for. */
function made(module: Term, name: Term, args: Term | undefined): string | undefined {
  if (
    !(module instanceof Atom) ||
    module.text !== "io_lib" ||
    !(name instanceof Atom) ||
    !Array.isArray(args)
  )
    return undefined;
  const list = args as readonly Term[];
  switch (`${name.text}/${list.length}`) {
    case "format/2":
    case "fwrite/2":
    case "format/3":
    case "fwrite/3":
      return formatText(list[0] as Term, list[1] as Term);
    case "write/1":
    case "write/2":
      return termText(list[0] as Term, true);
    case "print/1":
      return termText(list[0] as Term);
    case "nl/0":
      return "\n";
    default:
      return undefined;
  }
}
