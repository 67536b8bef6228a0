import { strategiesError } from "../errors.ts";
import { type HttpAnswer, httpRequest } from "../http/http-client.ts";

/** What an EC2 instance can find out about itself. */
export interface InstanceMetadata {
  /** @throws IsthmusError `DISCOVERY_FAILED` when there is no such service, as outside EC2 */
  region(signal: AbortSignal): Promise<string>;
  /** @throws IsthmusError `DISCOVERY_FAILED` */
  instanceId(signal: AbortSignal): Promise<string>;
  /**
   * The value of one of the instance's tags; undefined when it has no such tag, or when tags are not shown in the
   * metadata, which is how instances are made unless one asks for it.
   * @throws IsthmusError `DISCOVERY_FAILED`
   */
  tag(name: string, signal: AbortSignal): Promise<string | undefined>;
}

/** The service is on the same machine; whoever does not answer soon is not it. */
const TIMEOUT_MS = 2000;
const MAX_BYTES = 64 * 1024;
const TOKEN_SECONDS = 300;

/**
 * The instance metadata service, IMDSv2: each request carries a token, which is asked for first. Version 1, without
 * tokens, is not used.
 * @param endpoint "http://169.254.169.254"
 */
export function instanceMetadata(endpoint: string): InstanceMetadata {
  const ask = async (
    path: string,
    method: "GET" | "PUT",
    headers: Record<string, string>,
    signal: AbortSignal,
  ) => {
    const url = `${endpoint.replace(/\/$/, "")}/latest${path}`;
    try {
      return await httpRequest({ url, method, headers, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, signal });
    } catch (cause) {
      if (signal.aborted) throw cause;
      throw failed(
        "does not answer: is this an EC2 instance, with IMDSv2 and a hop limit that lets containers through?",
        cause,
      );
    }
  };
  const get = async (path: string, signal: AbortSignal): Promise<HttpAnswer> => {
    const token = await ask(
      "/api/token",
      "PUT",
      { "x-aws-ec2-metadata-token-ttl-seconds": `${TOKEN_SECONDS}` },
      signal,
    );
    if (token.status !== 200) throw failed(`answered the request for a token with status ${token.status}.`);
    return ask(path, "GET", { "x-aws-ec2-metadata-token": token.body.trim() }, signal);
  };
  const text = async (path: string, signal: AbortSignal): Promise<string> => {
    const { status, body } = await get(path, signal);
    if (status === 200 && body.trim() !== "") return body.trim();
    throw failed(`answered ${path} with status ${status}.`);
  };
  return {
    region: (signal) => text("/meta-data/placement/region", signal),
    instanceId: (signal) => text("/meta-data/instance-id", signal),
    async tag(name, signal) {
      const { status, body } = await get(`/meta-data/tags/instance/${encodeURIComponent(name)}`, signal);
      if (status === 404) return undefined;
      if (status === 200) return body;
      throw failed(`answered the request for the tag ${name} with status ${status}.`);
    },
  };
}

function failed(what: string, cause?: unknown): Error {
  return strategiesError("DISCOVERY_FAILED", `The instance metadata service ${what}`, { cause });
}
