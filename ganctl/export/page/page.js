"use strict";
// The generator runs on the WebAssembly backend of TensorFlow.js. Everything shown is a function of
// `state`; a change of it schedules one drawing before the next frame of the screen.
(() => {
  const byId = (id) => document.getElementById(id);
  const values = JSON.parse(byId("values").textContent);
  const { latentDim, numSeeds, numDirections, classes, labels, noun, height, width, channels } = values;
  const inputDim = latentDim + classes.length;
  const SHEET = 8, GRID = Math.min(6, Math.ceil(Math.sqrt(numSeeds))); // images per side
  const canvas = byId("canvas"), frame = byId("frame"), ring = byId("ring");
  const context = canvas.getContext("2d");
  const moves = [...document.querySelectorAll(".move")];
  const radios = [...document.querySelectorAll("[data-mode]")];
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const state = { mode: "picture", seed: 0, label: null, truncation: 1, shift: moves.map(() => 0),
    u: 0, v: 0, cell: 0, at: 0, playing: false, speed: 0.7 };
  let latents, directions, weights, scheduled = false, lastTime = 0, sheetKey = "", sheetImage = null;

  async function unpack(id) {
    const text = atob(byId(id).textContent);
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  function fromHalf(half) {
    const sign = half & 0x8000 ? -1 : 1, exponent = (half >> 10) & 31, fraction = half & 1023;
    if (!exponent) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  async function load() {
    const [binary, data] = await Promise.all([unpack("wasm"), unpack("data")]);
    await tf.start(binary);
    const first = numSeeds * latentDim, second = numDirections * latentDim;
    latents = new Float32Array(data, 0, first);
    directions = new Float32Array(data, 4 * first, second);
    weights = Float32Array.from(new Uint16Array(data, 4 * (first + second)), fromHalf);
    for (const step of values.steps) {
      for (const name of ["w", "b"]) {
        if (!step[name]) continue;
        const { shape, offset } = step[name];
        const size = shape.reduce((product, side) => product * side, 1);
        step[name] = tf.keep(tf.tensor(weights.subarray(offset, offset + size), shape));
      }
    }
  }

  // Returns the generator's images of `count` inputs, as uint8 (count, H, W, C).
  function generate(inputs, count) {
    const images = tf.tidy(() => {
      const input = tf.tensor(inputs, [count, inputDim]);
      let x = input, style = null;
      for (const step of values.steps) {
        if (step.op === "style") [style, x] = [x, input];
        else x = apply(step, x, style, count);
      }
      return x;
    });
    const numbers = images.dataSync();
    images.dispose();
    const scaled = numbers.map((value) => (value + 1) * 127.5);
    if (channels === 4) { // colors were multiplied by alpha
      for (let i = 0; i < scaled.length; i += 4) {
        const alpha = Math.min(255, Math.max(0, Math.round(scaled[i + 3])));
        for (let c = 0; c < 3; c++) scaled[i + c] *= alpha && 255 / alpha;
      }
    }
    return Uint8ClampedArray.from(scaled); // rounds to the nearest
  }

  function apply(step, x, style, count) {
    if (step.op === "reshape") return tf.reshape(x, [count, ...step.shape]);
    if (step.op === "leaky") return step.slope ? tf.leakyRelu(x, step.slope) : tf.relu(x);
    if (step.op === "tanh") return tf.tanh(x);
    if (step.op === "dense") return tf.matMul({ a: x, b: step.w, bias: step.b });
    if (step.op === "scale") {
      const factors = tf.matMul({ a: style, b: step.w, bias: step.b });
      return tf.mul(x, tf.reshape(factors, [count, 1, 1, x.shape[3]]));
    }
    const y = tf.conv2d({ x, filter: step.w, strides: 1, pad: step.pad, bias: step.b });
    if (step.op === "conv") return y;
    const doubled = tf.depthToSpace(y, 2, "NHWC");
    const sides = [2 * x.shape[1] + step.edge, 2 * x.shape[2] + step.edge];
    return tf.slice(doubled, [0, step.crop, step.crop, 0], [count, ...sides, doubled.shape[3]]);
  }

  const ofSeed = (seed) => latents.subarray(seed * latentDim, (seed + 1) * latentDim);
  const ownLabel = (seed) => (labels ? labels[seed] : seed % (classes.length || 1));
  const labelOf = (seed) => state.label ?? ownLabel(seed);
  const wrapped = (seed) => ((seed % numSeeds) + numSeeds) % numSeeds;

  function oneHot(label) {
    return classes.map((_, index) => (index === label ? 1 : 0));
  }

  const mix = (a, b, t) => a.map((value, index) => (1 - t) * value + t * b[index]);

  // Shoemake 1985; the length is interpolated linearly, as `ganctl interpolate` does.
  function slerp(a, b, t) {
    const length = (z) => Math.hypot(...z);
    const la = length(a), lb = length(b);
    const cosine = a.reduce((sum, value, index) => sum + value * b[index], 0) / (la * lb);
    if (!(Math.abs(cosine) < 1 - 1e-6)) return mix(a, b, t);
    const angle = Math.acos(cosine), size = (1 - t) * la + t * lb;
    return a.map((value, index) => size * (Math.sin((1 - t) * angle) * value / la +
      Math.sin(t * angle) * b[index] / lb) / Math.sin(angle));
  }

  const point = (seed) => ({ z: [...ofSeed(seed)], c: oneHot(labelOf(seed)) });
  const between = (a, b, t) => (t === 0 ? a : t === 1 ? b
    : { z: slerp(a.z, b.z, t), c: mix(a.c, b.c, t) });

  // Returns the inputs of points, truncated and then moved along the directions.
  function inputsOf(points, truncation = state.truncation, shift = state.shift) {
    const inputs = new Float32Array(points.length * inputDim);
    points.forEach(({ z, c }, row) => {
      const input = inputs.subarray(row * inputDim, (row + 1) * inputDim);
      input.set(z.map((value) => truncation * value));
      shift.forEach((amount, number) => {
        if (!amount) return;
        for (let i = 0; i < latentDim; i++) input[i] += amount * directions[number * latentDim + i];
      });
      input.set(c, latentDim);
    });
    return inputs;
  }

  // Draws points as rows of `columns` images, and returns the pixels as ImageData.
  function picture(points, columns) {
    const pixels = generate(inputsOf(points), points.length);
    const image = new ImageData(columns * width, Math.ceil(points.length / columns) * height);
    for (let n = 0; n < points.length; n++) {
      const left = (n % columns) * width, top = Math.floor(n / columns) * height;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const from = ((n * height + y) * width + x) * channels;
          const to = ((top + y) * image.width + left + x) * 4;
          for (let c = 0; c < 3; c++) image.data[to + c] = pixels[from + (channels > 2 ? c : 0)];
          image.data[to + 3] = channels === 4 ? pixels[from + 3] : 255;
        }
      }
    }
    return image;
  }

  function show(image) {
    if (canvas.width !== image.width || canvas.height !== image.height) {
      canvas.width = image.width;
      canvas.height = image.height;
    }
    context.putImageData(image, 0, 0);
  }

  function corners() {
    return [0, 1, 2, 3].map((more) => point(wrapped(state.seed + more)));
  }

  function onSheet(u, v) {
    const [a, b, c, d] = corners();
    return between(between(a, b, u), between(c, d, u), v);
  }

  const Noun = noun[0].toUpperCase() + noun.slice(1);
  const named = (seed) => `${noun} ${seed}${classes.length ? `, class ${classes[labelOf(seed)]}` : ""}`;

  function caption(text) {
    if (byId("caption").textContent !== text) byId("caption").textContent = text;
    canvas.setAttribute("aria-label", text);
  }

  const drawers = {
    picture() {
      show(picture([point(state.seed)], 1));
      caption(`${named(state.seed)[0].toUpperCase()}${named(state.seed).slice(1)}`);
    },
    walk() {
      const seed = wrapped(Math.floor(state.at)), next = wrapped(seed + 1);
      show(picture([between(point(seed), point(next), state.at - Math.floor(state.at))], 1));
      caption(`From ${noun} ${seed} to ${noun} ${next}`);
    },
    grid() {
      const seeds = Array.from({ length: GRID * GRID }, (_, index) => wrapped(state.seed + index));
      show(picture(seeds.map(point), GRID));
      place(state.cell % GRID, Math.floor(state.cell / GRID), GRID);
      const span = seeds.length < numSeeds ? `${Noun}s ${seeds[0]} to ${seeds.at(-1)}` : `All ${noun}s`;
      caption(`${span}; chosen: ${named(seeds[state.cell])}`);
    },
    sheet() {
      const side = SHEET + 1;
      const key = JSON.stringify([state.seed, state.label, state.truncation, state.shift]);
      if (key !== sheetKey) {
        const all = Array.from({ length: side * side }, (_, index) =>
          onSheet((index % side) / SHEET, Math.floor(index / side) / SHEET));
        [sheetKey, sheetImage] = [key, picture(all, side)];
      }
      show(sheetImage);
      // The image below the finger, three times as large as the others.
      const here = document.createElement("canvas");
      [here.width, here.height] = [width, height];
      here.getContext("2d").putImageData(picture([onSheet(state.u, state.v)], 1), 0, 0);
      context.imageSmoothingEnabled = false;
      const left = state.u * (side - 3), top = state.v * (side - 3);
      context.drawImage(here, Math.round(left * width), Math.round(top * height), 3 * width, 3 * height);
      place(left, top, side, 3);
      const ends = [0, 3].map((more) => wrapped(state.seed + more));
      caption(`Between ${noun}s ${ends[0]} to ${ends[1]}: ${Math.round(100 * state.u)}% across, ` +
        `${Math.round(100 * state.v)}% down`);
    },
  };
  const help = {
    picture: `Arrow keys change the ${noun}.`,
    sheet: `Drag across the sheet, or use the arrow keys. Its corners are four ${noun}s in a row.`,
    walk: "Space plays and pauses, arrow keys step.",
    grid: "Choose an image to see it large: click it, or use the arrow keys and Enter.",
  };

  function place(column, row, side, size = 1) {
    ring.style.left = `${(100 * column) / side}%`;
    ring.style.top = `${(100 * row) / side}%`;
    ring.style.width = ring.style.height = `${(100 * size) / side}%`;
    ring.hidden = false;
  }

  function draw(time) {
    scheduled = false;
    if (state.playing && state.mode === "walk") {
      const seconds = lastTime ? Math.min(0.1, (time - lastTime) / 1000) : 0;
      lastTime = time;
      state.at = (state.at + state.speed * seconds) % numSeeds;
    }
    if (state.mode === "picture" || state.mode === "walk") ring.hidden = true;
    drawers[state.mode]();
    if (state.playing && state.mode === "walk") schedule();
  }

  function schedule() {
    if (scheduled || !latents) return;
    scheduled = true;
    requestAnimationFrame(draw);
  }

  function setPlaying(playing) {
    state.playing = playing;
    lastTime = 0;
    byId("play").textContent = playing ? "Pause" : "Play";
    schedule();
  }

  function setMode(mode) {
    state.mode = mode;
    for (const radio of radios) {
      const chosen = radio.dataset.mode === mode;
      radio.setAttribute("aria-checked", chosen);
      radio.tabIndex = chosen ? 0 : -1;
    }
    frame.className = `frame ${mode}${channels === 4 ? " checkered" : ""}`;
    frame.setAttribute("aria-label", radios.find((one) => one.dataset.mode === mode).textContent);
    byId("walking").hidden = mode !== "walk";
    byId("help").textContent = help[mode];
    if (mode === "walk") state.at = state.seed;
    state.cell = 0;
    setPlaying(mode === "walk" && !calm);
  }

  function setSeed(number) {
    const seed = Math.round(Number(number));
    const known = Number.isFinite(seed) && seed >= 0 && seed < numSeeds;
    byId("seed-note").textContent = known ? `0 to ${numSeeds - 1}`
      : `This page has the ${noun}s 0 to ${numSeeds - 1}${values.latents ? "" : "; ganctl sample draws the others"}.`;
    state.seed = known ? seed : Math.min(numSeeds - 1, Math.max(0, seed || 0));
    state.at = state.seed;
    byId("seed").value = state.seed;
    schedule();
  }

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const clamp = (value, top) => Math.min(top, Math.max(0, value));

  function pick(cell) {
    setMode("picture");
    setSeed(wrapped(state.seed + cell));
  }

  frame.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const [dx, dy] = arrows[event.key] || [0, 0];
    const step = dx - (state.mode === "grid" || state.mode === "sheet" ? 0 : dy);
    if (state.mode === "grid" && event.key === "Enter") pick(state.cell);
    else if (state.mode === "walk" && event.key === " ") setPlaying(!state.playing);
    else if (!arrows[event.key]) return;
    else if (state.mode === "picture") setSeed(wrapped(state.seed + step));
    else if (state.mode === "walk") {
      setPlaying(false);
      state.at = (state.at + step / 16 + numSeeds) % numSeeds;
    } else if (state.mode === "sheet") {
      state.u = clamp(state.u + dx / 32, 1);
      state.v = clamp(state.v + dy / 32, 1);
    } else {
      state.cell = clamp(state.cell % GRID + dx, GRID - 1) +
        GRID * clamp(Math.floor(state.cell / GRID) + dy, GRID - 1);
    }
    event.preventDefault();
    schedule();
  });

  function pointed(event) {
    const box = canvas.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width, 1), clamp((event.clientY - box.top) / box.height, 1)];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (state.mode !== "sheet") return;
    canvas.setPointerCapture(event.pointerId);
    [state.u, state.v] = pointed(event);
    schedule();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (state.mode !== "sheet" || !canvas.hasPointerCapture(event.pointerId)) return;
    [state.u, state.v] = pointed(event);
    schedule();
  });
  canvas.addEventListener("click", (event) => {
    if (state.mode !== "grid") return;
    const [x, y] = pointed(event).map((share) => Math.min(GRID - 1, Math.floor(share * GRID)));
    pick(x + GRID * y);
  });

  radios.forEach((radio, index) => {
    radio.addEventListener("click", () => setMode(radio.dataset.mode));
    radio.addEventListener("keydown", (event) => {
      const step = arrows[event.key];
      if (!step) return;
      event.preventDefault();
      const next = radios[(index + step[0] + step[1] + radios.length) % radios.length];
      next.focus();
      setMode(next.dataset.mode);
    });
  });
  byId("seed").addEventListener("change", (event) => setSeed(event.target.value));
  byId("previous").addEventListener("click", () => setSeed(wrapped(state.seed - 1)));
  byId("next").addEventListener("click", () => setSeed(wrapped(state.seed + 1)));
  byId("random").addEventListener("click", () => setSeed(Math.floor(Math.random() * numSeeds)));
  byId("class")?.addEventListener("change", (event) => {
    state.label = event.target.value === "" ? null : Number(event.target.value);
    schedule();
  });
  byId("truncation").addEventListener("input", (event) => {
    state.truncation = Number(event.target.value);
    byId("truncation-value").textContent = state.truncation.toFixed(2);
    schedule();
  });
  function setSpeed(speed) {
    state.speed = speed;
    byId("speed-value").textContent = `${speed.toFixed(1)} ${noun}s/s`;
  }
  byId("speed").addEventListener("input", (event) => setSpeed(Number(event.target.value)));
  byId("play").addEventListener("click", () => setPlaying(!state.playing));
  function move(index, amount) {
    state.shift[index] = amount;
    moves[index].nextElementSibling.textContent = amount.toFixed(1);
    moves[index].style.setProperty("--amount", amount);
    schedule();
  }
  moves.forEach((slider, index) =>
    slider.addEventListener("input", () => move(index, Number(slider.value))));
  byId("reset").addEventListener("click", () =>
    moves.forEach((slider, index) => { slider.value = 0; move(index, 0); }));

  // Returns how the shown image was made, as the files of `ganctl sample` say it.
  function provenance() {
    const count = { picture: 1, grid: GRID * GRID, sheet: 4, walk: 2 }[state.mode];
    const first = state.mode === "walk" ? Math.floor(state.at) : state.seed;
    const seeds = Array.from({ length: count }, (_, index) => wrapped(first + index));
    const moved = state.shift.flatMap((amount, index) => (amount ? [`${index + 1}=${amount}`] : []));
    return {
      Software: `ganctl ${values.version}`, checkpoint: values.digest, step: `${values.step}`,
      weights: values.origin, page: state.mode,
      ...(values.latents ? { ...values.latents, latent: seeds.join(",") } : { seeds: seeds.join(",") }),
      ...(state.mode === "walk" && { position: (state.at - Math.floor(state.at)).toFixed(3) }),
      ...(state.label !== null && { class: classes[state.label] }),
      ...(state.truncation < 1 && { truncation: `${state.truncation}` }),
      ...(moved.length && { moved: moved.join(",") }),
    };
  }

  byId("save").addEventListener("click", () => {
    const factor = Math.max(1, Math.round(512 / canvas.height));
    const large = document.createElement("canvas");
    [large.width, large.height] = [factor * canvas.width, factor * canvas.height];
    const target = large.getContext("2d");
    target.imageSmoothingEnabled = false;
    target.drawImage(canvas, 0, 0, large.width, large.height);
    const text = provenance();
    large.toBlob(async (blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await pngWithText(blob, text));
      link.download = `${values.name.replace(/[^\w-]+/g, "-")}-${state.mode}-${noun}-${state.seed}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  });

  const themes = ["auto", "light", "dark"];
  byId("theme").addEventListener("click", (event) => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme || "auto") + 1) % 3];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    event.target.textContent = `Theme: ${next === "auto" ? "automatic" : next}`;
  });

  setSpeed(state.speed);
  setMode("picture");
  load().then(() => {
    byId("save").disabled = false;
    // For the console and for tests: ganctl.sample(7) is the image of seed 7, uint8 (H, W, C).
    window.ganctl = { sample: (seed, label = ownLabel(seed), truncation = 1) =>
      generate(inputsOf([{ z: [...ofSeed(seed)], c: oneHot(label) }], truncation, []), 1) };
    schedule();
  }).catch((error) => {
    caption("This browser cannot run the generator. A current Firefox, Chrome, Edge or Safari can.");
    console.error(error);
  });
})();
