import type { ClusterHooks, Discovery, Strategy, StrategyContext } from "@isthmus/strategies";
import type { IsthmusError, Logger } from "@isthmus/wire";

/** One attempt to connect that the test decides about. */
export interface Attempt {
  readonly node: string;
  readonly signal: AbortSignal;
  /** Connects. */
  succeed(): void;
  fail(error: unknown): void;
}

/** Hooks whose connections the test makes and breaks. */
export class FakeCluster implements ClusterHooks {
  readonly self = "bridge@127.0.0.1";
  readonly connected = new Set<string>();
  readonly disconnected: string[] = [];
  readonly attempts: Attempt[] = [];
  readonly #listeners = new Set<(node: string, reason?: IsthmusError) => void>();

  connect(node: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.attempts.push({
        node,
        signal,
        succeed: () => {
          this.connected.add(node);
          resolve();
        },
        fail: reject,
      });
    });
  }

  async disconnect(node: string): Promise<void> {
    this.disconnected.push(node);
    this.lose(node);
  }

  listNodes(): readonly string[] {
    return [...this.connected];
  }

  onNodeDown(listener: (node: string, reason?: IsthmusError) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get subscribers(): number {
    return this.#listeners.size;
  }

  lose(node: string, reason?: IsthmusError): void {
    this.connected.delete(node);
    for (const listener of this.#listeners) listener(node, reason);
  }

  /** The attempt that was made last. */
  get last(): Attempt {
    const attempt = this.attempts.at(-1);
    if (attempt === undefined) throw new Error("Nothing was dialled.");
    return attempt;
  }
}

/** A strategy that reports what the test says. */
export class FakeStrategy implements Strategy {
  readonly calls: string[] = [];
  context: StrategyContext | undefined;
  readonly #nodes: readonly string[] | undefined;

  constructor(nodes?: readonly string[]) {
    this.#nodes = nodes;
  }

  start(context: StrategyContext): void {
    this.calls.push("start");
    this.context = context;
    if (this.#nodes !== undefined) context.report({ ok: true, nodes: this.#nodes });
  }

  refresh(): void {
    this.calls.push("refresh");
  }

  drain(): void {
    this.calls.push("drain");
  }

  async stop(): Promise<void> {
    this.calls.push("stop");
  }

  report(discovery: Discovery): void {
    this.context!.report(discovery);
  }
}

/** One line of a {@link recordingLogger}. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A logger that keeps what it is told. */
export function recordingLogger(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    lines.push({ level, message, fields });
  };
  return { lines, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Lets everything that is only waiting for promises go on. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
