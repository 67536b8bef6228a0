import type { Logger } from "@isthmus/wire";
import { pino, stdSerializers, stdTimeFunctions } from "pino";

/** Options of {@link createLogger}. */
export interface LogOptions {
  readonly level: "debug" | "info" | "warn" | "error" | "silent";
  /** `auto`: readable on a terminal, JSON lines otherwise. */
  readonly format: "auto" | "json" | "pretty";
  /** @default standard output */
  readonly stream?: { write(line: string): unknown; readonly isTTY?: boolean };
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Values under these keys never appear, wherever in a line they stand. */
const SECRET_KEYS = ["cookie", "cookies", "secret", "token", "password", "passphrase", "key"];
const LEVELS: Readonly<Record<number, readonly [name: string, colour: number]>> = {
  20: ["debug", 36],
  30: ["info", 32],
  40: ["warn", 33],
  50: ["error", 31],
};
const HANDLED = new Set(["level", "time", "msg", "err"]);

/** The logger of the command: one JSON object a line, or one readable line. */
export function createLogger(options: LogOptions): Logger {
  const stream = options.stream ?? process.stdout;
  const env = options.env ?? process.env;
  const pretty = options.format === "pretty" || (options.format === "auto" && stream.isTTY === true);
  const colour = stream.isTTY === true && !env["NO_COLOR"];
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      serializers: { err: stdSerializers.err },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: "[hidden]" },
    },
    pretty ? { write: (line: string) => stream.write(readable(line, colour)) } : stream,
  );
}

/** `12:00:00.000 warn  node disconnected  cluster=shop node=shop1@host` */
export function readable(line: string, colour: boolean): string {
  const entry = JSON.parse(line) as Record<string, unknown> & { level: number; time: string; msg?: string };
  const [name, code] = LEVELS[entry.level] ?? [String(entry.level), 0];
  const paint = (text: string, with_: number): string => (colour ? `\u001b[${with_}m${text}\u001b[0m` : text);
  const fields = Object.entries(entry)
    .filter(([key]) => !HANDLED.has(key))
    .map(([key, value]) => `${paint(`${key}=`, 2)}${shown(value)}`);
  const error = entry["err"] as { stack?: string } | undefined;
  const head = `${paint(entry.time.slice(11, 23), 2)} ${paint(name.padEnd(5), code)} ${entry.msg ?? ""}`;
  return `${[head, ...fields].join(fields.length > 0 ? " " : "")}${error?.stack === undefined ? "" : `\n${error.stack}`}\n`;
}

function shown(value: unknown): string {
  if (typeof value === "string") return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value);
}
