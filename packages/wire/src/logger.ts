/** One level of a {@link Logger}. */
export type LogMethod = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** What the libraries need of a logger; pino and its kin fit as they are. */
export interface Logger {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
}

const nothing: LogMethod = () => undefined;

/** The default: libraries say nothing unless they are given a logger. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
