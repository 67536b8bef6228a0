import {
  CreateTagsCommand,
  EC2Client,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import type { Discovery } from "@isthmus/strategies";
import { type Ec2Options, ec2 } from "@isthmus/strategies/ec2";
import { systemClock } from "@isthmus/wire";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { type Moto, startMoto } from "../../../../test/support/moto.ts";
import { recordingLogger } from "../support/fake-cluster.ts";
import { startFakeAws } from "./fake-aws.ts";

let moto: Moto;
let client: EC2Client;
let ends: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKID");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "s3cret");
  moto = await startMoto();
  client = new EC2Client({ region: "eu-central-1", endpoint: moto.url });
});
afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  ends = [];
});
afterAll(async () => {
  client.destroy();
  await moto.stop();
  vi.unstubAllEnvs();
});

/** Starts instances with tags. @returns their ids and addresses */
async function run(count: number, tags: Readonly<Record<string, string>>) {
  const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
  const { Instances = [] } = await client.send(
    new RunInstancesCommand({
      ImageId: "ami-12c6146b",
      MinCount: count,
      MaxCount: count,
      TagSpecifications: [{ ResourceType: "instance", Tags }],
    }),
  );
  return Instances.map(({ InstanceId = "", PrivateIpAddress = "", PublicIpAddress = "" }) => ({
    id: InstanceId,
    privateIp: PrivateIpAddress,
    publicIp: PublicIpAddress,
  }));
}

function start(options: Partial<Ec2Options> = {}) {
  const reports: Discovery[] = [];
  const strategy = ec2({
    tagName: "cluster",
    tagValue: "shop",
    region: "eu-central-1",
    endpoint: moto.url,
    pollingInterval: 100,
    ...options,
  });
  ends.push(() => strategy.stop());
  strategy.start({
    self: "app@127.0.0.1",
    report: (discovery) => void reports.push(discovery),
    logger: recordingLogger(),
    clock: systemClock,
    signal: new AbortController().signal,
    compat: false,
  });
  const nodes = (): readonly string[] | undefined => {
    const last = reports.findLast((report) => report.ok);
    return last?.ok === true ? [...last.nodes].sort() : undefined;
  };
  return { reports, nodes };
}

const patiently = { timeout: 20_000, interval: 20 };
const names = (instances: readonly { privateIp: string }[]) =>
  instances.map(({ privateIp }) => `app@${privateIp}`).sort();

it("follows instances as they start, stop, change their tags and end", async () => {
  await run(2, { cluster: "other" });
  const { nodes, reports } = start();
  await expect.poll(nodes, patiently).toEqual([]);
  const [a, b, c] = (await run(3, { cluster: "shop" })) as [Run, Run, Run];
  await expect.poll(nodes, patiently).toEqual(names([a, b, c]));
  await client.send(new StopInstancesCommand({ InstanceIds: [a.id] }));
  await expect.poll(nodes, patiently).toEqual(names([b, c]));
  await client.send(new CreateTagsCommand({ Resources: [b.id], Tags: [{ Key: "cluster", Value: "other" }] }));
  await expect.poll(nodes, patiently).toEqual(names([c]));
  await client.send(new StartInstancesCommand({ InstanceIds: [a.id] }));
  await client.send(new TerminateInstancesCommand({ InstanceIds: [c.id] }));
  await expect.poll(nodes, patiently).toEqual(names([a]));
  expect(reports.every(({ ok }) => ok)).toBe(true);
});

type Run = Awaited<ReturnType<typeof run>>[number];

it("takes several tag values, wildcards, further filters and public addresses", async () => {
  const [one] = (await run(1, { cluster: "bar-1", stage: "live" })) as [Run];
  const [two] = (await run(1, { cluster: "bar-2" })) as [Run];
  const both = start({ tagValue: ["bar-1", "bar-2"] });
  const all = start({ tagValue: "bar-*" });
  const live = start({ tagValue: "bar-*", filters: { "tag:stage": "live" } });
  const open = start({ tagValue: "bar-1", ipType: "public", nodeBasename: "bar" });
  await expect.poll(both.nodes, patiently).toEqual(names([one, two]));
  await expect.poll(all.nodes, patiently).toEqual(names([one, two]));
  await expect.poll(live.nodes, patiently).toEqual(names([one]));
  await expect.poll(open.nodes, patiently).toEqual([`bar@${one.publicIp}`]);
});

it("finds the tag's value by its own instance", async () => {
  const instances = await run(2, { cluster: "own-42" });
  const metadata = await startFakeAws();
  ends.push(() => metadata.close());
  metadata.metadata = { "/meta-data/instance-id": instances[0]!.id };
  const { nodes } = start({ tagValue: undefined, metadataEndpoint: metadata.url });
  await expect.poll(nodes, patiently).toEqual(names(instances));
});

it("another region has other instances", async () => {
  await run(1, { cluster: "shop" });
  const { nodes } = start({ region: "us-east-1" });
  await expect.poll(nodes, patiently).toEqual([]);
});
