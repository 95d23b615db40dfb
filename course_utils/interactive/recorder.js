// A recording goes to the kernel as one message. What it calls stands in microphone.js.
async function record(seconds, live, onStart, onBlock) {
  let samples, done, patience, filled = 0;
  const full = new Promise((resolve, reject) => {
    done = resolve;
    patience = () => setTimeout(() => reject({name: "NoAudio"}), 1000 * seconds + 4000);
  });
  const {rate, close} = await listenTo(microphone, live, data => {
    if (!samples) return;  // not yet told to speak
    const block = data.subarray(0, samples.length - filled);
    samples.set(block, filled);
    filled += block.length;
    onBlock(block);
    if (filled === samples.length) done();
  });
  const waiting = patience();
  samples = new Float32Array(Math.round(seconds * rate));
  onStart();
  try {
    await full;
    return {samples, sample_rate: rate};
  } finally {
    clearTimeout(waiting);
    close();
  }
}

function render({model, el}) {
  el.innerHTML = `<div role="group" aria-label="microphone"
      style="display: flex; flex-wrap: wrap; gap: 8px; align-items: center">
    <button type="button" style="width: auto"
      class="jupyter-widgets jupyter-button widget-button mod-primary"></button>
    <meter min="0" max="1" aria-label="level of the microphone"></meter>
    <span role="status" aria-live="polite"></span></div>`;
  const [button, meter, status] = el.firstChild.children;
  const live = new Set();
  let busy = false;
  const show = () => {
    button.textContent = busy ? "Recording" : `Record ${model.get("seconds")} s`;
    button.setAttribute("aria-disabled", busy);  // "disabled" would lose the keyboard's focus
    status.textContent = model.get("status");
  };
  const say = words => { model.set("status", words); model.save_changes(); show(); };
  const level = block => {
    const peak = block.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    meter.value = Math.max(Math.sqrt(peak), 0.98 * meter.value);
  };
  button.onclick = async () => {
    if (busy) return;
    busy = true;
    say("Asking for the microphone.");
    try {
      const {samples, sample_rate} =
        await record(model.get("seconds"), live, () => say("Speak now."), level);
      say("Sent to the kernel, which answers when it is free.");
      const content = {kind: "audio", sample_rate, samples: samples.length};
      model.send(content, undefined, [samples.buffer]);
    } catch (error) {
      const {words, lost} = inWords(error, model.get("messages"));
      if (lost) status.textContent = words;
      else say(words);
      busy = false;
      meter.value = 0;
      button.textContent = `Record ${model.get("seconds")} s`;
      return;
    }
    busy = false;
    meter.value = 0;
    show();
  };
  // A larger message (10 MiB, tornado's) ends the connection, and no later upload is answered.
  let upload;
  const refuse = () => {
    if (!upload.get("value").some(({size}) => size > 10e6)) return;
    upload.set("value", []);
    say(model.get("messages").FileTooLarge);
  };
  if (model.get("upload"))
    model.widget_manager.get_model(model.get("upload").replace("IPY_MODEL_", "")).then(found => {
      upload = found;
      upload.on("change:value", refuse);
    });
  model.on("change:status change:seconds", show);
  show();
  return () => {
    upload?.off("change:value", refuse);
    model.off("change:status change:seconds", show);
    live.forEach(close => close());
  };
}
export default {render};
