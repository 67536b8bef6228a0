import {
  EC2Client,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { ec2 } from "@isthmus/strategies/ec2";
import { afterAll, beforeAll, it, vi } from "vitest";
import { type Moto, startMoto } from "../support/moto.ts";
import { Shop } from "./shop.ts";

const shop = new Shop();
let moto: Moto;
let client: EC2Client;
beforeAll(async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKID");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "s3cret");
  moto = await startMoto();
  client = new EC2Client({ region: "eu-central-1", endpoint: moto.url });
});
afterAll(async () => {
  await shop.close();
  client.destroy();
  await moto.stop();
  vi.unstubAllEnvs();
});

/** Starts instances with the tag. */
async function run(count: number): Promise<{ readonly id: string; readonly ip: string }[]> {
  const Tags = [{ Key: "cluster", Value: "shop" }];
  const { Instances = [] } = await client.send(
    new RunInstancesCommand({
      ImageId: "ami-12c6146b",
      MinCount: count,
      MaxCount: count,
      TagSpecifications: [{ ResourceType: "instance", Tags }],
    }),
  );
  return Instances.map(({ InstanceId = "", PrivateIpAddress = "" }) => ({
    id: InstanceId,
    ip: PrivateIpAddress,
  }));
}

it("nodes are connected while their instances run, and stay while EC2 does not answer", async () => {
  const [one, two] = (await run(2)) as [{ id: string; ip: string }, { id: string; ip: string }];
  await Promise.all([shop.open(one.ip), shop.open(two.ip)]);
  await shop.follow(
    ec2({
      tagName: "cluster",
      tagValue: "shop",
      nodeBasename: "shop",
      region: "eu-central-1",
      endpoint: moto.url,
      pollingInterval: 100,
    }),
  );
  await shop.connected(one.ip, two.ip);
  await client.send(new StopInstancesCommand({ InstanceIds: [one.id] }));
  await shop.connected(two.ip);
  await client.send(new StartInstancesCommand({ InstanceIds: [one.id] }));
  await shop.connected(one.ip, two.ip);
  await client.send(new TerminateInstancesCommand({ InstanceIds: [two.id] }));
  await shop.connected(one.ip);
  await moto.stop();
  await shop.event("discovery_failed");
  await shop.connected(one.ip);
});
