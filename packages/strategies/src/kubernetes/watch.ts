import { strategiesError } from "../errors.ts";
import { type ApiAccess, statusOf } from "./access.ts";
import { asObject, asText, type JsonObject } from "./json.ts";
import { pathOf, type Selection } from "./list.ts";

/** What a watch tells. */
export interface WatchHandler {
  /** An object is new or has changed. */
  put(object: JsonObject): void;
  /** An object is gone, or its labels do not match any more. */
  remove(object: JsonObject): void;
}

/** How a watch ended. */
export interface WatchEnd {
  /**
   * - `closed`: in the normal way; another one goes on from `version`
   * - `expired`: the API has forgotten what happened since `version`; only a list tells
   * - `forbidden`: we may not watch
   * - `failed`: for `error`; another one may go on from `version`
   */
  readonly how: "closed" | "expired" | "forbidden" | "failed";
  /** The version of the last thing that was told. */
  readonly version: string;
  /** Whether anything was. */
  readonly useful: boolean;
  readonly error?: unknown;
}

/** The API is asked to end a watch after this time, so that a connection that died unnoticed does not stay for long. */
const WATCH_SECONDS = 120;
/** What a slow API may take to end it. */
const GRACE_MS = 15_000;

/**
 * Watches a selection from a version on, until the API ends that. Never rejects but with the reason of `signal`.
 */
export async function watch(
  api: Pick<ApiAccess, "lines">,
  selection: Selection,
  options: { readonly from: string; readonly signal: AbortSignal },
  handler: WatchHandler,
): Promise<WatchEnd> {
  let version = options.from;
  let useful = false;
  const query = {
    labelSelector: selection.selector,
    watch: "true",
    allowWatchBookmarks: "true",
    resourceVersion: version,
    timeoutSeconds: String(WATCH_SECONDS),
  };
  const onLine = (line: string): void => {
    const { type, object: changed } = asObject(parse(line));
    const object = asObject(changed);
    if (type === "ERROR") throw failure(object);
    if (type === "ADDED" || type === "MODIFIED") handler.put(object);
    else if (type === "DELETED") handler.remove(object);
    else if (type !== "BOOKMARK") return;
    version = asText(asObject(object["metadata"])["resourceVersion"]) ?? version;
    useful = true;
  };
  const { signal } = options;
  try {
    await api.lines(pathOf(selection), query, { signal, silenceMs: WATCH_SECONDS * 1000 + GRACE_MS }, onLine);
    return { how: "closed", version, useful };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const status = statusOf(error);
    const how = status === 410 ? "expired" : status === 403 ? "forbidden" : "failed";
    return { how, version, useful, error };
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw strategiesError("HTTP_BODY_INVALID", "A line of the watch is not JSON: the connection was cut.", {
      cause,
    });
  }
}

/** The Status object of an ERROR event as an error. */
function failure(status: JsonObject): Error {
  const code = typeof status["code"] === "number" ? status["code"] : 500;
  const message = asText(status["message"])?.slice(0, 500) ?? "no reason";
  return strategiesError("DISCOVERY_FAILED", `The API ended the watch: ${message}.`, {
    context: { status: code },
  });
}
