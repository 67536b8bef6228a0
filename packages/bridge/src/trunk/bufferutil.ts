import { createRequire } from "node:module";

/** Whether the npm package `bufferutil`, which makes masking of WebSocket messages about twice as fast, can be loaded. */
export function hasBufferutil(): boolean {
  if (process.env["WS_NO_BUFFER_UTIL"]) return false;
  try {
    createRequire(import.meta.url)("bufferutil");
    return true;
  } catch {
    // optional: without it `ws` does the same in JavaScript
    return false;
  }
}
