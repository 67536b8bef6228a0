import { describe, expect, it } from "vitest";
import { parseAuthorization, type SignedRequest, sigv4 } from "./sigv4.ts";

// AWS's published suite: every request is signed with these
const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SCOPE = { accessKeyId: "AKIDEXAMPLE", date: "20150830", region: "us-east-1", service: "service" };
const HEADERS = { host: "example.amazonaws.com", "x-amz-date": "20150830T123600Z" };

const get: SignedRequest = { method: "GET", url: "/", headers: HEADERS, body: "" };
const form = { "content-type": "application/x-www-form-urlencoded" };

describe("the tests' own signatures are those of AWS's test suite", () => {
  it.each([
    ["get-vanilla", get, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"],
    [
      "get-vanilla-query-order-key-case",
      { ...get, url: "/?Param2=value2&Param1=value1" },
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ],
    [
      "post-vanilla",
      { ...get, method: "POST" },
      "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ],
    [
      "post-x-www-form-urlencoded",
      { ...get, method: "POST", headers: { ...HEADERS, ...form }, body: "Param1=value1" },
      "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ],
  ])("%s", (_name, request, signature) => {
    const signedHeaders = Object.keys(request.headers).sort();
    expect(sigv4(request, SECRET, { ...SCOPE, signedHeaders })).toBe(signature);
  });

  it("an Authorization header is taken apart", () => {
    const signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    const scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
    const header = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}`;
    expect(parseAuthorization(header)).toEqual({
      ...SCOPE,
      signedHeaders: ["host", "x-amz-date"],
      signature,
    });
    expect(() => parseAuthorization("Bearer x")).toThrow("No Authorization");
  });
});
