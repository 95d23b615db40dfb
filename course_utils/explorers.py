"""Explorers of features, augmentation and decoding, and a collector of the reader's own clips.

They belong to ``interactive``, which offers them under its own name
(``interactive.feature_explorer``), and keep its rules: a static result always stands first, so
that a page without a kernel is complete, and where there is no notebook nothing is shown.

Notebook: 03_mfcc_lstm_augmentation.ipynb
"""

from __future__ import annotations

import html
import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets

from course_utils import audio

if TYPE_CHECKING:
    import torch

#: Shorter recordings, in s, and those with a smaller peak amplitude, are no words.
SHORTEST, QUIETEST = 0.1, 0.005


def _plain_words(error: Exception) -> str:
    """As in ``interactive``: the line that is named is never one of this module."""
    from course_utils import interactive

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return interactive._plain_words(error.with_traceback(trace))


def _text(words: str) -> str:
    return f"<div>{html.escape(words)}</div>"


def _slider(kind: type, name: str, value, low, high, step) -> ipywidgets.Widget:
    limits = {"min": low, "max": high, "step": step}
    return kind(value, **limits, description=name, continuous_update=False)


class _Explorer:
    """A page that `_render` makes, and again when a control changes: it displays itself."""

    page = words = ""

    def _ipython_display_(self) -> None:
        pass  # as the last line of a cell it adds nothing

    def _start(self, *controls: ipywidgets.Widget) -> None:
        from course_utils import interactive

        self.page, self.words = self._render()
        self._handle = interactive._show(self.page, self.words)
        width = max(8, *(0.55 * len(control.description) for control in controls))  # em
        for control in controls:
            control.style.description_width = f"{width:g}em"
            control.layout.width = f"{width + 24:g}em"
            control.observe(self._changed, "value")
        interactive._show_widget(ipywidgets.VBox(controls))

    def _changed(self, _change=None) -> None:
        from course_utils import interactive

        try:
            self.page, self.words = self._render()
        except Exception as error:
            self.words = f"That did not work. {_plain_words(error)}"
            self.page = html.escape(self.words)
        if self._handle is not None:
            interactive._show(self.page, self.words, self._handle)

    def _render(self) -> tuple[str, str]:
        raise NotImplementedError


class _ClipExplorer(_Explorer):
    """An explorer that begins with the choice of a clip."""

    def __init__(self, clips, labels, sample_rate: int):
        if len(clips) != len(labels) or not len(labels):
            raise ValueError(f"there are {len(clips)} clips and {len(labels)} labels")
        self._clips, self._labels, self._sample_rate = clips, list(labels), sample_rate
        options = [(f"{number + 1}: {word}", number) for number, word in enumerate(self._labels)]
        self.choice = ipywidgets.Dropdown(options=options, description="Clip")

    def _chosen(self) -> tuple[torch.Tensor, str]:
        """The clip, float32 (1, time), and its label."""
        import torch

        from course_utils import plotting

        samples = plotting._samples(self._clips[self.choice.value])
        clip = torch.from_numpy(samples.copy()).float()[None]  # (1, time)
        return clip, self._labels[self.choice.value]


# --- features ---------------------------------------------------------------------------------


class FeatureExplorer(_ClipExplorer):
    """What `feature_explorer` shows: `page` as HTML, and `words` that say what is seen."""

    def __init__(self, clips, labels, sample_rate: int, window=25, hop=10, mels=64, mfccs=13):
        super().__init__(clips, labels, sample_rate)
        integer = ipywidgets.IntSlider
        self.window = _slider(integer, "Window (ms)", window, 5, 100, 1)
        self.hop = _slider(integer, "Hop (ms)", hop, 2, 50, 1)
        self.mels = _slider(integer, "Mel bands", mels, 8, 128, 1)
        self.mfccs = _slider(integer, "MFCCs", mfccs, 4, 40, 1)
        from course_utils import interactive

        self._figure = interactive._figure(3.1)
        self._start(self.choice, self.window, self.hop, self.mels, self.mfccs)

    def _render(self) -> tuple[str, str]:
        from course_utils import interactive, plotting

        clip, word = self._chosen()
        rate, window, hop = self._sample_rate, self.window.value, self.hop.value
        mels, mfccs = self.mels.value, min(self.mfccs.value, self.mels.value)
        level, mfcc, n_fft, empty = _features(clip, rate, window, hop, mels, mfccs)

        frames, per_second = level.shape[1], 1000 / hop
        words = (
            f"{word}: {frames} frames of {window} ms, one every {hop} ms. Numbers per second: "
            f"{rate:,} samples, {mels * per_second:,.0f} as {mels} mel bands, "
            f"{mfccs * per_second:,.0f} as {mfccs} MFCCs. The window is padded to {n_fft} samples "
            f"for the FFT: its frequency bins are {rate / n_fft:.4g} Hz apart."
        )
        if empty:
            words += f" {empty} of the {mels} mel bands {'is' if empty == 1 else 'are'} empty: "
            words += "no frequency bin falls into them. Take a longer window, or fewer bands."
        if hop > window:
            words += f" Of every {hop} ms, {hop - window} ms are not looked at."
        if mfccs < self.mfccs.value:
            words += f" There can be no more MFCCs than mel bands: {mfccs} are shown."

        self._figure.clear()
        left, right = self._figure.subplots(1, 2)
        self._figure.subplots_adjust(0.07, 0.17, 0.96, 0.9, wspace=0.22)
        seconds = hop / 1000
        label = f"Frequency (Hz), {mels} bands"
        plotting.features(
            *(level, seconds, left, label, f"Log-mel, {word}", "Level (dB re peak)"),
            **{"vmin": -80, "vmax": 0},
        )
        ticks = [hz for hz in (250, 500, 1000, 2000, 4000, 8000) if hz < rate / 2]
        names = [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks]
        # Band i is centred at (i + 1) of mels + 1 equal steps on the mel scale.
        step = _mel(rate / 2) / (mels + 1)
        left.set_yticks([_mel(hz) / step - 1 for hz in ticks], names)
        plotting.features(
            *(mfcc, seconds, right, "Coefficient", f"{mfccs} MFCCs, {word}"),
            **{"colorbar": "Standard deviations", "vmin": -3, "vmax": 3},
        )
        seen = plotting.describe_features(level, seconds, f"{word}, log-mel in dB", "Band")
        alt = f"Left: {seen} Right: {mfccs} MFCCs, each standardised over the clip."
        page = interactive._image(self._figure, alt) + _text(words)
        return page + plotting.player(clip, rate, word).data, f"{words} {alt}"


def _mel(hz: float) -> float:
    """The mel scale of HTK (S. Young et al., The HTK Book)."""
    return 2595 * math.log10(1 + hz / 700)


def _features(clip, rate: int, window: int, hop: int, mels: int, mfccs: int):
    """Level in dB below the peak (mel, frame), MFCCs standardised (mfcc, frame), FFT size, empty
    bands; of a clip (1, time), with window and hop in ms."""
    import torch
    import torchaudio

    samples = max(1, round(window * rate / 1000))
    n_fft = 1 << (samples - 1).bit_length()  # the next power of two
    spectrum = {"n_fft": n_fft, "win_length": samples, "pad_mode": "constant", "n_mels": mels}
    spectrum |= {"hop_length": max(1, round(hop * rate / 1000)), "mel_scale": "htk"}
    with warnings.catch_warnings():  # the words say it
        warnings.filterwarnings("ignore", "At least one mel filterbank has all zero values")
        transform = torchaudio.transforms.MFCC(rate, mfccs, melkwargs=spectrum)
    with torch.no_grad():
        power = transform.MelSpectrogram(clip)
        level = transform.amplitude_to_DB(power)  # (1, mel, frame)
        mfcc = (level.transpose(1, 2) @ transform.dct_mat).transpose(1, 2)[0]  # (mfcc, frame)
    centred = mfcc - mfcc.mean(dim=1, keepdim=True)
    spread = centred.square().mean(dim=1, keepdim=True).sqrt()
    bank = transform.MelSpectrogram.mel_scale.fb  # (bin, mel)
    empty = int((bank.amax(dim=0) == 0).sum())
    return level[0] - level.max(), centred / spread.clamp_min(1e-3), n_fft, empty


def feature_explorer(
    clips: Sequence[torch.Tensor],
    labels: Sequence[str],
    sample_rate: int = 16000,
    *,
    window: int = 25,
    hop: int = 10,
    mels: int = 64,
    mfccs: int = 13,
) -> FeatureExplorer:
    """Let the reader choose window, hop and numbers of features, and see log-mel and MFCCs.

    The mel scale is HTK's, the window Hann's, padded to the next power of two; each MFCC is drawn
    standardised over the clip, since the first would outshine the others.

    Parameters
    ----------
    clips : sequence of float32 tensors (1, time)
    labels : sequence of str
        The word of each clip.
    sample_rate : int
        In Hz.
    window, hop : int
        Where these sliders stand at first, in ms.
    mels, mfccs : int
        How many of each at first.

    Raises
    ------
    ValueError
        If there are no clips, or not as many labels.
    """
    return FeatureExplorer(clips, labels, sample_rate, window, hop, mels, mfccs)


# --- augmentation -----------------------------------------------------------------------------


class AugmentationExplorer(_ClipExplorer):
    """What `augmentation_explorer` shows: `page` as HTML, and `words` that say what is seen."""

    def __init__(self, clips, labels, effects, sample_rate: int, predict):
        super().__init__(clips, labels, sample_rate)
        self._effects, self._predict = dict(effects), predict
        self.sliders: dict[str, ipywidgets.FloatSlider] = {}
        for name, effect in self._effects.items():
            try:
                function, low, high, step, neutral, unit = effect
            except (TypeError, ValueError):
                function = None
            if not callable(function):
                raise ValueError(
                    f"effect {name!r} must be (function, low, high, step, neutral value, unit), "
                    f"got {effect!r}"
                )
            if not low <= neutral <= high or step <= 0:
                raise ValueError(
                    f"effect {name!r}: the neutral value {neutral} must lie in {low} to {high}, "
                    f"and the step {step} above 0"
                )
            title = f"{name} ({unit})" if unit else name
            whole = all(float(number).is_integer() for number in (low, high, step, neutral))
            slider = _slider(ipywidgets.FloatSlider, title, neutral, low, high, step)
            slider.readout_format = ".0f" if whole else ".2f"
            self.sliders[name] = slider
        from course_utils import interactive

        self._figure = interactive._figure(4.2)
        self._start(self.choice, *self.sliders.values())

    def _augmented(self, clip: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
        """The clip after each effect that is not neutral, and what was done, in words."""
        from course_utils import plotting

        done = []
        for name, (function, _low, _high, step, neutral, unit) in self._effects.items():
            value = self.sliders[name].value
            if abs(value - neutral) < step / 1000:
                continue
            clip = function(clip.clone(), value)
            done.append(f"{name} {value:g} {unit}".rstrip())
            try:
                plotting._samples(clip)
            except ValueError as error:
                raise ValueError(
                    f"effect {name!r} returned no waveform (1, time): {error}"
                ) from None
            clip = clip.detach().reshape(1, -1)  # (1, time)
        return clip, done

    def _render(self) -> tuple[str, str]:
        from course_utils import interactive, plotting

        before, word = self._chosen()
        after, done = self._augmented(before)
        rate, what = self._sample_rate, ", ".join(done) or "unchanged"
        label = f"{word}, {what}"
        seconds, peaks = (
            after.shape[1] / rate,
            [float(clip.abs().max()) for clip in (before, after)],
        )
        words = f"{label}: {seconds:.2f} s, peak amplitude {peaks[1]:.2f}."

        self._figure.clear()
        widths = (4, 4) if self._predict is None else (4, 4, 2.4)
        grid = self._figure.add_gridspec(2, len(widths), width_ratios=widths, height_ratios=(2, 3))
        grid.update(left=0.075, right=0.97, bottom=0.12, top=0.93, wspace=0.28, hspace=0.25)
        top = self._figure.add_subplot(grid[0, 0])
        shared = self._figure.add_subplot(grid[0, 1], sharex=top, sharey=top)
        end = max(before.shape[1], after.shape[1]) / rate
        peak = 1.05 * max(0.01, *peaks)
        for column, (ax, clip) in enumerate(((top, before), (shared, after))):
            plotting.waveform(clip, rate, ax)
            ax.set(xlabel="", title=("Before", "After")[column])
            below = self._figure.add_subplot(grid[1, column], sharex=top)
            plotting.log_mel(clip, rate, below, colorbar=False)
            if column:
                ax.set_ylabel("")
                below.set_ylabel("")
        top.set(xlim=(0, end), ylim=(-peak, peak))
        for ax in (top, shared):
            ax.tick_params(labelbottom=False)
        alt = "Waveform and log-mel spectrogram, left before and right after. "
        alt += f"Before: {plotting.describe_log_mel(before, rate, word)} "
        alt += f"After: {plotting.describe_log_mel(after, rate, label)}"
        if self._predict is not None:
            heard = _shares(self._predict(after))
            said = _ranking(heard, word)
            first = _shares(self._predict(before)) if done else heard
            best = max(first, key=first.get)
            if done:
                said += f" Before, the model heard {best}, {100 * first[best]:.0f} %."
            words += f" {said}"
            _bars(self._figure.add_subplot(grid[:, 2]), heard, word)
        page = interactive._image(self._figure, f"{words} {alt}") + _text(words)
        return page + plotting.player(after, rate, label).data, f"{words} {alt}"


def _shares(heard: Mapping[str, float]) -> dict[str, float]:
    return {str(name): float(value) for name, value in heard.items()}


def _ranking(heard: dict[str, float], word: str) -> str:
    ranking = sorted(heard, key=heard.get, reverse=True)
    place = ranking.index(word) + 1 if word in heard else "none"
    shares = ", ".join(f"{name} {100 * heard[name]:.0f} %" for name in ranking[:5])
    return f"Most probable: {shares}. The true word is number {place} of {len(ranking)}."


def _bars(ax, heard: dict[str, float], word: str) -> None:
    """What the model hears: the five most probable words, the true one hatched."""
    names = sorted(heard, key=heard.get, reverse=True)[:5][::-1]
    bars = ax.barh(
        range(len(names)),
        [100 * heard[name] for name in names],
        color=["#F0C060" if name == word else "#0072B2" for name in names],
        hatch=["////" if name == word else "" for name in names],
        height=0.45,
    )
    ax.bar_label(bars, fmt="%.0f %%", padding=3)
    # The names stand above their bars: beside them they would need as much room again.
    for place, name in enumerate(names):
        ax.text(2, place + 0.26, f"{name} (true)" if name == word else name, va="bottom")
    ax.set(xlim=(0, 130), xlabel="Probability (%)", title="What the model hears")
    ax.set(yticks=[], xticks=[0, 50, 100], ylim=(-0.5, len(names) - 0.2))
    ax.spines[["top", "right"]].set_visible(False)


def augmentation_explorer(
    clips: Sequence[torch.Tensor],
    labels: Sequence[str],
    effects: Mapping[str, tuple],
    sample_rate: int = 16000,
    predict: Callable[[torch.Tensor], Mapping[str, float]] | None = None,
) -> AugmentationExplorer:
    """Let the reader change a clip, and see, hear and ask a model what became of it.

    Parameters
    ----------
    clips : sequence of float32 tensors (1, time)
    labels : sequence of str
        The word of each clip.
    effects : dict of str to (function, low, high, step, neutral, unit)
        ``function(waveform, value)`` takes and returns a waveform (1, time), which may change its
        length; it is called, in the order of the dict, where its slider, `low` to `high`, does
        not stand on `neutral`. `unit` is a str.
    sample_rate : int
        In Hz.
    predict : callable, optional
        ``predict(waveform)`` of one clip (1, time) returns the probability of each word.

    Raises
    ------
    ValueError
        If there are no clips, or not as many labels, or an effect is not described so.
    """
    return AugmentationExplorer(clips, labels, effects, sample_rate, predict)


# --- the reader's own clips -------------------------------------------------------------------


class ClipCollector(_Explorer):
    """What `clip_collector` shows; `clips` maps each word to its clips, float32 (1, time)."""

    def __init__(self, words: Sequence[str], seconds: float, sample_rate: int):
        from course_utils import interactive

        names = list(words)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"words must differ, and be at least one: {names}")
        for word in names:  # each is the name of a folder
            if not isinstance(word, str) or not re.fullmatch(r"\w([\w' -]*\w)?", word):
                raise ValueError(f"{word!r} is no word: letters, digits, ' and - are allowed")
        self.clips: dict[str, list[torch.Tensor]] = {word: [] for word in names}
        self._order: list[tuple[str, torch.Tensor]] = []  # as they came
        self._saved: list[tuple[Path, torch.Tensor]] = []
        self._sample_rate = sample_rate
        self.word = ipywidgets.Dropdown(options=names, description="Word")
        self.recorder = interactive.Recorder(self._use, seconds)
        self.upload = ipywidgets.FileUpload(accept=",".join(audio.FORMATS))
        self.upload.tooltip = "Upload a recording of the word: WAV, FLAC or MP3"
        self.upload.observe(self._uploaded, "value")
        self.forget_button = ipywidgets.Button(description="Forget the last")
        self.forget_button.layout.width = "auto"
        self.forget_button.on_click(lambda _button: self.forget())
        self.page, self.words = self._render()
        self._handle = interactive._show(self.page, self.words)
        buttons = ipywidgets.HBox([self.upload, self.forget_button])
        parts = [self.word, self.recorder, buttons, self.recorder.output]
        interactive._show_widget(ipywidgets.VBox(parts))

    def forget(self) -> None:
        """Delete the last clip, and what was shown of it."""
        self.recorder.forget()
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
                if any(place == folder and one is clip for place, one in self._saved):
                    continue
                number = 0
                while (path := folder / word / f"me_nohash_{number}.wav").exists():
                    number += 1
                path.parent.mkdir(parents=True, exist_ok=True)
                written.append(audio.write(path, clip, self._sample_rate))
                self._saved.append((folder, clip))
        return written

    def _uploaded(self, change) -> None:
        from course_utils import interactive

        if change["new"]:
            file = change["new"][0]
            self.upload.value = ()  # keep no copy, and let the same file come again
            worked = interactive._attempt(self.recorder.output, self._read, file)
            self.recorder.status = f"{file['name']} was {'' if worked else 'not '}kept."

    def _read(self, file: Mapping) -> None:
        content = io.BytesIO(file["content"])
        content.name = file["name"]  # for the messages
        self._use(*audio.read(content))

    def _use(self, waveform: torch.Tensor, sample_rate: int) -> None:
        from course_utils import interactive, plotting

        word = self.word.value
        clip = audio.resample(audio.to_mono(waveform), sample_rate, self._sample_rate).float()
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
        if interactive._in_kernel():
            interactive.display(plotting.players([(clip, label)], self._sample_rate, 2, True))
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


def clip_collector(
    words: Sequence[str], seconds: float = 1.0, sample_rate: int = 16000
) -> ClipCollector:
    """Let the reader record or upload a few clips of each word, to train a model with.

    What is silent or shorter than 0.1 s is refused, with the reason. The clips stay in memory, as
    ``clips[word]``, a list of float32 (1, time) at `sample_rate`; ``save(folder)`` writes them.

    Parameters
    ----------
    words : sequence of str
    seconds : float
        Length of a recording; an upload keeps its length.
    sample_rate : int
        In Hz.

    Raises
    ------
    ValueError
        If there are no words, or one cannot be the name of a folder.

    Examples
    --------
    >>> collector = clip_collector(["yes", "no"])
    >>> collector.clips
    {'yes': [], 'no': []}
    """
    return ClipCollector(words, seconds, sample_rate)


# --- decoding ---------------------------------------------------------------------------------


class BeamExplorer(_Explorer):
    """What `beam_explorer` shows: `page` as HTML, and `words` that say what is seen."""

    MOST = 8  # beams in the picture

    def __init__(self, frames, symbols, hop_seconds: float, steps, blank: int):
        from course_utils import interactive, plots_sequence, plotting

        self._frames, self._symbols = plotting._array(frames, float), list(symbols)
        self._hop, self._steps, self._blank = hop_seconds, list(steps), blank
        plotting.describe_posteriors(self._frames, symbols, hop_seconds, "a clip", blank)  # valid?
        if len(self._steps) != len(self._frames):
            raise ValueError(
                f"there are beams for {len(self._steps)} steps, but {len(self._frames)} frames"
            )
        for step, beams in enumerate(self._steps):
            if not len(beams):
                raise ValueError(f"there is no beam after frame {step}")
        self._rows = min(self.MOST, max(map(len, self._steps)))
        last = len(self._frames) - 1
        self.frame = _slider(ipywidgets.IntSlider, "Frame", last, 0, last, 1)
        import numpy as np

        shown = plots_sequence._visible(np.exp(self._frames), blank)
        self._figure = interactive._figure(max(3.6, 0.9 + 0.14 * len(shown)))
        self._start(self.frame)

    def _written(self, prefix) -> str:
        if not isinstance(prefix, str):
            prefix = "".join(self._symbols[int(token)] for token in prefix)
        return prefix

    def _render(self) -> tuple[str, str]:
        from course_utils import interactive, plots_sequence, plotting

        now = self.frame.value
        beams = [(self._written(prefix), float(score)) for prefix, score in self._steps[now]]
        beams.sort(key=lambda beam: -beam[1])
        top = beams[0][1]
        weights = [math.exp(score - top) if top > -math.inf else 1.0 for _, score in beams]
        shares = [100 * weight / sum(weights) for weight in weights]
        path = self._frames[: now + 1].argmax(axis=1).tolist()
        signs = "".join("·" if i == self._blank else self._symbols[i] for i in path)
        tokens = plots_sequence._best_path(self._frames[: now + 1], self._blank)
        greedy = "".join(self._symbols[token] for token in tokens)
        place = f"After frame {now} ({now * self._hop:.2f} s)"
        many = f"{len(beams)} beam{'s' * (len(beams) > 1)}"
        words = f"{place} the best of {many} is {_quoted(beams[0][0])}, {shares[0]:.0f} % of "
        words += f"their probability. The greedy path reads {_quoted(greedy)}."
        others = [
            f"{_quoted(prefix)} {share:.0f} %"
            for (prefix, _), share in zip(beams, shares, strict=True)
        ]

        self._figure.clear()
        left, right = self._figure.subplots(1, 2, width_ratios=(5, 3))
        self._figure.subplots_adjust(0.07, 0.15, 0.97, 0.9, wspace=0.12)
        plotting.posteriors(self._frames, self._symbols, self._hop, left, self._blank)
        edges = [(now + side) * self._hop for side in (-0.5, 0.5)]
        left.axvspan(*edges, color="#D55E00", alpha=0.25, linewidth=0)
        for edge in edges:
            left.axvline(edge, color="#D55E00", linewidth=1)
        left.set_title(f"Frame {now} of 0 to {len(self._frames) - 1}")
        shown = list(zip(beams, shares, strict=True))[: self.MOST]
        bars = right.barh(
            range(len(shown)),
            [share for _, share in shown],
            color="#0072B2",
            height=0.4,
        )
        labels = [f"{share:.0f} %, score {score:.1f}" for (_, score), share in shown]
        right.bar_label(bars, labels, padding=3, fontsize=8)
        for row, ((prefix, _), _share) in enumerate(shown):
            right.text(2, row - 0.22, _short(prefix), va="bottom", fontsize=9)
        right.set(ylim=(self._rows - 0.5, -0.8), xlim=(0, 150), yticks=[], xticks=[0, 50, 100])
        right.set(xlabel="Share of the beams (%)", title="Beams")
        right.spines[["top", "right"]].set_visible(False)

        alt = f"{place}. Beams: {', '.join(others[: self.MOST])}. "
        alt += plotting.describe_posteriors(
            self._frames, self._symbols, self._hop, "the clip", self._blank
        )
        page = interactive._image(self._figure, alt) + _text(words)
        raw = html.escape(signs.replace(" ", "␣"))
        code = f'<code style="overflow-wrap:anywhere">{raw}</code>'
        page += f"<div>Greedy, frame by frame (· is the blank): {code}</div>"
        return page, f"{words} {alt}"


def _quoted(prefix: str) -> str:
    return repr(prefix) if prefix else "nothing yet"


def _short(prefix: str, most: int = 28) -> str:
    """The end of a prefix, spaces visible; the empty one has a name."""
    if not prefix:
        return "(nothing yet)"
    return (prefix if len(prefix) <= most else f"…{prefix[1 - most :]}").replace(" ", "␣")


def beam_explorer(
    frames: torch.Tensor,
    symbols: Sequence[str],
    hop_seconds: float,
    steps: Sequence[Sequence[tuple]],
    blank: int = 0,
) -> BeamExplorer:
    """Let the reader follow a beam search through the frames of one clip.

    Parameters
    ----------
    frames : tensor (frame, symbol)
        Log probabilities; those of a frame sum to 1 as probabilities.
    symbols : sequence of str
        The name of each symbol.
    hop_seconds : float
        Time from one frame to the next, in s.
    steps : sequence of lists of (prefix, log_prob)
        The beams after each frame; a prefix is a str, or indices of symbols.
    blank : int
        The index of the blank of CTC.

    Raises
    ------
    ValueError
        If there are not as many steps as frames, or a step has no beam; see also
        ``plotting.posteriors``.
    """
    return BeamExplorer(frames, symbols, hop_seconds, steps, blank)
