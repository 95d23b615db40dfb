"""What moves in a notebook: live training curves, the microphone, and the explorer of shifts.

A static result always stands first, so that a page without a kernel is complete; drawing is left
to ``plotting``. Where there is no notebook (a script, a test), nothing is shown.

Notebook: 01_speech_commands_mlp.ipynb
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets
import traitlets
from IPython import get_ipython
from IPython.display import display

from course_utils import audio

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

#: Seconds between two frames of the live curves.
FRAME_SECONDS = 0.5

#: What the recorder says where no sound comes, by the name of the browser's error.
MICROPHONE_ERRORS = {
    "NotAllowedError": "The microphone was refused. Allow it for this page (look beside the "
    "address) and press again, or upload a file; VS Code never allows it.",
    "NotFoundError": "No microphone was found. Connect one and press again, or upload a file.",
    "NotReadableError": "Another program holds the microphone. Close it and press again.",
    "InsecureContext": "A browser gives the microphone only to pages of https:// or localhost. "
    "Open the notebook there, or upload a file.",
    "NoAudio": "No sound arrived. Is the microphone muted? Press again, or upload a file.",
}


def _in_kernel() -> bool:
    return getattr(get_ipython(), "kernel", None) is not None


def _show(page: str, words: str, handle: Any = None) -> Any:
    """Display HTML, with `words` for pages without HTML; or update what `handle` displays."""
    bundle = {"text/html": page, "text/plain": words}
    if handle is not None:
        handle.update(bundle, raw=True)
    elif _in_kernel():
        handle = display(bundle, raw=True, display_id=True)
    return handle


def _show_widget(widget: ipywidgets.Widget) -> None:
    words = "Buttons stand here when the notebook runs."
    if _in_kernel():
        display({**widget._repr_mimebundle_(), "text/plain": words}, raw=True)


def _figure(height: float) -> Figure:
    """Return a figure 9 inches wide that is drawn again and again; pyplot does not know it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    return FigureCanvasAgg(Figure(figsize=(9, height), dpi=90)).figure


def _image(figure: Figure, alt: str) -> str:
    """``<img alt>`` of the figure as it is: faster than the cropped one of ``plotting.show``."""
    png = io.BytesIO()
    figure.canvas.print_png(png, pil_kwargs={"compress_level": 6})
    data = base64.b64encode(png.getvalue()).decode()
    alt = html.escape(alt)
    return f'<img alt="{alt}" src="data:image/png;base64,{data}" style="max-width:100%">'


def _plain_words(error: Exception) -> str:
    """One line: the message of an audio error, or the error and the line that raised it."""
    if isinstance(error, audio.AudioError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in frames if frame.filename != __file__), None)
    where = f" (line {place.lineno} of {place.name})" if place else ""
    return f"{type(error).__name__}: {error}{where}"


def _attempt(output: ipywidgets.Output, function: Callable, *arguments) -> bool:
    """Call a function whose prints and plots, or whose error in one line, appear in `output`."""
    output.clear_output()
    with output:
        try:
            function(*arguments)
        except Exception as error:
            print(f"That did not work. {_plain_words(error)}")
            return False
    return True


class LiveCurves:
    """Training curves that grow in place while a model trains.

    One output is redrawn at most twice a second, and at the end: the last state is always seen,
    even if the training fails. A drawing that fails is said, and never stops a training.

    Parameters
    ----------
    epochs : int, optional
        How many are planned.
    chance : float, optional
        Accuracy of guessing, a fraction.
    title : str
        Heading of the figure.
    figure_path : path, optional
        Where `close` writes the last figure, also in a script.
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    history : dict of str to list of float
        For each measure one number an epoch, as ``plotting.learning_curves`` takes it.

    Examples
    --------
    >>> with LiveCurves(epochs=2, chance=0.5) as curves:
    ...     for loss in (0.9, 0.7):
    ...         curves.update(train_loss=loss, train_accuracy=1 - loss / 2)
    >>> curves.history
    {'train_loss': [0.9, 0.7], 'train_accuracy': [0.55, 0.65]}
    """

    def __init__(
        self,
        epochs: int | None = None,
        chance: float | None = None,
        title: str = "",
        figure_path: str | Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.history: dict[str, list[float]] = {}
        self.epochs, self.chance, self.title = epochs, chance, title
        self._figure_path, self._clock = figure_path, clock
        self._figure = self._handle = None
        self._started, self._drawn = clock(), -math.inf
        self._epoch, self._progress = 0, ""
        self._pending = self._closed = False

    def __enter__(self) -> LiveCurves:
        self._started = self._clock()
        words = "The curves come after the first epoch."
        self._handle = _show(words, words, self._handle)
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def update(self, **measures: float) -> None:
        """Add an epoch.

        Parameters
        ----------
        **measures : float
            Such as ``train_loss``, ``validation_loss``, ``train_accuracy``,
            ``validation_accuracy`` (fractions), the same in every epoch.

        Raises
        ------
        ValueError
            Other measures than in the epochs before.
        RuntimeError
            The curves are closed.
        """
        if self._closed:
            raise RuntimeError("These curves are closed: make new LiveCurves for a new training.")
        if self.history and measures.keys() != self.history.keys():
            raise ValueError(f"expected {', '.join(self.history)}; got {', '.join(measures)}")
        numbers = {name: float(value) for name, value in measures.items()}
        for name, number in numbers.items():
            self.history.setdefault(name, []).append(number)
        now = self._clock()
        self._epoch += 1
        total = f"/{self.epochs}" if self.epochs else ""
        self._progress = f"Epoch {self._epoch}{total}, {now - self._started:.1f} s"
        self._pending = True
        if _in_kernel() and now - self._drawn >= FRAME_SECONDS:
            self._draw()

    def step(self, done: int, total: int) -> None:
        """Say how far an epoch is, and how long the training still takes.

        Parameters
        ----------
        done, total : int
            Batches of this epoch that are done, and how many there are.
        """
        now = self._clock()
        if not _in_kernel() or now - self._told < FRAME_SECONDS:
            return
        share = done / total
        total_epochs = f"/{self.epochs}" if self.epochs else ""
        text = f"Epoch {self._epoch + 1}{total_epochs}, {share:.0%}"
        trained = self._epoch - self._resumed + share  # epochs, in the time since the start
        if self.epochs and trained > 0:
            left = (self.epochs - self._epoch - share) * (now - self._started) / trained
            text += f", about {left:.0f} s left"
        self._progress_handle = _show(f"<div>{text}</div>", text, self._progress_handle)
        self._told = now

    def close(self) -> None:
        """Draw the last state."""
        if self._closed:
            return
        self._closed = True
        if _in_kernel() and self._pending:
            self._draw()
        if self._figure_path is not None and self.history:
            self._render().savefig(self._figure_path)

    def _render(self) -> Figure:
        from course_utils import plotting

        if self._figure is None:
            self._figure = _figure(3.1)
            count = len(plotting._curves(self.history))
            self._figure.subplots(1, count)
            self._figure.subplots_adjust(0.07, 0.16, 0.98, 0.88, wspace=0.2)
            self._figure.suptitle(self.title)
        for ax in self._figure.axes:
            ax.clear()
        plotting.learning_curves(self.history, self._figure.axes, self.chance)
        return self._figure

    def _draw(self) -> None:
        from course_utils import plotting

        try:
            heading = f"{self.title}: {self._progress}" if self.title else self._progress
            alt = f"{heading}. {plotting.describe_curves(self.history)}"
            page = f"{_image(self._render(), alt)}<div>{self._progress}</div>"
        except Exception as error:
            alt = f"{self._progress}. The curves cannot be drawn. {_plain_words(error)}"
            page = html.escape(alt)
        self._handle = _show(page, alt, self._handle)
        self._drawn, self._pending = self._clock(), False


# The samples go to the kernel as one binary message (a synchronised trait would not do), at the
# rate of the device, since not every browser can change it; MediaRecorder would need a decoder.
_RECORDER = """
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
      say(ERRORS[error.name] || `The recording failed: ${error.message || error.name}.`);
    }
    busy = false;
    meter.value = 0;
    show();
  };
  model.on("change:status change:seconds", show);
  show();
  return () => {
    model.off("change:status change:seconds", show);
    live.forEach(stream => stream.getTracks().forEach(track => track.stop()));
  };
}
export default {render};
"""


class Recorder(anywidget.AnyWidget):
    """A button that records from the browser's microphone into the kernel's memory.

    Parameters
    ----------
    on_audio : callable, optional
        Called as ``on_audio(waveform, sample_rate)`` after each recording; what it prints and
        plots appears in `output`, under the button.
    seconds : float
        Length of a recording.

    Attributes
    ----------
    audio : float32 tensor (1, time), or None
        The last recording, amplitude in [-1, 1].
    sample_rate : int or None
        That of the device, in Hz: often 44100 or 48000.
    """

    _esm = f"const ERRORS = {json.dumps(MICROPHONE_ERRORS)};\n{_RECORDER}"
    seconds = traitlets.Float(1.5).tag(sync=True)
    status = traitlets.Unicode("Ready.").tag(sync=True)

    def __init__(
        self, on_audio: Callable[[torch.Tensor, int], None] | None = None, seconds: float = 1.5
    ):
        super().__init__(seconds=seconds)
        self.on_audio = on_audio
        self.audio = self.sample_rate = None
        self.output = ipywidgets.Output()
        self._box = ipywidgets.VBox([self, self.output])
        self.on_msg(self._received)

    def _repr_mimebundle_(self, **options):
        words = "A recorder stands here when the notebook runs."
        return {**self._box._repr_mimebundle_(**options), "text/plain": words}

    def forget(self) -> None:
        """Delete the recording and what was shown of it."""
        self.audio = self.sample_rate = None
        self.output.clear_output()
        self.status = "Forgotten."

    def _received(self, _widget, content: Mapping, buffers: Sequence) -> None:
        try:
            self.audio, self.sample_rate = _unpack(content, buffers)
        except audio.AudioError as error:
            self.status = str(error)
            return
        seconds = self.audio.shape[1] / self.sample_rate
        self.status = f"Recorded {seconds:.1f} s, peak {self.audio.abs().max():.2f} of 1."
        if self.on_audio is not None:
            _attempt(self.output, self.on_audio, self.audio, self.sample_rate)


def _unpack(content: Mapping, buffers: Sequence) -> tuple[torch.Tensor, int]:
    """The browser's message, float32 little-endian samples, as waveform (1, time) and rate."""
    import numpy as np
    import torch

    data = bytes(buffers[0]) if buffers else b""
    count, sample_rate = content.get("samples", 0), round(content.get("sample_rate", 0))
    if len(data) != 4 * count or sample_rate <= 0:
        raise audio.AudioError(
            f"The recording arrived damaged: {len(data)} bytes for {count} samples of 4 bytes "
            f"at {sample_rate} Hz. Press again."
        )
    samples = np.frombuffer(data, "<f4").astype(np.float32)
    if not np.isfinite(samples).all():
        raise audio.AudioError("The recording arrived damaged: NaN or infinite. Press again.")
    if not samples.any():
        raise audio.AudioError(MICROPHONE_ERRORS["NoAudio"])
    return torch.from_numpy(samples).clamp(-1, 1)[None], sample_rate  # (1, time)


class _Shown:
    """Displays itself when it is made: as the last line of a cell it adds nothing."""

    def _ipython_display_(self) -> None:
        pass


class VoicePanel(_Shown):
    """What `your_voice` shows; `clip` is the last recording or upload, (1, time), or None."""

    def __init__(self, on_clip: Callable, seconds: float, sample_rate: int):
        self.clip, self._on_clip, self._sample_rate = None, on_clip, sample_rate
        self.recorder = Recorder(self._use, seconds)
        self.upload = ipywidgets.FileUpload(accept=",".join(audio.FORMATS))
        self.upload.tooltip = "Upload a recording: WAV, FLAC or MP3"
        self.upload.observe(self._uploaded, "value")
        self.forget_button = ipywidgets.Button(description="Forget my recording")
        self.forget_button.layout.width = "auto"
        self.forget_button.on_click(lambda _button: self.forget())
        note = ipywidgets.HTML(
            "Record a word, or upload a WAV, FLAC or MP3 file. Your voice stays in the memory of "
            "this notebook's kernel; the course writes it to no file."
        )
        buttons = ipywidgets.HBox([self.upload, self.forget_button])
        _show_widget(ipywidgets.VBox([note, self.recorder, buttons, self.recorder.output]))

    def forget(self) -> None:
        """Delete the recording or upload and what was shown of it."""
        self.clip = None
        self.upload.value = ()
        self.recorder.forget()

    def _uploaded(self, change) -> None:
        if change["new"]:
            file = change["new"][0]
            self.upload.value = ()  # keep no copy, and let the same file come again
            worked = _attempt(self.recorder.output, self._read, file)
            self.recorder.status = f"{file['name']} was {'' if worked else 'not '}used."

    def _read(self, file: Mapping) -> None:
        content = io.BytesIO(file["content"])
        content.name = file["name"]  # for the messages
        self._use(*audio.read(content))

    def _use(self, waveform: torch.Tensor, sample_rate: int) -> None:
        self.clip = audio.resample(audio.to_mono(waveform), sample_rate, self._sample_rate)
        self._on_clip(self.clip)


def your_voice(
    on_clip: Callable[[torch.Tensor], None],
    seconds: float = 1.5,
    sample_rate: int = 16000,
    fallback: torch.Tensor | None = None,
) -> VoicePanel:
    """Let a model hear the reader's own voice, recorded or uploaded.

    Parameters
    ----------
    on_clip : callable
        Called as ``on_clip(waveform)``, float32 (1, time), after each recording and upload; what
        it prints and plots appears under the buttons, an error in one line.
    seconds : float
        Length of a recording; an upload may have any length.
    sample_rate : int
        What `on_clip` wants, in Hz.
    fallback : tensor (1, time), optional
        A clip at `sample_rate`, an example that `on_clip` gets at once: its output is part of the
        page, and its error is raised.
    """
    if fallback is not None:
        on_clip(fallback)
    return VoicePanel(on_clip, seconds, sample_rate)


def shifted(waveform: torch.Tensor, samples: int) -> torch.Tensor:
    """Move ``(..., time)`` later by `samples`, or earlier; zeros fill the gap, the length stays.

    Examples
    --------
    >>> import torch
    >>> shifted(torch.tensor([1, 2, 3, 4]), 1), shifted(torch.tensor([1, 2, 3, 4]), -3)
    (tensor([0, 1, 2, 3]), tensor([4, 0, 0, 0]))
    """
    import torch

    time = waveform.shape[-1]
    later, earlier = min(max(samples, 0), time), min(max(-samples, 0), time)
    kept = waveform[..., earlier : time - later]
    return torch.nn.functional.pad(kept, (later, earlier))  # (..., time)


class ShiftExplorer(_Shown):
    """What `shift_explorer` shows: `page` as HTML, and `words` that say what is seen."""

    def __init__(self, clips, labels, predict, sample_rate: int):
        self._clips, self._labels, self._predict = clips, labels, predict
        self._sample_rate = sample_rate
        options = [(f"{number + 1}: {word}", number) for number, word in enumerate(labels)]
        self.choice = ipywidgets.Dropdown(options=options, description="Clip")
        self.shift = ipywidgets.IntSlider(
            0, -300, 300, 1, description="Shift (ms)", continuous_update=False
        )
        self.shift.layout.width = "30em"
        self._figure = _figure(2.6)
        self._figure.subplots(1, 2, width_ratios=(3, 2))
        self._figure.subplots_adjust(0.08, 0.2, 0.96, 0.88, wspace=0.3)
        self.page, self.words = self._render()
        self._handle = _show(self.page, self.words)
        for control in (self.choice, self.shift):
            control.observe(self._changed, "value")
        _show_widget(ipywidgets.VBox([self.choice, self.shift]))

    def _changed(self, _change) -> None:
        try:
            self.page, self.words = self._render()
        except Exception as error:
            self.words = f"That did not work. {_plain_words(error)}"
            self.page = html.escape(self.words)
        if self._handle is not None:
            _show(self.page, self.words, self._handle)

    def _render(self) -> tuple[str, str]:
        from course_utils import plotting

        word, shift = self._labels[self.choice.value], self.shift.value
        clip = shifted(self._clips[self.choice.value], round(shift * self._sample_rate / 1000))
        heard = {name: float(value) for name, value in self._predict(clip).items()}
        ranking = sorted(heard, key=heard.get, reverse=True)
        shares = [f"{name} {100 * heard[name]:.0f} %" for name in ranking]
        place = ranking.index(word) + 1 if word in heard else "none"
        moved = f"{abs(shift)} ms {'earlier' if shift < 0 else 'later'}" if shift else "not shifted"
        label = f"{word}, {moved}"
        result = f"The true word is number {place} of {len(ranking)}."
        words = f"{label}. Most probable: {', '.join(shares[:5])}. {result}"

        left, right = self._figure.axes
        left.clear()
        right.clear()
        plotting.waveform(clip, self._sample_rate, left).set_title(label)
        names = ranking[:5][::-1]
        bars = right.barh(
            [f"{name} (true)" if name == word else name for name in names],
            [100 * heard[name] for name in names],
            color=["#F0C060" if name == word else "#0072B2" for name in names],
            hatch=["////" if name == word else "" for name in names],
        )
        right.bar_label(bars, fmt="%.0f %%", padding=3)
        right.set(xlim=(0, 115), xlabel="Probability (%)", title="What the model hears")
        right.spines[["top", "right"]].set_visible(False)
        page = f"{_image(self._figure, words)}<div>{result}</div>"
        return page + plotting.player(clip, self._sample_rate, label).data, words


def shift_explorer(
    clips: Sequence[torch.Tensor],
    labels: Sequence[str],
    predict: Callable[[torch.Tensor], Mapping[str, float]],
    sample_rate: int = 16000,
) -> ShiftExplorer:
    """Let the reader shift a clip in time, and see whether the model still hears its word.

    Parameters
    ----------
    clips : sequence of float32 tensors (1, time)
    labels : sequence of str
        The word of each clip.
    predict : callable
        ``predict(waveform)`` of one clip (1, time) returns the probability of each word.
    sample_rate : int
        In Hz.
    """
    return ShiftExplorer(clips, labels, predict, sample_rate)


class ConfusionPicker(_Shown):
    """What `confusion_picker` shows: `page` as HTML, and `words` that say what is heard."""

    MOST = 8  # players at a time

    def __init__(self, targets, predictions, names, clip, sample_rate: int):
        self._cells: dict[tuple[int, int], list[int]] = {}
        for item, cell in enumerate(zip(targets, predictions, strict=True)):
            self._cells.setdefault(cell, []).append(item)
        self._names, self._clip, self._sample_rate = list(names), clip, sample_rate
        # Stand on the most frequent confusion first; without a mistake, on the first word.
        wrong = {cell: items for cell, items in self._cells.items() if cell[0] != cell[1]}
        start = max(wrong, key=lambda cell: len(wrong[cell])) if wrong else (0, 0)
        options = [(name, number) for number, name in enumerate(self._names)]
        self.said = ipywidgets.Dropdown(options=options, value=start[0], description="Said")
        self.heard = ipywidgets.Dropdown(options=options, value=start[1], description="Heard")
        self.page, self.words = self._render()
        self._handle = _show(self.page, self.words)
        for control in (self.said, self.heard):
            control.observe(self._changed, "value")
        _show_widget(ipywidgets.HBox([self.said, self.heard]))

    def _changed(self, _change) -> None:
        self.page, self.words = self._render()
        if self._handle is not None:
            _show(self.page, self.words, self._handle)

    def _render(self) -> tuple[str, str]:
        from course_utils import plotting

        said, heard = self.said.value, self.heard.value
        items = self._cells.get((said, heard), [])
        pair = f"said {self._names[said]}, heard {self._names[heard]}"
        words = f"{len(items)} clips: {pair}."
        if len(items) > self.MOST:
            words += f" The first {self.MOST}:"
        if not items:
            return html.escape(words), words
        clips = [(self._clip(item), f"{pair} (clip {item})") for item in items[: self.MOST]]
        return f"<div>{html.escape(words)}</div>" + plotting.players(
            clips, self._sample_rate
        ).data, words


def confusion_picker(
    targets: Sequence[int],
    predictions: Sequence[int],
    names: Sequence[str],
    clip: Callable[[int], torch.Tensor],
    sample_rate: int,
) -> ConfusionPicker:
    """Let the reader choose a cell of a confusion matrix, and hear the clips behind it.

    Parameters
    ----------
    targets, predictions : sequence of int
        The class of each clip, and what the model said.
    names : sequence of str
        The classes.
    clip : callable
        ``clip(item)`` returns the waveform (1, time) of a clip.
    sample_rate : int
        In Hz.
    """
    return ConfusionPicker(targets, predictions, names, clip, sample_rate)


# In a module of their own, which builds on this one; hence at the end.
from course_utils.explorers import (  # noqa: E402, F401
    augmentation_explorer,
    beam_explorer,
    clip_collector,
    feature_explorer,
)
