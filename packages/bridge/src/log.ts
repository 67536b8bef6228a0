import type { Logger } from "@isthmus/wire";
import { pino, stdSerializers, stdTimeFunctions } from "pino";

/** Options of {@link createLogger}. */
export interface LogOptions {
  readonly level: "debug" | "info" | "warn" | "error" | "silent";
  /** `auto`: readable on a terminal, JSON lines otherwise. */
  readonly format: "auto" | "json" | "pretty";
  /** @default standard output */
  readonly stream?: { write(line: string): unknown; readonly isTTY?: boolean };
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** What is under such a key never appears, however deep it lies. */
const SECRET_KEY = /cookie|secret|token|passw|passphrase|private_?key/i;
const HIDDEN = "[hidden]";
/** Deeper than this nothing is looked for, and nothing is shown. */
const MAX_DEPTH = 6;

const COLOURS: Readonly<Record<string, number>> = { debug: 36, info: 32, warn: 33, error: 31 };
const DIM = 2;

/**
 * The logger of the command: one JSON object a line, with `level`, `time` (ISO 8601, UTC), `msg` and the fields; or one
 * readable line, in colour on a terminal unless `NO_COLOR` is set or `TERM` is `dumb`. Everything runs in this thread.
 */
export function createLogger(options: LogOptions): Logger {
  const stream = options.stream ?? process.stdout;
  const env = options.env ?? process.env;
  const terminal = stream.isTTY === true;
  const pretty = options.format === "pretty" || (options.format === "auto" && terminal);
  const colour = terminal && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: {
        level: (level) => ({ level }),
        log: (fields) => withoutSecrets(fields, 0) as Record<string, unknown>,
      },
    },
    pretty ? { write: (line: string) => stream.write(readable(line, colour)) } : stream,
  );
}

/** `12:00:00.000 warn  node disconnected cluster=shop node=shop1@host`, from a JSON line; local time. */
export function readable(line: string, colour: boolean): string {
  const entry = JSON.parse(line) as Record<string, unknown>;
  const { level, time, msg, err, ...fields } = entry;
  const paint = (text: string, code: number): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const parts = [
    paint(clockTime(String(time)), DIM),
    paint(String(level).padEnd(5), COLOURS[String(level)] ?? 0),
    printable(typeof msg === "string" ? msg : ""),
    ...Object.entries(fields).map(([key, value]) => `${paint(`${key}=`, DIM)}${shown(value)}`),
  ];
  const stack = typeof err === "object" && err !== null && "stack" in err ? String(err.stack) : undefined;
  const end = stack === undefined ? "" : `\n${stack.split("\n").map(printable).join("\n")}`;
  return `${parts.join(" ")}${end}\n`;
}

/** `text` with every control character written out: what a peer says must not steer a terminal. */
export function printable(text: string): string {
  let result = "";
  for (const character of text) {
    const code = character.codePointAt(0)!;
    const control = code < 32 || (code >= 127 && code < 160) || code === 0x2028 || code === 0x2029;
    result += control ? `\\u${code.toString(16).padStart(4, "0")}` : character;
  }
  return result;
}

function shown(value: unknown): string {
  if (typeof value !== "string") return printable(JSON.stringify(value) ?? "undefined");
  const plain = value !== "" && printable(value) === value && !/[\s"=]/.test(value);
  return plain ? value : printable(JSON.stringify(value));
}

function clockTime(iso: string): string {
  const time = new Date(iso);
  const two = (n: number): string => String(n).padStart(2, "0");
  const milliseconds = String(time.getMilliseconds()).padStart(3, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${milliseconds}`;
}

/** A copy in which secrets are covered up; errors become plain objects, with their own fields and causes. */
function withoutSecrets(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return "[...]";
  if (value instanceof Error) return withoutSecrets({ ...stdSerializers.err(value) }, depth + 1);
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, depth + 1));
  if ("toJSON" in value && typeof value.toJSON === "function") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      SECRET_KEY.test(key) ? HIDDEN : withoutSecrets(item, depth + 1),
    ]),
  );
}
