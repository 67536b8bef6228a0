import type { Atom, Pid, Reference, Term, Tuple } from "@isthmus/etf";
import type { Address, ProcessAddress } from "./address.ts";
import type { ReceiveOptions } from "./mailbox.ts";

/** What a mailbox does with a message that it has no room for. */
export type MailboxOverflow =
  /** The new message is lost, counted in {@link Process.dropped}, and logged once until the mailbox has been emptied. */
  | "drop"
  /** The process exits with reason `mailbox_full`, which its links and monitors see. */
  | "exit";

/** Options of `ProcessTable.spawn`. */
export interface SpawnOptions {
  /**
   * Called for each message, in order, synchronously as it arrives: there is then no mailbox, and `receive` is not to
   * be used. This is the fast way: beyond the decoded message nothing is allocated. What it throws ends the process as
   * it would a BEAM process ({@link raise} chooses the reason; other errors become `{js_error, Message}`); so does the
   * rejection of a promise that it returns, which is otherwise not waited for.
   */
  readonly onMessage?: (message: Term, process: Process) => unknown;
  /** Called once, when the process has ended. */
  readonly onExit?: (reason: Term, process: Process) => void;
  /** Registered before this returns. */
  readonly name?: string | Atom;
  /** See {@link Process.trapExit}. @default false */
  readonly trapExit?: boolean;
  /**
   * Binaries in a message are views of the chunk in which it came: they stay right for as long as they are kept, and
   * keep the whole chunk (up to 64 KiB, or the size of the message) in memory. True copies each message first, for
   * processes that keep small parts of what they get. @default false
   */
  readonly copyBinaries?: boolean;
  /** Messages that the mailbox holds, 1 or more. @default 10000 */
  readonly mailboxLimit?: number;
  /** @default "drop" */
  readonly mailboxOverflow?: MailboxOverflow;
  readonly groupLeader?: Pid;
}

/** A monitored process has ended, does not exist (`noproc`), or its node is gone (`noconnection`). */
export interface Down {
  readonly ref: Reference;
  /** What was monitored. */
  readonly target: Pid | { readonly name: Atom; readonly node: Atom };
  readonly reason: Term;
}

/**
 * How long the alias of a monitor lives:
 * - `explicit`: until {@link Process.unalias};
 * - `demonitor`: also no longer than the monitor;
 * - `reply`: also only for one message, which removes the monitor as well.
 */
export type AliasMode = "explicit" | "demonitor" | "reply";

/** Options of {@link Process.monitor}. */
export interface MonitorOptions {
  /** Called in place of the `'DOWN'` message. */
  readonly onDown?: (down: Down) => void;
  /** Makes the monitor's reference an alias of this process as well, as `erlang:monitor/3` does. */
  readonly alias?: AliasMode;
  /** Called with messages to the alias, which then do not come as ordinary messages. */
  readonly onMessage?: (message: Term) => void;
}

/** Options of {@link Process.alias}. */
export interface AliasOptions {
  /** The alias ends with the first message to it. @default false */
  readonly once?: boolean;
  /** Called with messages to the alias, which then do not come as ordinary messages. */
  readonly onMessage?: (message: Term) => void;
}

/**
 * A process of this node, with a pid that others can send to, link to and monitor. Made by `ProcessTable.spawn`.
 *
 * It follows the rules of Erlang processes: signals from one process to another arrive in the order sent, also while
 * a connection is being made for them; nothing tells whether they arrived. Signals between local processes take the
 * same way and arrive later in the same turn; their terms are passed on as they are, so do not change them afterwards.
 *
 * Iterating over it (`for await`) receives one message after another and ends when the process does.
 *
 * Methods that act throw `PROCESS_DEAD` once it has ended.
 */
export interface Process extends AsyncIterable<Term> {
  readonly pid: Pid;
  /** False once it has ended. */
  readonly alive: boolean;
  /** Why it ended; undefined while it lives. */
  readonly exitReason: Term | undefined;
  /** Resolves with the reason when it has ended. */
  readonly exited: Promise<Term>;
  /** Whether exits of linked processes come as messages `{'EXIT', Pid, Reason}` instead of ending this one. */
  trapExit: boolean;
  /** Where `io:format` of what this process causes goes. */
  readonly groupLeader: Pid;
  /**
   * The seq_trace token `{Flags, Label, Serial, From, LastSerial}` that goes with what this process sends: that of the
   * message it received last (kernel `seq_trace:set_token/1`). Setting it begins a trace, undefined ends it.
   */
  traceToken: Tuple | undefined;
  /** Messages that wait in the mailbox. */
  readonly mailboxSize: number;
  /** Messages that were lost because the mailbox was full. */
  readonly dropped: number;

  /**
   * Sends a message. To a node that is not connected, it is kept until a connection is made, and lost if none can be.
   * Nothing slows the sender down: a peer that does not read costs memory until its connection is given up
   * (`ConnectionLimits.maxBacklogBytes`). Ask for answers now and then when sending much. A binary of 32 KiB or more is
   * not copied: do not change it afterwards, as with `write` of a Node.js socket.
   * @throws IsthmusError a code of `@isthmus/etf` when `message` cannot be encoded
   */
  send(to: Address, message: Term): void;

  /**
   * The first message in the mailbox that matches, or the next to come.
   * @throws IsthmusError `RECEIVE_TIMEOUT`, `PROCESS_DEAD`, `OPTION_INVALID` for a process with `onMessage`
   */
  receive<T extends Term = Term>(options?: ReceiveOptions<T>): Promise<T>;

  /** Links: when one ends, the other gets its reason. A dead or unknown process sends the reason `noproc` back. */
  link(to: Pid): void;
  /** Ends a link. No exit of that process arrives after this. */
  unlink(from: Pid): void;

  /**
   * Watches a process: one message `{'DOWN', Ref, process, Pid | {Name, Node}, Reason}`, or a call of `onDown`, when it
   * has ended.
   */
  monitor(target: ProcessAddress, options?: MonitorOptions): Reference;
  /** Watches no more. `flush` also removes a `'DOWN'` message that is in the mailbox already. */
  demonitor(ref: Reference, options?: { readonly flush?: boolean }): void;

  /** One message `{nodedown, Node}` for each call of this when the connection to `node` is lost or cannot be made. */
  monitorNode(node: string | Atom): void;
  /** Takes back one {@link Process.monitorNode}. */
  demonitorNode(node: string | Atom): void;

  /** A reference that others can send to, as to the pid, until it is taken back. */
  alias(options?: AliasOptions): Reference;
  /** @returns whether it was an active alias of this process */
  unalias(alias: Reference): boolean;

  /** Ends this process. Links and monitors learn `reason`; `normal` does not end linked processes. @default normal */
  exit(reason?: Term): void;
  /** `exit/2`: sends an exit signal. `kill` cannot be trapped; `normal` is ignored by those who do not trap. */
  exitOther(to: Pid, reason: Term): void;

  /** Sets the group leader of any process, this one included. */
  setGroupLeader(of: Pid, leader: Pid): void;
}
