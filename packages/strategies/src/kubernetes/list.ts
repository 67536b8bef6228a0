import { isIsthmusError } from "@isthmus/wire";
import { strategiesError } from "../errors.ts";
import { type ApiAccess, type Query, statusOf } from "./access.ts";
import { asObject, asObjects, asText, type JsonObject } from "./json.ts";
import type { Lookup } from "./lookup.ts";

/** What is listed and watched. */
export interface Selection {
  readonly lookup: Lookup;
  readonly namespace: string;
  /** A label selector. */
  readonly selector: string;
}

/** Objects of a page: small enough for one answer, many enough that few clusters need a second page. */
const PAGE_SIZE = 500;
/** So many that only a list that never ends has more. */
const MAX_PAGES = 1000;

/** The path of the collection of a selection. */
export function pathOf({ lookup, namespace }: Selection): string {
  const group = lookup === "endpoint_slices" ? "/apis/discovery.k8s.io/v1" : "/api/v1";
  return `${group}/namespaces/${encodeURIComponent(namespace)}/${resourceOf(lookup)}`;
}

/** A lookup as roles and paths name it. */
export function resourceOf(lookup: Lookup): string {
  return lookup.replace("_", "");
}

/** Receives the objects of one list. */
export interface ListSink {
  put(object: JsonObject): void;
}

/** A list that has come whole. */
export interface Listed<S extends ListSink> {
  readonly objects: S;
  /** The version of the list, from which a watch goes on. */
  readonly version: string | undefined;
}

/**
 * Lists a selection, page by page.
 * @param options `cached` takes what the API server has in its memory (`resourceVersion=0`), which may be a little old
 * @param begin makes what receives the objects; called again when the list begins again
 * @throws IsthmusError of {@link ApiAccess.json}; `DISCOVERY_FAILED` when we are not allowed to, with
 * `context.status`, or when the answer is no list
 */
export async function list<S extends ListSink>(
  api: Pick<ApiAccess, "json">,
  selection: Selection,
  options: { readonly cached: boolean; readonly signal: AbortSignal },
  begin: () => S,
): Promise<Listed<S>> {
  const { cached, signal } = options;
  const whole: Query = { labelSelector: selection.selector, ...(cached ? { resourceVersion: "0" } : {}) };
  try {
    try {
      return await pages(api, selection, { ...whole, limit: String(PAGE_SIZE) }, signal, begin());
    } catch (error) {
      // pages are kept for some minutes only; after that (410) all at once is the way (API concepts)
      if (statusOf(error) !== 410) throw error;
      return await pages(api, selection, whole, signal, begin());
    }
  } catch (error) {
    throw explained(error, selection);
  }
}

async function pages<S extends ListSink>(
  api: Pick<ApiAccess, "json">,
  selection: Selection,
  first: Query,
  signal: AbortSignal,
  objects: S,
): Promise<Listed<S>> {
  // later pages are of the version of the first one, so that may not be said again
  const { resourceVersion: _, ...always } = first;
  let query = first;
  for (let count = 0; count < MAX_PAGES; count++) {
    const page = asObject(await api.json(pathOf(selection), query, signal));
    const { items } = page;
    // Go writes null for an empty list
    if (!Array.isArray(items) && items !== null) {
      throw failed(`${pathOf(selection)} did not answer with a list. Another service may answer there.`);
    }
    for (const object of asObjects(items)) objects.put(object);
    const metadata = asObject(page["metadata"]);
    const next = asText(metadata["continue"]);
    if (next === undefined) return { objects, version: asText(metadata["resourceVersion"]) };
    // a page may be empty when the selector matches nothing of it
    query = { ...always, continue: next };
  }
  throw failed(`${pathOf(selection)} did not end after ${MAX_PAGES} pages.`);
}

/** The error with what to do about it, when we are not allowed, or there is no such API. */
function explained(error: unknown, { lookup, namespace }: Selection): unknown {
  const status = statusOf(error);
  const resource = resourceOf(lookup);
  const said = reason(error);
  const context = { status, resource, namespace };
  if (status === 401) {
    return failed(`The API does not accept the token${said}. Check the service account.`, context, error);
  }
  if (status === 403) {
    const todo = `Give the service account a Role with get, list and watch on ${resource} in ${namespace}.`;
    return failed(`The API does not let us list ${resource}${said}. ${todo}`, context, error);
  }
  if (status === 404) {
    return failed(`The API has no ${resource}${said}. Choose another ip_lookup_mode.`, context, error);
  }
  return error;
}

/** What the API says itself, in the `message` of its Status object. */
function reason(error: unknown): string {
  const body = isIsthmusError(error) ? asText(error.context["body"]) : undefined;
  const message = /"message":\s*"((?:[^"\\\p{Cc}]|\\.)*)"/u.exec(body ?? "")?.[1];
  return message === undefined ? "" : `: ${message.replaceAll(/\\(.)/g, "$1")}`;
}

function failed(message: string, context: Readonly<Record<string, unknown>> = {}, cause?: unknown): Error {
  return strategiesError("DISCOVERY_FAILED", message, { cause, context });
}
