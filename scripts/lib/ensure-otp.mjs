import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { isDebian } from "./ensure-debian-packages.mjs";
import { root } from "./root.mjs";
import { quietStep, run, StepFailed } from "./run.mjs";

/** Releases beside the one in PATH. Only a core release that is missing fails the tests. */
const releases = [
  { release: 23, core: true },
  { release: 27, core: true },
  { release: 29, core: false },
];

/** Where releases are built: `ISTHMUS_OTP_DIR`, otherwise a cache of this user. */
function buildFolder() {
  return process.env.ISTHMUS_OTP_DIR || join(homedir(), ".cache", "isthmus", "otp");
}

/**
 * Makes sure that the Erlang/OTP releases for the tests are there. A folder named by `ISTHMUS_OTP_<release>`
 * is taken as it is; otherwise the release is made from Debian's packages, once.
 * @returns {Promise<Record<string, string>>} the `ISTHMUS_OTP_<release>` variables for the tests
 */
export async function ensureOtp() {
  const inPath = await otpInPath();
  if (inPath === undefined || inPath < 25) {
    throw new StepFailed(
      `The tests need Erlang/OTP 25 or newer in PATH; ${inPath === undefined ? "there is none" : `OTP ${inPath} is there`}.`,
    );
  }
  const folders = {};
  for (const { release, core } of releases) {
    const name = `ISTHMUS_OTP_${release}`;
    const folder = process.env[name] || (await build(release));
    if (folder !== undefined && (await otpRelease(join(folder, "bin", "erl"))) === release) {
      folders[name] = folder;
    } else if (core || process.env[name]) {
      throw new StepFailed(
        `Erlang/OTP ${release} is missing${folder === undefined ? "" : ` in ${folder}`}. Set ${name} to a folder that has its bin/erl, ` +
          "or run only the unit tests: npm test -- --unit",
      );
    } else {
      console.log(`Erlang/OTP ${release} is not to be had here: its tests are reported as skipped.`);
    }
  }
  return folders;
}

/** The release of the `erl` in PATH, or undefined when there is none. */
export function otpInPath() {
  return otpRelease("erl");
}

async function otpRelease(erl) {
  const print = 'io:put_chars([erlang:system_info(otp_release),"\\n"]),halt().';
  const { status, stdout } = await run(erl, ["-noinput", "-boot", "start_clean", "-eval", print], {
    quiet: true,
    env: withoutErlangVariables(process.env),
  });
  return status === 0 ? Number(stdout) : undefined;
}

/** The environment less what would change how an Erlang node starts. */
export function withoutErlangVariables(env) {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(ERL_|ERLC_|ELIXIR_|RELEASE_)/.test(name)),
  );
}

async function build(release) {
  const folder = join(buildFolder(), String(release));
  if (existsSync(join(folder, ".otp-matrix"))) return folder;
  if (!isDebian()) return undefined;
  const script = join(root, "scripts", "otp-matrix.sh");
  const env = { OTP_MATRIX_CACHE: join(buildFolder(), "downloads"), ...process.env };
  const ok = await quietStep(
    `Making Erlang/OTP ${release} in ${folder}`,
    "bash",
    [script, String(release), folder],
    { env },
  );
  return ok ? folder : undefined;
}
