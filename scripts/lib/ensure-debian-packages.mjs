import { existsSync, rmSync, writeFileSync } from "node:fs";
import { quietStep, run, StepFailed } from "./run.mjs";

/** Debian's packages that the tests with real peers need. */
export const debianPackages = [
  ...["base", "crypto", "ssl", "public-key", "asn1", "syntax-tools", "tools", "eunit", "inets"].map(erlang),
  ...["runtime-tools", "dev"].map(erlang),
  "elixir",
  "patchelf",
  "openssl",
  "iproute2",
  "iputils-ping",
  "nftables",
  "knot",
  "postgresql",
  "nats-server",
  "rabbitmq-server",
];

/** Debian asks this program whether a package may start its service. */
const servicePolicy = "/usr/sbin/policy-rc.d";

function erlang(name) {
  return `erlang-${name}`;
}

/** Whether this machine has Debian's package tools. */
export function isDebian() {
  return existsSync("/etc/debian_version") && existsSync("/usr/bin/apt-get");
}

/**
 * Installs what is missing, as root; otherwise fails with the command to run. No service is started: the tests run
 * their own. On other systems it only looks for the programs, because the names of packages differ.
 */
export async function ensureDebianPackages() {
  if (!isDebian()) return requirePrograms();
  const missing = await missingPackages();
  if (missing.length === 0) return;
  const install = ["install", "-y", "--no-install-recommends", ...missing];
  if (process.getuid?.() !== 0) {
    throw new StepFailed(
      "Some Debian packages are missing, and only root can install them. Run this, then try again:\n" +
        `  sudo apt-get update && sudo apt-get ${install.join(" ")}`,
    );
  }
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_MODE: "a" };
  const wait = ["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"];
  const ok =
    (await quietStep("Updating the package lists", "apt-get", [...wait, "update"], { env })) &&
    (await withoutServices(() =>
      quietStep(`Installing ${missing.join(" ")}`, "apt-get", [...wait, ...install], { env }),
    ));
  if (!ok) throw new StepFailed("The Debian packages that the tests need could not be installed.");
}

/** Runs `install` while no package may start a service. */
async function withoutServices(install) {
  if (existsSync(servicePolicy)) return install();
  writeFileSync(servicePolicy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return await install();
  } finally {
    rmSync(servicePolicy);
  }
}

async function missingPackages() {
  const format = `-f=\${db:Status-Status} \${Package}\\n`;
  const { stdout } = await run("dpkg-query", ["-W", format, ...debianPackages], { quiet: true });
  const installed = new Set(stdout.split("\n").map((line) => line.match(/^installed (\S+)$/)?.[1]));
  return debianPackages.filter((name) => !installed.has(name));
}

async function requirePrograms() {
  const missing = [];
  for (const program of ["erl", "erlc", "epmd", "elixir", "openssl", "ip", "nft", "knotd", "psql"]) {
    const { status } = await run("sh", ["-c", `command -v ${program}`], { quiet: true });
    if (status !== 0) missing.push(program);
  }
  if (missing.length === 0) return;
  throw new StepFailed(
    `These programs are needed in PATH by the tests with real peers: ${missing.join(", ")}.\n` +
      "Install Erlang/OTP 25 or newer, Elixir, OpenSSL, iproute2, nftables, Knot DNS and PostgreSQL, or run only the unit tests: npm test -- --unit",
  );
}
