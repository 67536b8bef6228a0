import { skipTerm } from "@isthmus/etf/raw";

/**
 * What a signal asks for, as rules name it. A message is told by its form, which is public in OTP:
 *
 * | operation | what it is |
 * |---|---|
 * | `call` | `{'$gen_call', From, Request}`, and what `gen_event:call` sends |
 * | `cast` | `{'$gen_cast', Request}` |
 * | `info` | any other message |
 * | `reply` | `{Reference, Answer}`, `{[alias\|Reference], Answer}`, `{rex, Answer}`, an `io_reply`, any plain message to an alias |
 * | `io` | `{io_request, ...}`: the receiver may be asked to apply any function |
 * | `system` | `{system, From, Request}`: `sys`, `gen_server:stop` |
 * | `spawn` | `spawn_request`, and with it `erpc`; by pid also what makes `rex`, `net_kernel`, a supervisor, an event manager or `code_server` run something |
 * | `monitor`, `link` | of a process or, `monitor`, a name |
 * | `exit` | `exit/2`, and a message `{'EXIT', Pid, Reason}`, which is taken for one |
 * | `group_leader` | `group_leader/2` |
 * | `group` | no signal: that a cluster sees who is in a process group of another |
 */
export const OPERATIONS = [
  "call",
  "cast",
  "info",
  "reply",
  "io",
  "system",
  "spawn",
  "monitor",
  "link",
  "exit",
  "group_leader",
  "group",
] as const;

/** One of {@link OPERATIONS}. */
export type Operation = (typeof OPERATIONS)[number];

/** Where each operation stands in {@link OPERATIONS}. */
export const OPERATION = {
  CALL: 0,
  CAST: 1,
  INFO: 2,
  REPLY: 3,
  IO: 4,
  SYSTEM: 5,
  SPAWN: 6,
  MONITOR: 7,
  LINK: 8,
  EXIT: 9,
  GROUP_LEADER: 10,
  GROUP: 11,
} as const;

/** How a message is addressed. `LOADER` is a pid that may be `erl_prim_loader`. */
export const ADDRESSED = { NAME: 0, PID: 1, ALIAS: 2, LOADER: 3 } as const;

// tags of the external term format (PROTOCOL section 6)
const ATOM = 100;
const SMALL_ATOM = 115;
const ATOM_UTF8 = 118;
const SMALL_ATOM_UTF8 = 119;
const SMALL_TUPLE = 104;
const LARGE_TUPLE = 105;
const COMPRESSED = 80;

const GEN_CALL = Buffer.from("$gen_call");
const GEN_CAST = Buffer.from("$gen_cast");
const SYSTEM = Buffer.from("system");
const IO_REQUEST = Buffer.from("io_request");
const IO_REPLY = Buffer.from("io_reply");
const EXIT = Buffer.from("EXIT");
const CODE_CALL = Buffer.from("code_call");
const REX = Buffer.from("rex");

/** A request by name and size of its tuple. */
type Form = readonly [Buffer, number];
const form = ([name, size]: readonly [string, number]): Form => [Buffer.from(name), size];

/** Requests to `erl_prim_loader`, which reads any file. */
const LOADING: readonly Form[] = (
  [
    ["set_path", 2],
    ["get_file", 2],
    ["get_files", 2],
    ["get_files", 3],
    ["list_dir", 2],
    ["read_file_info", 2],
    ["read_link_info", 2],
    ["set_primary_archive", 5],
  ] as const
).map(form);

/** Requests that make OTP's own servers run something. */
const RUNNING: readonly Form[] = (
  [
    ["call", 5], // rex
    ["block_call", 5],
    ["cast", 5],
    ["spawn", 5], // net_kernel
    ["spawn_link", 5],
    ["spawn_opt", 7],
    ["start_child", 2], // supervisors
    ["add_handler", 3], // event managers
    ["add_sup_handler", 4],
    ["swap_handler", 5],
    ["swap_sup_handler", 6],
  ] as const
).map(form);

/** The tuple that {@link openTuple} has found: there is one, since reading is never interrupted. */
let tupleSize = 0;

/**
 * The operation of a message, by the bytes of its body; -1 for a compressed one, which no BEAM sends and nobody looks
 * into. Makes no objects.
 * @param start of the body, without a version byte
 * @throws IsthmusError a code of the term codec when the body is malformed
 */
export function messageOperation(bytes: Buffer, start: number, end: number, addressed: number): number {
  if (bytes[start] === COMPRESSED) return -1;
  const plain = addressed === ADDRESSED.ALIAS ? OPERATION.REPLY : OPERATION.INFO;
  const first = openTuple(bytes, start, end);
  if (first < 0) return plain;
  const size = tupleSize;
  const hidden = addressed !== ADDRESSED.NAME;
  switch (bytes[first]) {
    case 90: // a reference, in its new and old forms, or [alias|Reference]
    case 114:
    case 101:
    case 108:
      return size === 2 ? OPERATION.REPLY : plain;
    case 88: // a pid: {From, Request} of rex, {From, {From, Tag}, Request} of gen_event
    case 103:
      if (size === 2)
        return hidden && runs(bytes, skipTerm(bytes, first, end), end, addressed) ? OPERATION.SPAWN : plain;
      if (size !== 3) return plain;
      if (hidden && runs(bytes, skipTerm(bytes, skipTerm(bytes, first, end), end), end, addressed))
        return OPERATION.SPAWN;
      return openTuple(bytes, skipTerm(bytes, first, end), end) >= 0 ? OPERATION.CALL : plain;
    default:
  }
  const text = atomText(bytes, first, end);
  if (text < 0) return plain;
  switch (size) {
    case 2:
      if (isAtom(bytes, first, text, REX)) return OPERATION.REPLY;
      if (!isAtom(bytes, first, text, GEN_CAST)) return plain;
      return hidden && runs(bytes, text + GEN_CAST.length, end, addressed) ? OPERATION.SPAWN : OPERATION.CAST;
    case 3:
      if (isAtom(bytes, first, text, GEN_CALL)) {
        if (!hidden) return OPERATION.CALL;
        return runs(bytes, skipTerm(bytes, text + GEN_CALL.length, end), end, addressed)
          ? OPERATION.SPAWN
          : OPERATION.CALL;
      }
      if (isAtom(bytes, first, text, SYSTEM)) return OPERATION.SYSTEM;
      if (isAtom(bytes, first, text, EXIT)) return OPERATION.EXIT;
      if (isAtom(bytes, first, text, IO_REPLY)) return OPERATION.REPLY;
      return hidden && isAtom(bytes, first, text, CODE_CALL) ? OPERATION.SPAWN : plain;
    case 4:
      return isAtom(bytes, first, text, IO_REQUEST) ? OPERATION.IO : plain;
    default:
      return plain;
  }
}

/** Whether the term at `at` is a request that OTP's own servers run something for. */
function runs(bytes: Buffer, at: number, end: number, addressed: number): boolean {
  const first = openTuple(bytes, at, end);
  if (first < 0) return false;
  const size = tupleSize;
  const text = atomText(bytes, first, end);
  if (text < 0) return false;
  if (addressed === ADDRESSED.LOADER && isOneOf(LOADING, bytes, first, text, size)) return true;
  return isOneOf(RUNNING, bytes, first, text, size);
}

function isOneOf(forms: readonly Form[], bytes: Buffer, at: number, text: number, size: number): boolean {
  for (let i = 0; i < forms.length; i++) {
    const one = forms[i]!;
    if (one[1] === size && isAtom(bytes, at, text, one[0])) return true;
  }
  return false;
}

/** Where the first element of the tuple at `at` is; -1 when there is none. Sets {@link tupleSize}. */
export function openTuple(bytes: Buffer, at: number, end: number): number {
  if (bytes[at] === SMALL_TUPLE && at + 2 < end) {
    tupleSize = bytes[at + 1]!;
    return tupleSize === 0 ? -1 : at + 2;
  }
  // nobody has to use the shortest form
  if (bytes[at] === LARGE_TUPLE && at + 5 < end) {
    tupleSize = bytes.readUInt32BE(at + 1);
    return tupleSize === 0 ? -1 : at + 5;
  }
  return -1;
}

/** Size of the tuple that {@link openTuple} has opened last. */
export function openedSize(): number {
  return tupleSize;
}

/** Where the text of the atom at `at` begins; -1 when it is none. */
export function atomText(bytes: Buffer, at: number, end: number): number {
  switch (bytes[at]) {
    case SMALL_ATOM_UTF8:
    case SMALL_ATOM:
      return at + 2 <= end ? at + 2 : -1;
    case ATOM_UTF8:
    case ATOM:
      return at + 3 <= end ? at + 3 : -1;
    default:
      return -1;
  }
}

/** Whether the atom at `at`, whose text begins at `text`, is `name`. */
export function isAtom(bytes: Buffer, at: number, text: number, name: Buffer): boolean {
  const length = text - at === 2 ? bytes[at + 1]! : (bytes[at + 1]! << 8) | bytes[at + 2]!;
  if (length !== name.length || text + length > bytes.length) return false;
  for (let i = 0; i < length; i++) if (bytes[text + i] !== name[i]) return false;
  return true;
}
