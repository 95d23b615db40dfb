// Sound goes to the kernel as binary messages (a synchronised trait would not do), at the rate of
// the device, since not every browser can change it; MediaRecorder would need a decoder.
// The widgets' own modules stand behind this text.
const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([channels]) {
    if (channels.length) this.port.postMessage(channels[0].slice());
    return true;
  }
});`;

// What sounds is opened last: nothing of it is lost while the tap is made.
async function microphone() {
  const stream = await navigator.mediaDevices.getUserMedia({audio: {
    channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
  const end = () => stream.getTracks().forEach(track => track.stop());
  return {connect: (context, tap) => context.createMediaStreamSource(stream).connect(tap), end};
}

// Calls onBlock for each 128 samples of what `open` opens, until `close`; `live` can close it, too.
async function listenTo(open, live, onBlock) {
  if (!navigator.mediaDevices) throw {name: "InsecureContext"};
  const context = new AudioContext();
  let sound, closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    live.delete(close);
    sound?.end();
    context.close();
  };
  live.add(close);
  try {
    await context.resume();
    const url = URL.createObjectURL(new Blob([TAP], {type: "text/javascript"}));
    await context.audioWorklet.addModule(url);
    URL.revokeObjectURL(url);
    const tap = new AudioWorkletNode(context, "tap", {numberOfOutputs: 0});
    tap.port.onmessage = ({data}) => { if (!closed) onBlock(data); };
    sound = await open();
    if (closed) sound.end();  // the page left while the reader was asked
    else sound.connect(context, tap);
    return {rate: context.sampleRate, close};
  } catch (error) {
    close();
    throw error;
  }
}

// What to say of an error; `lost` if the kernel is gone, which cannot be told of it.
function inWords(error, messages) {
  if (/cannot send/i.test(error.message || "")) return {words: messages.KernelRestarted, lost: true};
  return {words: messages[error.name] || `That failed: ${error.message || error.name}.`};
}
