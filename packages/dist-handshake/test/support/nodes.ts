import {
  AcceptorHandshake,
  type AcceptorOptions,
  Cookie,
  type HandshakeStep,
  HIDDEN_FULL,
  InitiatorHandshake,
  type InitiatorOptions,
  type LocalSide,
} from "@isthmus/dist-handshake";

/** A node as a {@link LocalSide}. */
export function node(name: string, change: Partial<LocalSide> = {}): LocalSide {
  return { name, creation: 77, flags: HIDDEN_FULL, cookies: [Cookie.of("monster")], ...change };
}

export function initiator(change: Partial<InitiatorOptions> = {}): InitiatorHandshake {
  return new InitiatorHandshake({ local: node("a@h"), peer: "b@h", random: () => 1, ...change });
}

export function acceptor(change: Partial<AcceptorOptions> = {}): AcceptorHandshake {
  return new AcceptorHandshake({ local: node("b@h"), random: () => 2, decide: () => "ok", ...change });
}

/** How a pair ended. */
export interface PairResult {
  /** The last step of each side that had an outcome or an error. */
  readonly initiator: HandshakeStep | undefined;
  readonly acceptor: HandshakeStep | undefined;
  /** State kinds, in the order in which they were entered. */
  readonly initiatorStates: readonly string[];
  readonly acceptorStates: readonly string[];
  /** Everything written, for one to look at. */
  readonly sent: readonly { readonly from: "initiator" | "acceptor"; readonly bytes: Buffer }[];
}

/** Joins two machines in memory; the end of one side closes the other. */
export function pair(i: InitiatorHandshake, a: AcceptorHandshake): PairResult {
  const sent: { from: "initiator" | "acceptor"; bytes: Buffer }[] = [];
  const states = { initiator: [i.state.kind as string], acceptor: [a.state.kind as string] };
  const last: { initiator?: HandshakeStep; acceptor?: HandshakeStep } = {};
  const machines = { initiator: i, acceptor: a } as const;
  const queue: { to: "initiator" | "acceptor"; frame: Buffer | undefined }[] = [];

  const follow = (who: "initiator" | "acceptor", step: HandshakeStep) => {
    const other = who === "initiator" ? "acceptor" : "initiator";
    states[who].push(machines[who].state.kind);
    for (const bytes of step.write) {
      sent.push({ from: who, bytes });
      queue.push({ to: other, frame: bytes });
    }
    if (step.outcome !== undefined || step.error !== undefined) last[who] = step;
    if (step.error !== undefined) queue.push({ to: other, frame: undefined });
  };
  follow("acceptor", a.start());
  follow("initiator", i.start());
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    if (last[next.to] !== undefined) continue;
    const machine = machines[next.to];
    follow(next.to, next.frame === undefined ? machine.closed() : machine.receive(next.frame));
  }
  return {
    initiator: last.initiator,
    acceptor: last.acceptor,
    initiatorStates: states.initiator,
    acceptorStates: states.acceptor,
    sent,
  };
}
