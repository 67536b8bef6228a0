import { describe, inject, test } from "vitest";
import type { Otp, OtpPeer, OtpRelease } from "./otp.ts";

export type { Otp, OtpRelease } from "./otp.ts";

/** The Erlang/OTP releases that are there, oldest first. */
export function otpReleases(): readonly Otp[] {
  return inject("otpPeers").filter((peer): peer is Otp => !("missing" in peer));
}

/**
 * One Erlang/OTP.
 * @throws if it is missing, with the reason
 */
export function requireOtp(otp: OtpRelease = 25): Otp {
  const peer = peerOf(otp);
  if ("missing" in peer) throw new Error(peer.missing);
  return peer;
}

/**
 * `describe` once for each release. For a release that is missing there is a test which says why: skipped for
 * OTP 29, which Debian may not offer, and wherever peers are not required; failing for any other when `CI=true`
 * or `ISTHMUS_REQUIRE_PEERS=1`.
 */
export function eachOtp(
  title: string,
  body: (otp: Otp) => void,
  releases: readonly OtpRelease[] = [23, 25, 27, 29],
): void {
  const required = process.env["CI"] === "true" || process.env["ISTHMUS_REQUIRE_PEERS"] === "1";
  for (const release of releases) {
    const peer = peerOf(release);
    if (!("missing" in peer)) {
      describe(`${title} on OTP ${peer.release}`, () => body(peer));
    } else if (required && release !== 29) {
      test(`${title} on OTP ${release}`, () => {
        throw new Error(peer.missing);
      });
    } else {
      test.skip(`${title} on OTP ${release}: ${peer.missing}`, () => {});
    }
  }
}

function peerOf(otp: OtpRelease): OtpPeer {
  return inject("otpPeers").find((peer) => peer.otp === otp)!;
}
