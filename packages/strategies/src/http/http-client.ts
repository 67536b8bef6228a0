import { type IncomingHttpHeaders, type IncomingMessage, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { StringDecoder } from "node:string_decoder";
import { strategiesError } from "../errors.ts";

/** A request to a discovery service. Redirects are not followed: a token must not travel to another host. */
export interface HttpRequest {
  /** `http:` or `https:`. Without user and password: these belong in `headers`. */
  readonly url: string | URL;
  /** @default "GET" */
  readonly method?: string;
  /** May hold secrets; never shown in errors. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Until the whole answer is there; for {@link httpLines} the longest silence. Milliseconds. @default 15000 */
  readonly timeoutMs?: number;
  /** Longest answer; for {@link httpLines} longest line. Bytes. @default 16 MiB */
  readonly maxBytes?: number;
  /** Certificates to trust instead of the system's, PEM. */
  readonly ca?: string | Buffer;
  /** Our own certificate and key, PEM. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /** `false` takes any certificate. @default true */
  readonly rejectUnauthorized?: boolean;
  /** Name to check the certificate against, if not the URL's host. */
  readonly servername?: string;
  readonly signal?: AbortSignal;
}

/** An answer, whatever its status. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const DEFAULT_TIMEOUT_MS = 15_000;
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
/** How much of an unwelcome answer is read for its message. */
const ERROR_BODY_BYTES = 64 * 1024;

/**
 * Sends a request and reads the whole answer.
 * @throws IsthmusError `HTTP_FAILED` when there is none: unreachable, refused certificate, cut off, too late, too long;
 * the signal's reason when it is aborted first
 */
export async function httpRequest(request: HttpRequest): Promise<HttpAnswer> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, maxBytes = DEFAULT_MAX_BYTES } = request;
  const deadline = AbortSignal.timeout(timeoutMs);
  return exchange(request, deadline, (answer) => readAll(answer, request, maxBytes));
}

/**
 * The JSON that a request gives.
 * @throws IsthmusError as {@link httpRequest}; `HTTP_STATUS` for a status other than 2xx, which is
 * `context.status`; `HTTP_BODY_INVALID` for what is no JSON
 */
export async function httpJson(request: HttpRequest): Promise<unknown> {
  const answer = await httpRequest({
    ...request,
    headers: { accept: "application/json", ...request.headers },
  });
  requireSuccess(request, answer);
  try {
    return JSON.parse(answer.body);
  } catch (cause) {
    const message = `The answer of ${where(request)} is not JSON. Check the URL: another service may answer there.`;
    throw strategiesError("HTTP_BODY_INVALID", message, { cause, context: { url: where(request) } });
  }
}

/**
 * Calls `onLine` for each line of an answer as it arrives, until it ends. The last line needs no newline. A silence of
 * `timeoutMs` is an error, so that a dead connection does not look like a quiet one.
 * @returns the answer, its body empty
 * @throws IsthmusError as {@link httpJson}, without `HTTP_BODY_INVALID`; and what `onLine` throws
 */
export async function httpLines(request: HttpRequest, onLine: (line: string) => void): Promise<HttpAnswer> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, maxBytes = DEFAULT_MAX_BYTES } = request;
  const silence = new AbortController();
  const tooQuiet = (): void => silence.abort(new DOMException("silence", "TimeoutError"));
  const timer = setTimeout(tooQuiet, timeoutMs);
  try {
    return await exchange(request, silence.signal, async (answer) => {
      const { statusCode: status = 0, headers } = answer;
      if (status < 200 || status > 299) {
        const whole = await readAll(answer, request, ERROR_BODY_BYTES);
        requireSuccess(request, whole);
      }
      const decoder = new StringDecoder("utf8");
      // pieces of a line that has not ended, joined once: long lines come in many chunks
      let pieces: string[] = [];
      let length = 0;
      for await (const chunk of answer) {
        timer.refresh();
        const text = decoder.write(chunk as Buffer);
        const end = text.indexOf("\n");
        if (end < 0) pieces.push(text);
        else pieces = [eachLine(pieces.join("") + text, onLine)];
        length = end < 0 ? length + text.length : (pieces[0] as string).length;
        if (length > maxBytes) throw tooLong(request, maxBytes);
      }
      const last = pieces.join("") + decoder.end();
      if (last !== "") onLine(last);
      return { status, headers, body: "" };
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Calls `onLine` for each whole line. @returns what follows the last newline */
function eachLine(text: string, onLine: (line: string) => void): string {
  let start = 0;
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
    const line = text.slice(start, end).replace(/\r$/, "");
    start = end + 1;
    if (line !== "") onLine(line);
  }
  return text.slice(start);
}

async function exchange<T>(
  request: HttpRequest,
  deadline: AbortSignal,
  read: (answer: IncomingMessage) => Promise<T>,
): Promise<T> {
  const signal = request.signal === undefined ? deadline : AbortSignal.any([deadline, request.signal]);
  try {
    return await read(await send(request, signal));
  } catch (cause) {
    if (request.signal?.aborted === true) throw request.signal.reason;
    if (deadline.aborted) {
      const { timeoutMs = DEFAULT_TIMEOUT_MS } = request;
      throw failed(request, `did not answer within ${timeoutMs} ms`, cause);
    }
    throw isTransportError(cause) ? failed(request, `could not be asked (${cause.code})`, cause) : cause;
  }
}

function send(request: HttpRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const url = new URL(request.url);
  const {
    method = "GET",
    headers = {},
    body,
    ca,
    cert,
    key,
    rejectUnauthorized = true,
    servername,
  } = request;
  const tls = { ca, cert, key, rejectUnauthorized, servername };
  const given = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  // no agent: connections are few and far between, and a kept one would outlive the strategy
  const options = {
    method,
    headers: { ...headers, connection: "close" },
    agent: false,
    signal,
    ...given,
  } as const;
  return new Promise((resolve, reject) => {
    const sent = (url.protocol === "https:" ? tlsRequest : plainRequest)(url, options);
    sent.on("response", resolve).on("error", reject).end(body);
  });
}

async function readAll(answer: IncomingMessage, request: HttpRequest, maxBytes: number): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer) {
    length += (chunk as Buffer).length;
    if (length > maxBytes) throw tooLong(request, maxBytes);
    chunks.push(chunk as Buffer);
  }
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    body: Buffer.concat(chunks, length).toString("utf8"),
  };
}

function requireSuccess(request: HttpRequest, { status, headers, body }: HttpAnswer): void {
  if (status >= 200 && status <= 299) return;
  const retryAfter = headers["retry-after"];
  throw strategiesError("HTTP_STATUS", `${where(request)} answered with status ${status}.`, {
    context: { url: where(request), status, body: body.slice(0, 500), ...(retryAfter && { retryAfter }) },
  });
}

function isTransportError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && "syscall" in error
    ? true
    : error instanceof Error && "code" in error && !error.name.startsWith("Isthmus");
}

function tooLong(request: HttpRequest, maxBytes: number): Error {
  return failed(request, `answered with more than ${maxBytes} bytes`, undefined);
}

function failed(request: HttpRequest, what: string, cause: unknown): Error {
  return strategiesError("HTTP_FAILED", `${where(request)} ${what}.`, {
    cause,
    context: { url: where(request) },
  });
}

/** The URL without what may be secret: user, password, query. */
function where(request: HttpRequest): string {
  const { protocol, host, pathname } = new URL(request.url);
  return `${protocol}//${host}${pathname}`;
}
