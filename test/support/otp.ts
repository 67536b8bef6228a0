import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** 25 stands for the one in PATH, which may be newer; the others are found by `ISTHMUS_OTP_<release>`. */
export type OtpRelease = 23 | 25 | 27 | 29;

/** An Erlang/OTP that is there. */
export interface Otp {
  /** The release that was asked for. */
  readonly otp: OtpRelease;
  /** The release that it says it is. */
  readonly release: number;
  readonly erl: string;
  readonly erlc: string;
  readonly epmd: string;
  /** Folder with the compiled modules of test/erlang. */
  readonly ebin: string;
}

/** An Erlang/OTP, or the sentence that says why it is missing. */
export type OtpPeer = Otp | { readonly otp: OtpRelease; readonly missing: string };

/** Looks for an Erlang/OTP and asks it for its release. */
export async function findOtp(
  otp: OtpRelease,
): Promise<Omit<Otp, "ebin"> | { otp: OtpRelease; missing: string }> {
  const variable = `ISTHMUS_OTP_${otp}`;
  const folder = process.env[variable];
  if (otp !== 25 && !folder)
    return { otp, missing: `${variable} is not set: the folder of an Erlang/OTP ${otp}` };
  const folders = otp === 25 ? (process.env["PATH"] ?? "").split(delimiter) : [join(folder!, "bin")];
  const programs = { erl: find("erl", folders), erlc: find("erlc", folders), epmd: find("epmd", folders) };
  for (const [name, path] of Object.entries(programs)) {
    if (path === undefined)
      return { otp, missing: `${name} is not in ${otp === 25 ? "PATH" : `the folder of ${variable}`}` };
  }
  const { erl, erlc, epmd } = programs as Record<keyof typeof programs, string>;
  const release = await askRelease(erl);
  if (otp === 25 ? release < 25 : release !== otp) {
    return { otp, missing: `${otp === 25 ? "erl in PATH" : variable} is OTP ${release}, not ${otp}` };
  }
  return { otp, release, erl, erlc, epmd };
}

function find(program: string, folders: readonly string[]): string | undefined {
  return folders
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

async function askRelease(erl: string): Promise<number> {
  const print = "io:put_chars(erlang:system_info(otp_release)),halt().";
  const { stdout } = await promisify(execFile)(erl, ["-noinput", "-boot", "start_clean", "-eval", print]);
  return Number(stdout);
}
