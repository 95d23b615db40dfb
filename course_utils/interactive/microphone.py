"""The microphone: let a model hear the reader, or collect a few clips to learn from."""

import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import torch
import traitlets
from IPython.display import display

from course_utils import audio, endpoints, plotting
from course_utils.interactive.base import Explorer, attempt, in_kernel, show_page, show_widget

#: What the recorder says where no sound comes, by the name of the browser's error.
MICROPHONE_ERRORS = {
    "NotAllowedError": "The microphone was refused. Allow it for this page (look beside the "
    "address) and press again, or upload a file; VS Code never allows it.",
    "NotFoundError": "No microphone was found. Connect one and press again, or upload a file.",
    "NotReadableError": "Another program holds the microphone. Close it and press again.",
    "InsecureContext": "A browser gives the microphone only to pages of https:// or localhost. "
    "Open the notebook there, or upload a file.",
    "KernelRestarted": "The kernel was restarted: run this cell again.",
    "NoAudio": "No sound arrived. Is the microphone muted? Press again, or upload a file.",
    "FileTooLarge": "The file has more than 10 MB, too many for the way to the kernel. Cut it "
    "shorter, or save it as MP3, and upload that.",
}


def script(name: str) -> str:
    """A widget's module, behind what all that hear the microphone share."""
    folder = Path(__file__).parent
    return "".join((folder / part).read_text("utf-8") for part in ("microphone.js", name))


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

    _esm = script("recorder.js")
    messages = traitlets.Dict(MICROPHONE_ERRORS).tag(sync=True)
    seconds = traitlets.Float(1.5).tag(sync=True)
    status = traitlets.Unicode("Ready.").tag(sync=True)
    upload = traitlets.Instance(ipywidgets.FileUpload, allow_none=True).tag(
        sync=True, **ipywidgets.widget_serialization
    )

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
            waveform, sample_rate = unpacked(content, buffers)
            if not waveform.any():
                raise audio.AudioError(MICROPHONE_ERRORS["NoAudio"])
        except audio.AudioError as error:
            self.status = str(error)
            return
        self.audio, self.sample_rate = waveform, sample_rate
        seconds = self.audio.shape[1] / self.sample_rate
        self.status = f"Recorded {seconds:.1f} s, peak {self.audio.abs().max():.2f} of 1."
        if self.on_audio is not None:
            attempt(self.output, self.on_audio, self.audio, self.sample_rate)


def unpacked(content: Mapping, buffers: Sequence) -> tuple[torch.Tensor, int]:
    """The browser's message, float32 little-endian samples, as waveform (1, time) and rate."""
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
    return torch.from_numpy(samples).clamp(-1, 1)[None], sample_rate  # (1, time)


#: Shorter recordings, in s, and those with a smaller peak amplitude, are no words.
SHORTEST, QUIETEST = 0.1, 0.005


class VoicePanel(Explorer):
    """A recorder, an upload and a button that forgets, for one use of the reader's voice.

    Parameters
    ----------
    use : callable
        Called as ``use(waveform)``, float32 (1, time) at `sample_rate`.
    seconds : float
        Length of a recording.
    sample_rate : int
        In Hz.
    above : widgets
        What stands above the recorder.
    forget_label : str
        On the button that calls `forget`.
    """

    kept = "used"  # what becomes of an upload

    def __init__(
        self, use: Callable[[torch.Tensor], None], seconds: float, sample_rate: int,
        above: Sequence[ipywidgets.Widget], forget_label: str,
    ):
        self.clip: torch.Tensor | None = None
        self._use_clip, self._sample_rate = use, sample_rate
        self.recorder = Recorder(self._use, seconds)
        self.upload = ipywidgets.FileUpload(accept=",".join(audio.FORMATS))
        self.upload.tooltip = "Upload a recording: WAV, FLAC or MP3"
        self.upload.observe(self._uploaded, "value")
        self.recorder.upload = self.upload  # whose files it looks at before they are sent
        self.forget_button = ipywidgets.Button(description=forget_label)
        self.forget_button.layout.width = "auto"
        self.forget_button.on_click(lambda _button: self.forget())
        buttons = ipywidgets.HBox([self.upload, self.forget_button])
        show_widget(ipywidgets.VBox([*above, self.recorder, buttons, self.recorder.output]))

    def forget(self) -> None:
        """Delete the recording or upload and what was shown of it."""
        self.clip = None
        self.upload.value = ()
        self.recorder.forget()

    def _uploaded(self, change: Mapping) -> None:
        if change["new"]:
            file = change["new"][0]
            self.upload.value = ()  # keep no copy, and let the same file come again
            worked = attempt(self.recorder.output, self._read, file)
            self.recorder.status = f"{file['name']} was {'' if worked else 'not '}{self.kept}."

    def _read(self, file: Mapping) -> None:
        content = io.BytesIO(file["content"])
        content.name = file["name"]  # for the messages
        self._use(*audio.read(content))

    def _use(self, waveform: torch.Tensor, sample_rate: int) -> None:
        clip = audio.resample(audio.to_mono(waveform), sample_rate, self._sample_rate).float()
        self.clip = clip.clamp(-1, 1)  # a filter may overshoot what was recorded at full scale
        self._use_clip(self.clip)


def your_voice(
    on_clip: Callable[[torch.Tensor], None], seconds: float = 1.5, sample_rate: int = 16000,
    fallback: torch.Tensor | None = None, say: str = "", said: str = "",
) -> VoicePanel:
    """Let a model hear the reader's own voice, recorded or uploaded.

    What was recorded is shown, with a player, above what the model makes of it: a bad microphone
    is told from a bad network.

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
        A clip at `sample_rate`, an example that is played and that `on_clip` gets at once: its
        output is part of the page, and its error is raised.
    say : str
        What the reader may say, such as ``"one of yes, no"``.
    said : str
        What the example says.
    """
    if fallback is not None:
        if in_kernel():
            name = f"an example: {said}" if said else "an example"
            display(plotting.players([(fallback, name)], sample_rate, 2))
        on_clip(fallback)
    asked = f"Say {html.escape(say.rstrip('.'))}" if say else "Record yourself"
    note = ipywidgets.HTML(
        f"{asked}, or upload a WAV, FLAC or MP3 file. Your voice stays in the memory of this "
        "notebook's kernel; the course writes it to no file."
    )

    def heard(clip: torch.Tensor) -> None:
        if in_kernel():
            display(plotting.players([(clip, "your recording")], sample_rate, 2, True))
        on_clip(clip)

    return VoicePanel(heard, seconds, sample_rate, [note], "Forget my recording")


class ClipCollector(VoicePanel):
    """Let the reader record or upload a few clips of each word, to train a model with.

    What is silent or shorter than 0.1 s is refused, with the reason. The clips stay in memory;
    `save` writes them.

    Parameters
    ----------
    words : sequence of str
    seconds : float
        Length of a recording; an upload keeps its length.
    sample_rate : int
        In Hz.

    Attributes
    ----------
    clips : dict of str to list of float32 tensors (1, time)
        Each word's clips, at `sample_rate`.

    Raises
    ------
    ValueError
        If there are no words, or one cannot be the name of a folder.

    Examples
    --------
    >>> ClipCollector(["yes", "no"]).clips
    {'yes': [], 'no': []}
    """

    kept = "kept"

    def __init__(self, words: Sequence[str], seconds: float = 1.0, sample_rate: int = 16000):
        if isinstance(words, str):
            raise ValueError(f"words must be a list, such as ['yes', 'no'], not the text {words!r}")
        names = list(words)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"words must differ, and be at least one: {names}")
        for word in names:  # each is the name of a folder
            if not isinstance(word, str) or not re.fullmatch(r"[^\s./\\][^/\\\0]*(?<![\s.])", word):
                raise ValueError(f"{word!r} is no word: it cannot be the name of a folder")
        self.clips: dict[str, list[torch.Tensor]] = {word: [] for word in names}
        self._order: list[tuple[str, torch.Tensor]] = []  # as they came
        self._saved: list[tuple[Path, torch.Tensor]] = []
        self.word = ipywidgets.Dropdown(options=names, description="Word")
        self.page, self.words = self._render()
        super().__init__(self._keep, seconds, sample_rate, [self.word], "Forget the last")
        self._handle = show_page(self.page, self.words)

    def gathered(self, folder: str | Path | None = None, fewest: int = 3) -> dict[str, list]:
        """Clips of each word that has enough of them, recorded here or lying in a folder.

        Parameters
        ----------
        folder : path, optional
            Recordings, ``word/anything.wav``; one that cannot be read is named and left out.
        fewest : int
            A word with fewer clips is left out.

        Returns
        -------
        dict of str to list of float32 tensors (1, time)
        """
        found = {word: list(clips) for word, clips in self.clips.items()}
        for file, waveform, rate in audio.read_folder(folder) if folder else ():
            clip = audio.resample(audio.to_mono(waveform), rate, self._sample_rate)
            found.setdefault(file.parent.name, []).append(clip)
        return {word: clips for word, clips in found.items() if len(clips) >= fewest}

    def shared_out(
        self, folder: str | Path | None = None, samples: int = 16_000
    ) -> tuple[list[str], tuple, tuple] | None:
        """Clips to learn from and clips to be tested on, every third of a word; see `gathered`.

        Parameters
        ----------
        folder : path, optional
        samples : int
            Each clip is padded to so many, or its word is cut out: see `endpoints.word`.

        Returns
        -------
        words, (clips, labels), (clips, labels)
            Clips are (clip, 1, time), labels int64 (clip,). None, and a line that says why, where
            there are not three clips each of two words.
        """
        found = self.gathered(folder)
        if len(found) < 2:
            print("Not yet: two words with three clips each are needed.")
            return None
        parts = []
        for tested in (False, True):
            pairs = [
                (endpoints.word(clip, self._sample_rate, samples), label)
                for label, clips in enumerate(found.values())
                for place, clip in enumerate(clips)
                if (place % 3 == 2) == tested
            ]
            clips, labels = zip(*pairs, strict=True)
            parts.append((torch.stack(clips), torch.tensor(labels)))
        return list(found), *parts

    def forget(self) -> None:
        """Delete the last clip, and what was shown of it."""
        super().forget()
        while self._order:
            word, last = self._order.pop()
            kept = [clip for clip in self.clips[word] if clip is not last]
            if len(kept) < len(self.clips[word]):
                self.clips[word] = kept
                self.recorder.status = f"The last clip, of {word}, is forgotten."
                break
        else:
            self.recorder.status = "There is no clip to forget."
        self._changed()

    def save(self, folder: str | Path) -> list[Path]:
        """Write the clips as WAV into ``folder/word/me_nohash_N.wav``; no file is overwritten.

        A clip that was saved there before is not written again.

        Parameters
        ----------
        folder : path
            Is made if it does not exist.

        Returns
        -------
        list of Path
            The files that were written.

        Raises
        ------
        course_utils.audio.AudioError
            If a file cannot be written.
        """
        folder, written = Path(folder).resolve(), []
        for word, clips in self.clips.items():
            for clip in clips:
                if any(place == folder and saved is clip for place, saved in self._saved):
                    continue
                number = 0
                while (path := folder / word / f"me_nohash_{number}.wav").exists():
                    number += 1
                path.parent.mkdir(parents=True, exist_ok=True)
                written.append(audio.write(path, clip, self._sample_rate))
                self._saved.append((folder, clip))
        return written

    def _keep(self, clip: torch.Tensor) -> None:
        word = self.word.value
        seconds, peak = clip.shape[1] / self._sample_rate, float(clip.abs().max())
        if seconds < SHORTEST:
            raise audio.AudioError(
                f"The recording lasts {seconds:.2f} s, too short for a word; it is not kept. "
                f"Take one of at least {SHORTEST} s."
            )
        if peak < QUIETEST:
            raise audio.AudioError(
                f"The recording is silent (peak {peak:.4f} of 1); it is not kept. Is the "
                "microphone muted or far away?"
            )
        self.clips.setdefault(word, []).append(clip)  # (1, time)
        self._order.append((word, clip))
        label = f"{word}, clip {len(self.clips[word])}: {seconds:.2f} s, peak {peak:.2f}"
        print(f"Kept: {label}.")
        if in_kernel():
            display(plotting.players([(clip, label)], self._sample_rate, 2, True))
        self._changed()

    def _render(self) -> tuple[str, str]:
        total = sum(map(len, self.clips.values()))
        counts = ", ".join(f"{word} {len(clips)}" for word, clips in self.clips.items())
        note = (
            "Your voice stays in the memory of this notebook's kernel; it is written to a file "
            "only if you call save(folder)."
        )
        words = f"Clips in memory: {total} ({counts}). {note}"
        bold = f"<b>Clips in memory: {total}</b> ({html.escape(counts)})."
        return f"<div>{bold}<br>{html.escape(note)}</div>", words
