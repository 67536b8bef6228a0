import { type IsthmusError, isIsthmusError } from "@isthmus/wire";
import type { Readiness } from "../../admin/readiness.ts";
import type { DaemonStatus } from "../../admin/status.ts";
import { bridgeError } from "../../errors.ts";
import { describeStatus } from "../describe-status.ts";
import { EXIT } from "../exit-status.ts";

/** What the command line says. */
export interface StatusOptions {
  /** Where the administration of the bridge is, `http://host:port`. */
  readonly url: string;
  readonly json?: boolean;
}

/** How long the bridge may take to answer. */
const ANSWER_MS = 5_000;

/**
 * `isthmus status`: how a running bridge stands. The status is 1 when it is not ready.
 * @throws IsthmusError `STATUS_UNREACHABLE`
 */
export async function showStatus({ url, json = false }: StatusOptions): Promise<number> {
  const [status, readiness] = await Promise.all([
    ask<DaemonStatus>(url, "/status", [200]),
    ask<Readiness>(url, "/readyz", [200, 503]),
  ]);
  console.log(json ? JSON.stringify({ ...status, readiness }, null, 2) : describeStatus(status, readiness));
  return readiness.ready ? EXIT.OK : EXIT.FAILED;
}

async function ask<T>(base: string, path: string, expected: readonly number[]): Promise<T> {
  try {
    const response = await fetch(new URL(path, base), {
      signal: AbortSignal.timeout(ANSWER_MS),
      redirect: "error",
    });
    const text = await response.text();
    if (expected.includes(response.status)) return JSON.parse(text) as T;
    throw unreachable(base, `it answered with status ${response.status}`);
  } catch (cause) {
    if (isIsthmusError(cause)) throw cause;
    throw unreachable(base, reasonOf(cause), cause);
  }
}

function reasonOf(cause: unknown): string {
  const { cause: inner, message } = cause as Error;
  return inner instanceof Error && inner.message !== "" ? inner.message : message;
}

function unreachable(url: string, why: string, cause?: unknown): IsthmusError {
  return bridgeError(
    "STATUS_UNREACHABLE",
    `The bridge's administration at ${url} cannot be asked: ${why}. Is admin in its configuration, and the address right?`,
    cause === undefined ? {} : { cause },
  );
}
