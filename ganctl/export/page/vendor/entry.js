// What the page uses of TensorFlow.js: the engine, the WebAssembly backend, and a few kernels.
import "@tensorflow/tfjs-core/dist/flags.js";
import "@tensorflow/tfjs-core/dist/platforms/platform_browser.js";
import "@tensorflow/tfjs-backend-wasm/dist/flags_wasm.js";
import { BackendWasm, init, setWasmPaths } from "@tensorflow/tfjs-backend-wasm/dist/backend_wasm.js";
import { env, registerBackend, registerKernel, setBackend, ready } from "@tensorflow/tfjs-core/dist/base.js";
import { _fusedMatMulConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/_FusedMatMul.js";
import { fusedConv2DConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/FusedConv2D.js";
import { depthToSpaceConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/DepthToSpace.js";
import { sliceConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/Slice.js";
import { reshapeConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/Reshape.js";
import { identityConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/Identity.js";
import { leakyReluConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/LeakyRelu.js";
import { reluConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/Relu.js";
import { tanhConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/Tanh.js";
import { multiplyConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/Multiply.js";
import { addConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/Add.js";

export { tensor } from "@tensorflow/tfjs-core/dist/ops/tensor.js";
export { tidy, keep } from "@tensorflow/tfjs-core/dist/globals.js";
export { reshape } from "@tensorflow/tfjs-core/dist/ops/reshape.js";
export { slice } from "@tensorflow/tfjs-core/dist/ops/slice.js";
export { leakyRelu } from "@tensorflow/tfjs-core/dist/ops/leaky_relu.js";
export { relu } from "@tensorflow/tfjs-core/dist/ops/relu.js";
export { tanh } from "@tensorflow/tfjs-core/dist/ops/tanh.js";
export { depthToSpace } from "@tensorflow/tfjs-core/dist/ops/depth_to_space.js";
export { conv2d } from "@tensorflow/tfjs-core/dist/ops/fused/conv2d.js";
export { mul } from "@tensorflow/tfjs-core/dist/ops/mul.js";
export { matMul } from "@tensorflow/tfjs-core/dist/ops/fused/mat_mul.js";

// Start the backend from the bytes of its WebAssembly module, without a request.
export async function start(bytes) {
  env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  env().platform.fetch = async () => ({ ok: true, arrayBuffer: async () => bytes });
  const name = "tfjs-backend-wasm";
  const paths = { [`${name}.wasm`]: "", [`${name}-simd.wasm`]: "", [`${name}-threaded-simd.wasm`]: "" };
  setWasmPaths(paths, true);
  registerBackend("wasm", async () => new BackendWasm((await init()).wasm));
  for (const kernel of [_fusedMatMulConfig, fusedConv2DConfig, depthToSpaceConfig, sliceConfig,
    reshapeConfig, identityConfig, leakyReluConfig, reluConfig, tanhConfig, addConfig,
    multiplyConfig]) {
    registerKernel(kernel);
  }
  await setBackend("wasm");
  await ready();
}
