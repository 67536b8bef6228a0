// Runs once before the tests with real peers: finds the Erlang/OTP releases and compiles test/erlang for each.
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { findOtp, type Otp, type OtpPeer } from "./otp.ts";

declare module "vitest" {
  interface ProvidedContext {
    readonly otpPeers: readonly OtpPeer[];
  }
}

const sources = fileURLToPath(new URL("../erlang", import.meta.url));
const cache = fileURLToPath(new URL("../../.test-cache", import.meta.url));

export async function setup(project: TestProject): Promise<void> {
  const found = await Promise.all(([23, 25, 27, 29] as const).map(findOtp));
  const peers = found.map(async (peer) =>
    "missing" in peer ? peer : { ...peer, ebin: await compile(peer) },
  );
  project.provide("otpPeers", await Promise.all(peers));
}

/** Compiles test/erlang, unless these sources were compiled before by this release. @throws with erlc's words */
async function compile({ erlc, release }: Omit<Otp, "ebin">): Promise<string> {
  const files = readdirSync(sources)
    .filter((name) => name.endsWith(".erl"))
    .sort()
    .map((name) => join(sources, name));
  const hash = createHash("sha256");
  for (const file of files) hash.update(file).update(readFileSync(file));
  const ebin = join(cache, "ebin", `${release}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(ebin)) return ebin;

  const work = `${ebin}.${randomUUID()}`;
  mkdirSync(work, { recursive: true });
  try {
    await promisify(execFile)(erlc, ["-Werror", "+debug_info", "-o", work, ...files]);
    renameSync(work, ebin);
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    // another run may have been quicker
    if (!existsSync(ebin)) {
      const { stdout, stderr } = error as { stdout?: string; stderr?: string };
      throw new Error(`test/erlang does not compile on OTP ${release}:\n${stdout}${stderr}`, {
        cause: error,
      });
    }
  }
  return ebin;
}
