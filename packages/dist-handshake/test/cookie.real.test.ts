import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cookie, digest } from "@isthmus/dist-handshake";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Beam, Epmd, installedOtps } from "./support/beam.ts";

describe.each(installedOtps())("a cookie file as OTP $release reads it", (otp) => {
  let epmd: Epmd;
  let folder = "";
  beforeAll(async () => {
    epmd = await Epmd.start();
    folder = mkdtempSync(join(tmpdir(), "isthmus-cookie-"));
  });
  afterAll(async () => {
    await epmd?.stop();
    rmSync(folder, { recursive: true });
  });

  it.each(["PLAIN", "LINE\n", "BLANK IN IT  \r\n \n", "~!'\\\""])("%j", async (content) => {
    const path = join(folder, "cookie");
    rmSync(path, { force: true });
    writeFileSync(path, content, { mode: 0o400 });
    const beam = await Beam.start({ otp, epmd, name: "c@127.0.0.1", cookieFile: content });
    try {
      const made = await beam.eval(
        '[X + 1000 || <<X>> <= erlang:md5([atom_to_list(erlang:get_cookie()), "12345"])].',
      );
      expect(JSON.parse(made)).toEqual([...digest(12345, Cookie.fromFile(path))].map((byte) => byte + 1000));
    } finally {
      await beam.stop();
    }
  });
});
