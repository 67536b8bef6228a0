import { describe, expect, it } from "vitest";
import { epmdEnvironment } from "../src/environment.ts";
import { codeOf } from "./support/code.ts";

describe("epmdEnvironment", () => {
  it("has epmd's defaults", () => {
    expect(epmdEnvironment({})).toEqual({ port: 4369, addresses: [], relaxedCommandCheck: false });
    expect(epmdEnvironment({ ERL_EPMD_PORT: "", ERL_EPMD_ADDRESS: " , " })).toEqual(epmdEnvironment({}));
  });

  it("reads all three variables", () => {
    const env = {
      ERL_EPMD_PORT: "4370",
      ERL_EPMD_ADDRESS: "10.0.0.1, ::1 192.168.0.1",
      ERL_EPMD_RELAXED_COMMAND_CHECK: "",
    };
    expect(epmdEnvironment(env)).toEqual({
      port: 4370,
      addresses: ["10.0.0.1", "::1", "192.168.0.1"],
      relaxedCommandCheck: true,
    });
  });

  it.each(["0", "65536", "-1", "4369x", "1e3", "999999"])("does not pass over the port %j", (port) => {
    expect(codeOf(() => epmdEnvironment({ ERL_EPMD_PORT: port }))).toBe("EPMD_ENVIRONMENT_INVALID");
  });

  it("does not pass over an address that is none", () => {
    const env = { ERL_EPMD_ADDRESS: "127.0.0.1,localhost" };
    expect(codeOf(() => epmdEnvironment(env))).toBe("EPMD_ENVIRONMENT_INVALID");
  });
});
