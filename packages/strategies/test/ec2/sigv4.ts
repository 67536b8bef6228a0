import { createHash, createHmac } from "node:crypto";

/** A request as it went over the wire. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** What an Authorization header of AWS Signature Version 4 says. */
export interface Authorization {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();

/** Takes an Authorization header apart. @throws when it is none of this kind */
export function parseAuthorization(header: string): Authorization {
  const parts =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      header,
    );
  if (parts === null) throw new Error(`No Authorization of Signature Version 4: ${header}`);
  const [, accessKeyId, date, region, service, names, signature] = parts as unknown as string[];
  return {
    accessKeyId: accessKeyId!,
    date: date!,
    region: region!,
    service: service!,
    signedHeaders: names!.split(";"),
    signature: signature!,
  };
}

/** The signature that a request should have, as AWS's documentation describes it. */
export function sigv4(
  request: SignedRequest,
  secret: string,
  authorization: Omit<Authorization, "signature">,
): string {
  const { date, region, service, signedHeaders } = authorization;
  const url = new URL(request.url, "http://host");
  const query = [...url.searchParams]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort()
    .join("&");
  const headers = signedHeaders.map(
    (name) => `${name}:${String(request.headers[name]).trim().replace(/ +/g, " ")}\n`,
  );
  const canonical = [
    request.method,
    url.pathname,
    query,
    headers.join(""),
    signedHeaders.join(";"),
    sha256(request.body),
  ].join("\n");
  const scope = `${date}/${region}/${service}/aws4_request`;
  const time = String(request.headers["x-amz-date"]);
  const key = [region, service, "aws4_request"].reduce(hmac, hmac(`AWS4${secret}`, date));
  return hmac(key, ["AWS4-HMAC-SHA256", time, scope, sha256(canonical)].join("\n")).toString("hex");
}
