import type { Clock } from "@isthmus/wire";
import { strategiesError } from "../errors.ts";
import { type HttpAnswer, httpRequest } from "../http/http-client.ts";
import { type AddressChoice, type Droplet, readDropletPage } from "./droplets.ts";

/** How {@link DropletApi} asks. */
export interface DropletApiOptions extends AddressChoice {
  readonly baseUrl: string;
  readonly token: string;
  readonly tagName: string | undefined;
  readonly name: string | undefined;
  /** Milliseconds for each page. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** The most that the interface gives at once. */
const PER_PAGE = 200;
/** Pages of one round, so that links in a circle end: 20 000 droplets. */
const MAX_PAGES = 100;
/** Longest time that is waited because the interface says so. */
const MAX_PAUSE_MS = 3_600_000;
/** How long is waited when it says "too many requests" without saying how long. */
const DEFAULT_PAUSE_MS = 60_000;

/** DigitalOcean's list of droplets, asked no more often than its rate limit allows. */
export class DropletApi {
  readonly #options: DropletApiOptions;
  /** On our clock: no request before that. */
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(options: DropletApiOptions) {
    this.#options = options;
  }

  /**
   * All droplets that run, of every page.
   * @param withoutAddress hears of those that have no address of the wanted kind
   * @throws IsthmusError as `httpJson`; `HTTP_STATUS` 429 also while the limit is not over, without asking
   */
  async list(signal: AbortSignal, withoutAddress: (droplet: string) => void): Promise<readonly Droplet[]> {
    const { baseUrl, tagName, name } = this.#options;
    const first = new URL(`${baseUrl.replace(/\/+$/, "")}/v2/droplets`);
    first.searchParams.set("per_page", String(PER_PAGE));
    if (tagName !== undefined) first.searchParams.set("tag_name", tagName);
    if (name !== undefined) first.searchParams.set("name", name);
    const droplets = new Map<number, Droplet>();
    let url: URL | undefined = first;
    for (let page = 0; url !== undefined; page++) {
      if (page === MAX_PAGES) throw invalid(first, `it has more than ${MAX_PAGES} pages`);
      const read = readDropletPage(await this.#get(url, signal), this.#options);
      for (const droplet of read.droplets) droplets.set(droplet.id, droplet);
      for (const droplet of read.withoutAddress) withoutAddress(droplet);
      url = read.next === undefined ? undefined : nextPage(first, read.next);
    }
    return [...droplets.values()];
  }

  async #get(url: URL, signal: AbortSignal): Promise<unknown> {
    const { token, timeoutMs, clock } = this.#options;
    const waitMs = this.#notBefore - clock.now();
    if (waitMs > 0) throw limited(url, Math.ceil(waitMs / 1000));
    const headers = { accept: "application/json", authorization: `Bearer ${token}` };
    const answer = await httpRequest({ url, headers, timeoutMs, signal });
    const pauseMs = pauseOf(answer);
    if (pauseMs > 0) this.#notBefore = clock.now() + pauseMs;
    if (answer.status === 429) throw limited(url, Math.ceil(pauseMs / 1000));
    if (answer.status < 200 || answer.status > 299) throw refused(url, answer.status);
    try {
      return JSON.parse(answer.body);
    } catch (cause) {
      throw invalid(url, "it is not JSON", cause);
    }
  }
}

/** How long the interface is to be left alone after `answer`, milliseconds. */
function pauseOf({ status, headers }: HttpAnswer): number {
  const exhausted = headers["ratelimit-remaining"] === "0";
  if (status !== 429 && !exhausted) return 0;
  const after = headers["retry-after"];
  const reset = headers["ratelimit-reset"];
  const until = /^\d+$/.test(after ?? "")
    ? Number(after) * 1000
    : typeof reset === "string" && /^\d+$/.test(reset)
      ? Number(reset) * 1000 - Date.now()
      : Date.parse(after ?? "") - Date.now();
  if (Number.isNaN(until)) return status === 429 ? DEFAULT_PAUSE_MS : 0;
  return Math.min(Math.max(until, 0), MAX_PAUSE_MS);
}

/** The next page, if it is where the token may be sent to. */
function nextPage(first: URL, link: string): URL {
  const next = URL.canParse(link, first.href) ? new URL(link, first) : undefined;
  if (next?.origin === first.origin) return next;
  throw invalid(first, "its next page is on another server, which must not get the token");
}

function invalid(url: URL, what: string, cause?: unknown): Error {
  const message = `The answer of ${url.origin}${url.pathname} cannot be used: ${what}.`;
  return strategiesError("HTTP_BODY_INVALID", message, { cause, context: { url: place(url) } });
}

function limited(url: URL, seconds: number): Error {
  const message = `${url.host} allows no more requests for ${seconds} s. Lengthen polling_interval.`;
  return strategiesError("HTTP_STATUS", message, {
    context: { url: place(url), status: 429, retrySeconds: seconds },
  });
}

function refused(url: URL, status: number): Error {
  const advice =
    status === 401 || status === 403 ? " Check the token: it needs the right to read droplets." : "";
  const message = `${place(url)} answered with status ${status}.${advice}`;
  return strategiesError("HTTP_STATUS", message, { context: { url: place(url), status } });
}

function place(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
