"use strict";
// The slider, a click on a chart or a key selects an epoch for the whole page. While the pointer is
// over a chart, the charts show the values of the epoch below it.
(() => {
  const values = JSON.parse(document.getElementById("values").textContent);
  const slider = document.getElementById("slider");
  const play = document.getElementById("play");
  const epochText = document.getElementById("epoch");
  const sets = [...document.querySelectorAll(".frames")].map((set) => [...set.children]);
  const charts = [...document.querySelectorAll(".chart")].map((element) => ({
    ...values.charts[element.dataset.chart],
    plot: element.querySelector(".plot"),
    cursor: element.querySelector(".cursor"),
    dots: [...element.querySelectorAll(".plot circle")],
    texts: [...element.querySelectorAll(".legend b")],
    at: element.querySelector(".at b"),
  }));
  const { positions, epochs, first, last } = values;
  let selected = positions.at(-1);
  let timer = 0;

  // Returns the index of the last number that is at most `epoch`, or 0 if all are larger.
  const lastUpTo = (numbers, epoch) => Math.max(0, numbers.findLastIndex((number) => number <= epoch));
  const nearest = (numbers, epoch) =>
    numbers.reduce((best, n) => (Math.abs(n - epoch) < Math.abs(best - epoch) ? n : best), numbers[0]);

  function showPictures(epoch) {
    for (const pictures of sets) {
      const wanted = lastUpTo(pictures.map((picture) => Number(picture.dataset.epoch)), epoch);
      pictures.forEach((picture, index) => { picture.hidden = index !== wanted; });
      const of = pictures[0].closest("figure").querySelector(".of");
      if (of) of.textContent = pictures[wanted].dataset.epoch;
    }
  }

  function showValues(epoch) {
    const x = last > first ? (100 * (epoch - first)) / (last - first) : 50;
    for (const chart of charts) {
      chart.cursor.setAttribute("x1", `${x}%`);
      chart.cursor.setAttribute("x2", `${x}%`);
      chart.cursor.setAttribute("visibility", "visible");
      chart.at.textContent = epoch;
      const values = chart.lines.map((line, number) => {
        const known = line.epochs[0] <= epoch; // after its last epoch a run keeps its last value
        const index = lastUpTo(line.epochs, epoch);
        const text = known ? line.texts[index] : "–";
        chart.texts[number].textContent = text;
        chart.dots[number].setAttribute("visibility", known ? "visible" : "hidden");
        if (known) {
          chart.dots[number].setAttribute("cx", `${line.xs[index]}%`);
          chart.dots[number].setAttribute("cy", `${line.ys[index]}%`);
        }
        return `${line.label} ${text}`;
      });
      chart.plot.setAttribute("aria-valuenow", epoch);
      chart.plot.setAttribute("aria-valuetext", `epoch ${epoch}: ${values.join(", ")}`);
    }
  }

  function select(epoch) {
    selected = epoch;
    showPictures(epoch);
    showValues(epoch);
    if (slider) {
      const index = positions.indexOf(nearest(positions, epoch));
      slider.value = index;
      slider.setAttribute("aria-valuetext", `epoch ${positions[index]}`);
      epochText.textContent = `epoch ${epoch}`;
    }
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    if (play) play.textContent = "Play";
  }

  // Returns the index that a key leads to from `index` of `count`, or undefined for other keys.
  function target(key, index, count) {
    const to = { ArrowLeft: index - 1, ArrowDown: index - 1, ArrowRight: index + 1,
      ArrowUp: index + 1, PageDown: index - Math.ceil(count / 10),
      PageUp: index + Math.ceil(count / 10), Home: 0, End: count - 1 }[key];
    return to === undefined ? to : Math.min(count - 1, Math.max(0, to));
  }

  if (slider && positions.length > 1) {
    document.getElementById("controls").hidden = false;
    slider.addEventListener("input", () => { stop(); select(positions[slider.value]); });
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      let index = lastUpTo(positions, selected);
      index = index === positions.length - 1 ? -1 : index;
      const step = () => {
        index += 1;
        select(positions[index]);
        if (index === positions.length - 1) stop();
      };
      play.textContent = "Pause";
      timer = setInterval(step, Math.min(600, Math.max(120, 9000 / positions.length)));
      step();
    });
    document.addEventListener("keydown", (event) => {
      const sideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
      if (!sideways || event.target !== document.body || event.altKey || event.ctrlKey ||
        event.metaKey) return;
      event.preventDefault();
      stop();
      select(positions[target(event.key, lastUpTo(positions, selected), positions.length)]);
    });
  }

  for (const { plot, title } of charts) {
    const epochAt = (event) => {
      const box = plot.firstElementChild.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return nearest(epochs, first + share * (last - first));
    };
    plot.tabIndex = 0;
    for (const [name, value] of Object.entries({ role: "slider", "aria-label": `${title}: epoch`,
      "aria-orientation": "horizontal", "aria-valuemin": first, "aria-valuemax": last })) {
      plot.setAttribute(name, value);
    }
    plot.addEventListener("pointermove", (event) => showValues(epochAt(event)));
    plot.addEventListener("pointerleave", () => showValues(selected));
    plot.addEventListener("click", (event) => { stop(); select(epochAt(event)); });
    plot.addEventListener("keydown", (event) => {
      const to = target(event.key, lastUpTo(epochs, selected), epochs.length);
      if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      stop();
      select(epochs[to]);
    });
  }

  const status = document.getElementById("status");
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.previousElementSibling;
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
        status.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code); // so that it can be copied by keyboard
        status.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; status.textContent = ""; }, 1500);
    });
  }

  if (positions.length) select(selected);
})();
