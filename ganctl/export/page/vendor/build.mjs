// Rebuilds tfjs.min.js and tfjs-simd.wasm.gz: npm install && npm run build
import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const wasm = "./node_modules/@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm";
const unused = { // threads need headers that a local file cannot have; nothing here runs in Node
  name: "unused",
  setup(builder) {
    builder.onLoad({ filter: /threaded-simd(\.worker)?\.js$/ }, () => ({
      contents: "export default undefined; export const wasmWorkerContents = '';",
    }));
    builder.onResolve({ filter: /^@tensorflow\/tfjs-core$/ }, (from) =>
      builder.resolve("@tensorflow/tfjs-core/dist/base.js", { resolveDir: from.resolveDir, kind: from.kind }));
    for (const name of ["fs", "path", "crypto", "perf_hooks", "worker_threads", "util", "os"]) {
      builder.onResolve({ filter: new RegExp(`^(node:)?${name}$`) }, () => ({ path: name, namespace: "none" }));
    }
    builder.onLoad({ filter: /.*/, namespace: "none" }, () => ({ contents: "" }));
  },
};
await build({
  entryPoints: ["entry.js"], outfile: "tfjs.min.js", bundle: true, minify: true, format: "iife",
  globalName: "tf", platform: "browser", target: "es2020", legalComments: "none", charset: "utf8",
  plugins: [unused], logLevel: "info", logOverride: { "direct-eval": "silent" },
  banner: { js: "/*! TensorFlow.js 4.22.0, Copyright Google LLC, Apache License 2.0; see THIRD-PARTY-NOTICES.md of ganctl */" },
});
writeFileSync("tfjs-simd.wasm.gz", gzipSync(readFileSync(wasm), { level: 9 }));
