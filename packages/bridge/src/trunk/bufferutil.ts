import { createRequire } from "node:module";

/** Writes `length` bytes of `source`, masked, to `output` from `offset` on (RFC 6455, section 5.3). */
export type Mask = (source: Buffer, mask: Buffer, output: Buffer, offset: number, length: number) => void;

/** Shorter ones are masked in JavaScript: the call would cost more. */
const MIN_NATIVE_BYTES = 48;

const native = load();

/** Whether the npm package `bufferutil`, which masks WebSocket messages several times as fast, can be loaded. */
export function hasBufferutil(): boolean {
  return native !== undefined;
}

/** See {@link Mask}. */
export const maskBytes: Mask = (source, mask, output, offset, length) => {
  if (native !== undefined && length >= MIN_NATIVE_BYTES) native(source, mask, output, offset, length);
  else for (let i = 0; i < length; i++) output[offset + i] = source[i]! ^ mask[i & 3]!;
};

function load(): Mask | undefined {
  if (process.env["WS_NO_BUFFER_UTIL"]) return undefined;
  try {
    return (createRequire(import.meta.url)("bufferutil") as { readonly mask: Mask }).mask;
  } catch {
    // optional: without it the same is done in JavaScript
    return undefined;
  }
}
