import { strategiesError } from "../errors.ts";

/** One instance of a service, as any of Consul's endpoints tells of it. */
export interface ConsulInstance {
  /** Where the service says it is; empty when that is where its Consul node is. */
  readonly address: string;
  /** Where the Consul node is; empty when the answer does not say. */
  readonly nodeAddress: string;
  /** Name of the Consul node; empty when the answer does not say. */
  readonly nodeName: string;
}

/** `GET /v1/health/service/:name`. */
export function healthInstances(answer: unknown): ConsulInstance[] {
  return list(answer, "/v1/health/service").map((entry) => {
    const node = record(entry["Node"]);
    return {
      address: text(record(entry["Service"])["Address"]),
      nodeAddress: text(node["Address"]),
      nodeName: text(node["Node"]),
    };
  });
}

/** `GET /v1/catalog/service/:name`. */
export function catalogInstances(answer: unknown): ConsulInstance[] {
  return list(answer, "/v1/catalog/service").map((entry) => ({
    address: text(entry["ServiceAddress"]),
    nodeAddress: text(entry["Address"]),
    nodeName: text(entry["Node"]),
  }));
}

/**
 * `GET /v1/agent/health/service/name/:name`, and `/id/:id`, which gives one entry in place of a list.
 * @param passing only instances all of whose checks pass: the endpoint itself cannot leave out the others
 */
export function agentInstances(answer: unknown, passing: boolean): ConsulInstance[] {
  const single = typeof answer === "object" && answer !== null && "Service" in answer;
  return list(single ? [answer] : answer, "/v1/agent/health/service")
    .filter((entry) => !passing || entry["AggregatedStatus"] === "passing")
    .map((entry) => ({ address: text(record(entry["Service"])["Address"]), nodeAddress: "", nodeName: "" }));
}

/** `GET /v1/agent/self`: the address that the agent tells others. */
export function agentAddress(answer: unknown): string {
  return text(record(record(answer)["Member"])["Addr"]);
}

/** `GET /v1/catalog/datacenters`. */
export function datacenterNames(answer: unknown): string[] {
  const names = Array.isArray(answer) ? answer.map(text) : [];
  if (names.length > 0 && !names.includes("")) return names;
  throw nonsense("/v1/catalog/datacenters");
}

function list(answer: unknown, path: string): Record<string, unknown>[] {
  // a list in Go that was never filled is written as null
  if (answer === null) return [];
  if (Array.isArray(answer)) return answer.map(record);
  throw nonsense(path);
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function nonsense(path: string): Error {
  return strategiesError(
    "HTTP_BODY_INVALID",
    `The answer to ${path} is not what Consul answers. Check base_url: another service may answer there.`,
    { context: { path } },
  );
}
