// Ten seconds of sound, and what a detector hears in them. What it calls stands in microphone.js.
const SECONDS = 10, STEP = 0.02;  // of the strip, and of its levels
const CHUNK = 0.1;  // seconds that go to the kernel in one message
const SILENT = 3;  // seconds without any sound are said
const PATIENCE = 5;  // so many seconds wait for an answer; what comes then is not heard
const STYLE = `
.course-listen { display: flex; flex-direction: column; gap: 8px; max-width: 900px;
  color: var(--jp-ui-font-color1, currentColor); font-size: var(--jp-ui-font-size1, 13px); }
.course-listen .bar { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.course-listen button { width: auto; }
.course-listen [hidden] { display: none; }
.course-listen label { display: flex; gap: 6px; align-items: center; }
.course-listen .strip { display: grid; grid-template-columns: max-content 1fr; column-gap: 6px;
  position: relative; overflow: hidden; }
.course-listen .row { grid-column: 1; line-height: 17px; text-align: right; }
.course-listen svg { grid-column: 2; display: block; width: 100%; height: 17px;
  border-bottom: 1px solid var(--jp-border-color2, #8888); }
.course-listen .level, .course-listen .level svg { height: 40px; line-height: 40px; }
.course-listen .axis { grid-column: 2; display: flex; justify-content: space-between; }
.course-listen .over { grid-column: 2; position: relative; pointer-events: none; }
.course-listen .event { position: absolute; top: 0; bottom: 18px; white-space: nowrap;
  border-left: 2px solid; padding-left: 3px; font-weight: bold; line-height: 16px; }
.course-listen .event.late { border-left: 0; border-right: 2px solid; padding: 0 3px 0 0;
  transform: translateX(-100%); }
.course-listen .log { max-height: 8em; overflow-y: auto; }`;

// JupyterLab would take the slider's arrow keys, were its shortcuts not suppressed.
function render({model, el}) {
  el.innerHTML = `<style>${STYLE}</style><div class="course-listen" role="group"
      aria-label="listening">
    <div class="bar">
      <button type="button" class="jupyter-widgets jupyter-button widget-button mod-primary"></button>
      <button type="button" class="jupyter-widgets jupyter-button widget-button"></button>
      <label>Threshold <input type="range" min="-6.9" max="6.9" step="0.1"
        data-lm-suppress-shortcuts="true"><span></span></label>
      <span role="status" aria-live="polite"></span></div>
    <div class="strip" role="img"></div>
    <div class="log" role="log" aria-label="what was heard" tabindex="0"></div></div>`;
  const [bar, strip, log] = el.lastChild.children;
  const [start, play, label, status] = bar.children, [slider, number] = label.children;
  const words = model.get("words"), live = new Set();
  const rows = ["level", ...words].map((word, place) => {
    strip.insertAdjacentHTML("beforeend", `<span class="row" style="grid-row: ${place + 1}"></span>
      <svg viewBox="0 0 ${SECONDS} 1" preserveAspectRatio="none" aria-hidden="true"
        style="grid-row: ${place + 1}">
      <path fill="currentColor" fill-opacity="0.75"/>
      <path stroke="currentColor" stroke-dasharray="4 4" stroke-opacity="0.5"
        vector-effect="non-scaling-stroke"/></svg>`);
    const [name, drawing] = [...strip.children].slice(-2);
    name.textContent = word;
    if (!place) [name, drawing].forEach(part => part.classList.add("level"));
    return drawing.children;
  });
  strip.insertAdjacentHTML("beforeend", `<span class="axis"><span>10 s ago
    </span><span>5 s</span><span>now</span></span>
    <div class="over" style="grid-row: 1 / ${words.length + 3}"></div>`);
  const over = strip.lastChild;

  let now = null;  // the listening that goes on: what it has heard and been answered
  const say = told => { status.textContent = told; };
  const show = () => {
    start.textContent = now ? "Stop listening" : "Start listening";
    play.hidden = !model.get("example") || now;
    play.textContent = `Listen to ${model.get("example")}`;
    const threshold = model.get("threshold");
    slider.value = Math.log(threshold / (1 - threshold));  // fine steps near 0 and 1
    number.textContent = threshold.toFixed(3);
    slider.setAttribute("aria-valuetext", number.textContent);
    for (const [, line] of rows.slice(1)) line.setAttribute("d", `M0 ${1 - threshold}H${SECONDS}`);
  };
  const stop = told => {
    if (!now) return;
    now.close();
    now = null;
    show();
    say(told);
  };
  const failed = error => {
    const {words: told} = inWords(error, model.get("messages"));
    if (now) stop(told);
    else say(told);
  };

  // Lists of [second, value], the last ten seconds of them: `draw` takes them off.
  const area = (points, end) => points.length &&
    `M${points[0][0] - end + SECONDS} 1` +
    points.map(([second, value]) => `L${(second - end + SECONDS).toFixed(3)} ${1 - value}`).join("") +
    `V1`;
  const draw = ({until, levels, posteriors, events}) => {
    for (const list of [levels, ...posteriors, events])
      while (list.length && list[0][0] < until - SECONDS) list.shift();
    const heard = levels.filter(([second]) => second <= until);
    [heard, ...posteriors].forEach((points, place) =>
      rows[place][0].setAttribute("d", area(points, until) || ""));
    over.replaceChildren(...events.map(([second, word]) => {
      const mark = document.createElement("span"), left = 1 - (until - second) / SECONDS;
      mark.className = left > 0.85 ? "event late" : "event";
      mark.style.left = `${100 * left}%`;
      mark.textContent = word;
      return mark;
    }));
    const told = events.map(([second, word]) => `${word} at ${second.toFixed(1)} s`).join(", ");
    strip.setAttribute("aria-label", "Level and probability of each word in the ten seconds before " +
      `${until.toFixed(0)} s. Heard: ${told || "nothing"}.`);
  };

  const answered = ({kind, session, until, first, hop, events, words: told}, [buffer]) => {
    if (!now || session !== now.session) return;
    if (kind === "failed") return stop(told);
    now.until = until;
    const values = new Float32Array(buffer.buffer, buffer.byteOffset, buffer.byteLength / 4);
    values.forEach((value, place) =>
      now.posteriors[place % words.length].push(
        [first + hop * Math.floor(place / words.length), value]));
    for (const {second, word, score} of events) {
      now.events.push([second, word]);
      const line = document.createElement("div"), delay = now.captured / now.rate - second;
      line.textContent = `${word} at ${second.toFixed(2)} s (probability ` +
        `${score.toFixed(2)}), shown ${delay.toFixed(2)} s later`;
      log.append(line);
      log.scrollTop = log.scrollHeight;
    }
    if (log.children.length > 100) log.firstChild.remove();
    draw(now);
  };

  const listen = async (open, told) => {
    if (now) return;
    say("Asking for the sound.");
    const mine = {
      session: Math.random(), captured: 0, problem: "", until: 0, levels: [], events: [], parts: [], waiting: 0,
      posteriors: words.map(() => []), close: () => { clearInterval(mine.watch); live.forEach(close => close()); },
    };
    now = mine;
    log.replaceChildren();
    show();
    const check = () => {
      const behind = mine.captured / mine.rate - mine.until;
      const silent = performance.now() - mine.sounded > 1000 * SILENT;
      const problem = behind > PATIENCE ? "Busy" : silent ? "NoAudio" : "";
      if (problem !== mine.problem) say(problem ? model.get("messages")[problem] : told);
      mine.problem = problem;
    };
    const onBlock = block => {
      if (now !== mine || !mine.rate) return;
      mine.parts.push(block);
      mine.waiting += block.length;
      mine.captured += block.length;
      const second = mine.captured / mine.rate, last = mine.levels.at(-1);
      const peak = block.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      if (peak) mine.sounded = performance.now();
      const level = Math.max(0, 1 + Math.log10(peak + 1e-9) / 3);  // of -60 to 0 dB
      if (!last || second - last[0] > STEP) mine.levels.push([second, level]);
      else last[1] = Math.max(last[1], level);
      if (mine.waiting < CHUNK * mine.rate) return;
      const samples = new Float32Array(mine.waiting);
      let at = 0;
      for (const part of mine.parts) { samples.set(part, at); at += part.length; }
      mine.parts = [];
      mine.waiting = 0;
      check();
      if (mine.problem === "Busy") return;
      const content = {kind: "chunk", session: mine.session, at: mine.captured - samples.length,
        samples: samples.length, sample_rate: mine.rate};
      try {
        model.send(content, undefined, [samples.buffer]);
      } catch (error) { failed(error); }
    };
    try {
      const {rate} = await listenTo(open, live, onBlock);
      if (now !== mine) return;
      mine.rate = rate;
      mine.sounded = performance.now();
      mine.watch = setInterval(check, 1000);
      say(told);
    } catch (error) {
      if (now === mine) failed(error);
    }
  };
  // The recording comes from the kernel when it is asked for, and not with the page.
  const recording = () => new Promise((resolve, reject) => {
    const mine = now;
    const arrived = ({kind, rate}, [buffer]) => {
      if (kind !== "example") return;
      model.off("msg:custom", arrived);
      const numbers = new Int16Array(buffer.buffer.slice(buffer.byteOffset,
        buffer.byteOffset + buffer.byteLength));
      let source;
      resolve({end: () => source?.stop(), connect: (context, tap) => {
        const sound = context.createBuffer(1, numbers.length, rate);
        sound.getChannelData(0).forEach((_, place, all) => { all[place] = numbers[place] / 32768; });
        source = context.createBufferSource();
        source.buffer = sound;
        source.onended = () => setTimeout(
          () => { if (now === mine) stop("The recording is over."); }, 500);
        source.connect(tap);
        source.connect(context.destination);
        source.start();
      }});
    };
    model.on("msg:custom", arrived);
    try {
      model.send({kind: "example"});
    } catch (error) { reject(error); }
  });

  start.onclick = () => now ? stop("Stopped.") : listen(microphone, "Listening.");
  play.onclick = () => listen(recording, "Listening to the recording.").then(() => start.focus());
  slider.oninput = () => {
    model.set("threshold", 1 / (1 + Math.exp(-slider.value)));
    model.save_changes();
  };
  model.on("msg:custom", answered);
  model.on("change:threshold", show);
  show();
  say("Ready.");
  draw({until: 0, levels: [], events: [], posteriors: words.map(() => [])});
  return () => {
    model.off("msg:custom", answered);
    model.off("change:threshold", show);
    live.forEach(close => close());
  };
}
export default {render};
