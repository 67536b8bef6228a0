import { isIP } from "node:net";

/** Where a name server is. */
export interface ServerAddress {
  /** An IP address; an IPv6 one may have a zone: `fe80::1%eth0`. */
  readonly host: string;
  readonly port: number;
}

const DNS_PORT = 53;

/**
 * Reads `10.0.0.10`, `10.0.0.10:53`, `fd00::10`, `[fd00::10]:53`.
 * @returns undefined for anything else, host names too: who would resolve them?
 */
export function readServerAddress(text: string): ServerAddress | undefined {
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text);
  const [, host, port] = bracketed ?? /^([^:]+):(\d{1,5})$/.exec(text) ?? [text, text, undefined];
  const version = isIP(host ?? "");
  if (host === undefined || version === 0 || (bracketed !== null && version !== 6)) return undefined;
  const number = port === undefined ? DNS_PORT : Number(port);
  return number >= 1 && number <= 65_535 ? { host, port: number } : undefined;
}

export function writeServerAddress({ host, port }: ServerAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
