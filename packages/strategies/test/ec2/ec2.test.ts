import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Discovery } from "@isthmus/strategies";
import { type Ec2Options, ec2 } from "@isthmus/strategies/ec2";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeClock } from "../../../../test/support/fake-clock.ts";
import { ec2Api } from "../../src/ec2/ec2-api.ts";
import { strategyCompliance } from "../compliance.ts";
import { recordingLogger } from "../support/fake-cluster.ts";
import { type FakeAws, type FakeInstance, startFakeAws } from "./fake-aws.ts";
import { parseAuthorization, sigv4 } from "./sigv4.ts";

const home = mkdtempSync(join(tmpdir(), "isthmus-aws-"));
let aws: FakeAws;
let ends: (() => Promise<unknown>)[] = [];

/** Nothing of this machine's own settings for AWS. */
function cleanEnvironment(): void {
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) vi.stubEnv(name, undefined);
  vi.stubEnv("AWS_CONFIG_FILE", join(home, "config"));
  vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", join(home, "credentials"));
}

function stubKeys(): void {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
}

beforeEach(async () => {
  cleanEnvironment();
  stubKeys();
  aws = await startFakeAws();
});
afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  ends = [];
  await aws.close();
  vi.unstubAllEnvs();
});
afterAll(() => rmSync(home, { recursive: true }));

function start(options: Partial<Ec2Options> = {}) {
  const clock = new FakeClock();
  const reports: Discovery[] = [];
  const strategy = ec2({
    tagName: "cluster",
    tagValue: "shop",
    region: "eu-central-1",
    endpoint: aws.url,
    metadataEndpoint: aws.url,
    ...options,
  });
  ends.push(() => strategy.stop());
  strategy.start({
    self: "app@10.0.0.1",
    report: (discovery) => void reports.push(discovery),
    logger: recordingLogger(),
    clock,
    signal: new AbortController().signal,
    compat: false,
  });
  const reported = (count: number) =>
    expect.poll(() => reports.length, { timeout: 10_000, interval: 2 }).toBe(count);
  return { clock, reports, strategy, reported };
}

const filters = (n = 0) => {
  const { parameters } = aws.requests[n]!;
  const names = Object.entries(parameters).filter(([key]) => /^Filter\.\d+\.Name$/.test(key));
  return Object.fromEntries(
    names.map(([key, name]) => [
      name,
      Object.entries(parameters)
        .filter(([other]) => other.startsWith(key.replace("Name", "Value")))
        .map(([, value]) => value),
    ]),
  );
};

describe("requests", () => {
  it.each([
    [{}, { "tag:cluster": ["shop"] }],
    [{ tagValue: ["shop", "sh*"] }, { "tag:cluster": ["shop", "sh*"] }],
    [{ tagValue: async (name: string) => `${name}-1` }, { "tag:cluster": ["cluster-1"] }],
    [
      { filters: { "vpc-id": "vpc-1", "tag:stage": ["live", "canary"] } },
      { "tag:cluster": ["shop"], "vpc-id": ["vpc-1"], "tag:stage": ["live", "canary"] },
    ],
    [
      { filters: { "instance-state-name": ["pending", "running"] } },
      { "tag:cluster": ["shop"], "instance-state-name": ["pending", "running"] },
    ],
  ])("%j filters by %j", async (options, wanted) => {
    const { reported } = start(options);
    await reported(1);
    expect(filters()).toEqual({ "instance-state-name": ["running"], ...wanted });
  });

  it("are signed with the keys of the environment", async () => {
    const { reported } = start();
    await reported(1);
    const request = aws.requests[0]!;
    const authorization = parseAuthorization(String(request.headers["authorization"]));
    expect(authorization).toMatchObject({
      accessKeyId: "AKIDEXAMPLE",
      region: "eu-central-1",
      service: "ec2",
    });
    expect(authorization.signedHeaders).toEqual(expect.arrayContaining(["host", "x-amz-date"]));
    expect(sigv4(request, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", authorization)).toBe(
      authorization.signature,
    );
    expect(sigv4(request, "another key", authorization)).not.toBe(authorization.signature);
  });

  it("are signed with the keys of the instance's role, by IMDSv2", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", undefined);
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", undefined);
    vi.stubEnv("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url);
    const role = {
      Code: "Success",
      AccessKeyId: "ASIAROLE",
      SecretAccessKey: "role-secret",
      Token: "session-token",
      Expiration: "2999-01-01T00:00:00Z",
    };
    aws.metadata = {
      "/meta-data/placement/region": "sa-east-1",
      "/meta-data/iam/security-credentials/": "shop-role",
      "/meta-data/iam/security-credentials/shop-role": JSON.stringify(role),
    };
    // the endpoint of the environment serves both
    const { reports, reported } = start({ region: undefined, metadataEndpoint: undefined });
    await reported(1);
    expect(reports).toEqual([{ ok: true, nodes: [] }]);
    const request = aws.requests[0]!;
    const authorization = parseAuthorization(String(request.headers["authorization"]));
    expect(authorization).toMatchObject({ accessKeyId: "ASIAROLE", region: "sa-east-1" });
    expect(authorization.signedHeaders).toContain("x-amz-security-token");
    expect(request.headers["x-amz-security-token"]).toBe("session-token");
    expect(sigv4(request, "role-secret", authorization)).toBe(authorization.signature);
    expect(aws.metadataRequests[0]).toBe("PUT /latest/api/token");
  });

  it("page after page", async () => {
    aws.pages = [[{ privateIp: "10.0.0.2" }], [], [{ privateIp: "10.0.0.3" }, { privateIp: "10.0.0.4" }]];
    const { reports, reported } = start();
    await reported(1);
    expect(reports).toEqual([{ ok: true, nodes: ["app@10.0.0.2", "app@10.0.0.3", "app@10.0.0.4"] }]);
    expect(aws.requests.map(({ parameters }) => parameters["NextToken"])).toEqual([
      undefined,
      "page-1",
      "page-2",
    ]);
    expect(filters(2)).toEqual(filters(0));
  });

  it("but not without end", async () => {
    aws.pages = Array.from({ length: 101 }, () => []);
    const { reports, reported } = start();
    await reported(1);
    expect(reports[0]).toMatchObject({ ok: false, error: { code: "DISCOVERY_FAILED" } });
    expect(aws.requests).toHaveLength(100);
  });
});

describe("addresses", () => {
  const instances: FakeInstance[] = [
    { privateIp: "10.0.0.2", publicIp: "203.0.113.2", ipv6: "2001:db8::2" },
    { privateIp: "10.0.0.3" },
    {},
  ];
  it.each([
    [{}, ["app@10.0.0.2", "app@10.0.0.3"]],
    [{ nodeBasename: "shop", ipType: "public" as const }, ["shop@203.0.113.2"]],
    [{ ipType: "ipv6" as const }, ["app@2001:db8::2"]],
    [
      {
        ipToNodename: (ips: readonly string[], name: string) =>
          ips.map((ip) => `${name}@ip-${ip.replaceAll(".", "-")}`),
      },
      ["app@ip-10-0-0-2", "app@ip-10-0-0-3"],
    ],
    [{ ipToNodename: (ips: readonly string[]) => [ips[0]!, "a@b@c", 7 as never, "a@b", "a@b"] }, ["a@b"]],
  ])("%j gives %j", async (options, nodes) => {
    aws.pages = [instances];
    const { reports, reported } = start(options);
    await reported(1);
    expect(reports).toEqual([{ ok: true, nodes }]);
  });
});

describe("its own instance", () => {
  it("gives region and tag value, by metadata alone where tags are shown there", async () => {
    aws.metadata = { "/meta-data/placement/region": "eu-west-1", "/meta-data/tags/instance/cluster": "sh*p" };
    const { clock, strategy, reported } = start({ region: undefined, tagValue: undefined });
    await reported(1);
    expect(filters()["tag:cluster"], "no wildcard").toEqual(["sh\\*p"]);
    expect(parseAuthorization(String(aws.requests[0]!.headers["authorization"])).region).toBe("eu-west-1");
    const asked = aws.metadataRequests.length;
    strategy.refresh?.();
    await reported(2);
    expect(aws.metadataRequests, "what it knows it does not ask again").toHaveLength(asked);
    expect(clock.pending).toBe(1);
  });

  it("is asked of EC2 where tags are not shown", async () => {
    aws.metadata = { "/meta-data/instance-id": "i-0123" };
    aws.own = { tags: { Name: "x", cluster: "shop-7" } };
    const { reported } = start({ tagValue: undefined });
    await reported(1);
    expect(aws.requests[0]!.parameters["InstanceId.1"]).toBe("i-0123");
    expect(filters(1)["tag:cluster"]).toEqual(["shop-7"]);
  });

  it.each([
    ["without the tag", () => ({ tags: { Name: "x" } })],
    ["unknown to EC2", () => undefined],
  ])("%s is a failure that says so", async (_what, own) => {
    aws.metadata = { "/meta-data/instance-id": "i-0123" };
    aws.own = own();
    const { reports, reported } = start({ tagValue: undefined });
    await reported(1);
    expect(reports[0]).toMatchObject({
      ok: false,
      error: { code: "DISCOVERY_FAILED", context: { tag: "cluster", instance: "i-0123" } },
    });
  });

  it("outside EC2 is a failure that says so", async () => {
    const { reports, reported } = start({ region: undefined });
    await reported(1);
    expect(reports[0]).toMatchObject({
      ok: false,
      error: { code: "DISCOVERY_FAILED", message: expect.stringContaining("instance metadata service") },
    });
    expect(aws.requests).toEqual([]);
  });

  it.each(["AWS_REGION", "AWS_DEFAULT_REGION"])("is not asked for the region with %s", async (name) => {
    vi.stubEnv(name, "ap-south-1");
    const { reported } = start({ region: undefined });
    await reported(1);
    expect(parseAuthorization(String(aws.requests[0]!.headers["authorization"])).region).toBe("ap-south-1");
    expect(aws.metadataRequests).toEqual([]);
  });
});

it("what EC2 refuses is a failure with its name, and the keys are in no part of it", async () => {
  aws.error = "UnauthorizedOperation";
  const { reports, reported } = start();
  await reported(1);
  expect(reports[0]).toMatchObject({
    ok: false,
    error: {
      code: "DISCOVERY_FAILED",
      message: expect.stringMatching(/UnauthorizedOperation.*ec2:DescribeInstances/),
    },
  });
});

it("says which package is missing", async () => {
  const missing = () => import(/* @vite-ignore */ `@aws-sdk/client-${"missing"}`);
  await expect(ec2Api("eu-central-1", undefined, missing)).rejects.toMatchObject({
    code: "PEER_DEPENDENCY_MISSING",
    message: expect.stringContaining("npm install @aws-sdk/client-ec2"),
  });
});

describe("options", () => {
  it("takes libcluster_ec2's names", () => {
    const options = { ec2_tagname: "cluster", ec2_tagvalue: "shop", app_prefix: "shop", ip_type: ":public" };
    expect(ec2.from(options)).toHaveProperty("start");
  });

  it.each([
    [{ tagName: "" }],
    [{ tagValue: [] }],
    [{ tagValue: 7 as never }],
    [{ nodeBasename: "a@b" }],
    [{ filters: { "vpc-id": [] } }],
    [{ filters: [] as never }],
    [{ endpoint: "ec2.local" }],
    [{ metadataEndpoint: "file:///x" }],
  ])("refuses %j", (options: Partial<Ec2Options>) => {
    expect(() => start(options)).toThrow(expect.objectContaining({ code: "STRATEGY_OPTIONS_INVALID" }));
  });
});

strategyCompliance("ec2", {
  secrets: ["wJalrXUtnFEMI"],
  badOptions: { "no tag": () => ec2.from({}) },
  async source() {
    const own = await startFakeAws();
    own.pages = [[{ privateIp: "10.0.0.2" }, { privateIp: "10.0.0.3" }]];
    return {
      nodes: ["app@10.0.0.2", "app@10.0.0.3"],
      make: () => ec2({ tagName: "cluster", tagValue: "shop", region: "eu-central-1", endpoint: own.url }),
      fail() {
        own.error = "UnauthorizedOperation";
      },
      close: () => own.close(),
    };
  },
});
