// The microphone's samples go to the kernel as one binary message (a synchronised trait would not
// do), at the rate of the device, since not every browser can change it; MediaRecorder would need a
// decoder.
const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([channels]) {
    if (channels.length) this.port.postMessage(channels[0].slice());
    return true;
  }
});`;

async function record(seconds, live, onStart, onBlock) {
  if (!navigator.mediaDevices) throw {name: "InsecureContext"};
  const stream = await navigator.mediaDevices.getUserMedia({audio: {
    channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
  live.add(stream);
  const context = new AudioContext();
  try {
    await context.resume();
    const url = URL.createObjectURL(new Blob([TAP], {type: "text/javascript"}));
    await context.audioWorklet.addModule(url);
    URL.revokeObjectURL(url);
    const tap = new AudioWorkletNode(context, "tap", {numberOfOutputs: 0});
    const samples = new Float32Array(Math.round(seconds * context.sampleRate));
    let filled = 0;
    onStart();
    await new Promise((resolve, reject) => {
      const patience = setTimeout(() => reject({name: "NoAudio"}), 1000 * seconds + 4000);
      tap.port.onmessage = ({data}) => {
        const block = data.subarray(0, samples.length - filled);
        samples.set(block, filled);
        filled += block.length;
        onBlock(block);
        if (filled === samples.length) { clearTimeout(patience); resolve(); }
      };
      context.createMediaStreamSource(stream).connect(tap);
    });
    return {samples, sample_rate: context.sampleRate};
  } finally {
    stream.getTracks().forEach(track => track.stop());
    live.delete(stream);
    context.close();
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
      const messages = model.get("messages");
      const lost = /cannot send/i.test(error.message || "") ? messages.KernelRestarted : "";
      const failed = `The recording failed: ${error.message || error.name}.`;
      status.textContent = lost;  // a kernel that is gone cannot be told
      if (!lost) say(messages[error.name] || failed);
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
    live.forEach(stream => stream.getTracks().forEach(track => track.stop()));
  };
}
export default {render};
