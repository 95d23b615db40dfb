"""Explorers of shifts, confusions, features and augmentation."""

import html
import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import torch
import torchaudio

from course_utils import plotting
from course_utils.interactive.base import (
    ClipExplorer,
    Explorer,
    draw_bars,
    figure_image,
    new_figure,
    ranking_in_words,
    shares_of,
    slider,
    text_block,
)
from course_utils.plotting.base import samples_of, taken_notes


class ShiftExplorer(ClipExplorer):
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

    def __init__(
        self, clips: Sequence[torch.Tensor], labels: Sequence[str],
        predict: Callable[[torch.Tensor], Mapping[str, float]], sample_rate: int = 16000,
    ):
        super().__init__(clips, labels, sample_rate)
        self._predict = predict
        self.shift = slider(ipywidgets.IntSlider, "Shift (ms)", 0, -300, 300, 1)
        self._figure = new_figure(2.6)
        self._figure.subplots(1, 2, width_ratios=(3, 2))
        self._figure.subplots_adjust(0.08, 0.2, 0.96, 0.88, wspace=0.1)
        self._start(self.choice, self.shift)

    def _render(self) -> tuple[str, str]:
        clip, word = self._chosen()
        shift, time = self.shift.value, clip.shape[1]
        samples = max(-time, min(time, round(shift * self._sample_rate / 1000)))
        clip = torch.nn.functional.pad(clip, (samples, -samples))  # what leaves is cut off
        moved = f"{abs(shift)} ms {'earlier' if shift < 0 else 'later'}" if shift else "not shifted"
        label = f"{word}, {moved}"
        heard = shares_of(self._predict(clip))
        said = ranking_in_words(heard, word)
        words = f"{label}. {said}"
        left, right = self._figure.axes
        left.clear()
        right.clear()
        plotting.waveform(clip, self._sample_rate, left).set_title(label)
        draw_bars(right, heard, word)
        page = figure_image(self._figure, words) + text_block(said)
        return page + plotting.player(clip, self._sample_rate, label).data, words


class ConfusionPicker(Explorer):
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

    MOST = 8  # players at a time

    def __init__(
        self, targets: Sequence[int], predictions: Sequence[int], names: Sequence[str],
        clip: Callable[[int], torch.Tensor], sample_rate: int,
    ):
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
        self._start(self.said, self.heard)

    def _render(self) -> tuple[str, str]:
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


class FeatureExplorer(ClipExplorer):
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

    def __init__(
        self, clips: Sequence[torch.Tensor], labels: Sequence[str], sample_rate: int = 16000, *,
        window: int = 25, hop: int = 10, mels: int = 64, mfccs: int = 13,
    ):
        super().__init__(clips, labels, sample_rate)
        integer = ipywidgets.IntSlider
        self.window = slider(integer, "Window (ms)", window, 5, 100, 1)
        self.hop = slider(integer, "Hop (ms)", hop, 2, 50, 1)
        self.mels = slider(integer, "Mel bands", mels, 8, 128, 1)
        self.mfccs = slider(integer, "MFCCs", mfccs, 4, 40, 1)

        self._figure = new_figure(3.1)
        self._start(self.choice, self.window, self.hop, self.mels, self.mfccs)

    def _render(self) -> tuple[str, str]:
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
            level, seconds, left, ylabel=label, title=f"Log-mel, {word}",
            colorbar="Level (dB re peak)", name=f"{word}, log-mel in dB", vmin=-80, vmax=0,
        )
        seen = taken_notes(self._figure)
        ticks = [hz for hz in (250, 500, 1000, 2000, 4000, 8000) if hz < rate / 2]
        names = [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks]
        # Band i is centred at (i + 1) of mels + 1 equal steps on the mel scale.
        step = _htk_mel(rate / 2) / (mels + 1)
        left.set_yticks([_htk_mel(hz) / step - 1 for hz in ticks], names)
        plotting.features(
            mfcc, seconds, right, title=f"{mfccs} MFCCs, {word}", colorbar="Standard deviations",
            vmin=-3, vmax=3,
        )
        alt = f"Left: {seen} Right: {mfccs} MFCCs, each standardised over the clip."
        page = figure_image(self._figure, alt) + text_block(words)
        return page + plotting.player(clip, rate, word).data, f"{words} {alt}"


def _htk_mel(hz: float) -> float:
    """The mel scale of HTK (S. Young et al., The HTK Book), which MFCC are made with here."""
    return 2595 * math.log10(1 + hz / 700)


def _features(
    clip: torch.Tensor, rate: int, window: int, hop: int, mels: int, mfccs: int
) -> tuple[torch.Tensor, torch.Tensor, int, int]:
    """Level in dB below the peak (mel, frame), MFCCs standardised (mfcc, frame), FFT size, empty
    bands; of a clip (1, time), with window and hop in ms."""

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


class AugmentationExplorer(ClipExplorer):
    """Let the reader change a clip, and see, hear and ask a model what became of it.

    Parameters
    ----------
    clips : sequence of float32 tensors (1, time)
    labels : sequence of str
        The word of each clip.
    effects : dict of str to (function, low, high, step, neutral, unit)
        ``function(waveforms, amounts)`` is an effect of the course: a batch (1, 1, time) and a
        float tensor (1,) to a batch, whose clip may have another length. It is called, in the
        order of the dict, where its slider, `low` to `high`, does not stand on `neutral`. `unit`
        is a str.
    sample_rate : int
        In Hz.
    predict : callable, optional
        ``predict(waveform)`` of one clip (1, time) returns the probability of each word.

    Raises
    ------
    ValueError
        If there are no clips, or not as many labels, or an effect is not described so.
    """

    def __init__(
        self, clips: Sequence[torch.Tensor], labels: Sequence[str], effects: Mapping[str, tuple],
        sample_rate: int = 16000,
        predict: Callable[[torch.Tensor], Mapping[str, float]] | None = None,
    ):
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
            control = slider(ipywidgets.FloatSlider, title, neutral, low, high, step)
            control.readout_format = ".0f" if whole else ".2f"
            self.sliders[name] = control

        self._figure = new_figure(4.2)
        self._start(self.choice, *self.sliders.values())

    def _augmented(self, clip: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
        """The clip after each effect that is not neutral, and what was done, in words."""

        done = []
        for name, (function, _low, _high, step, neutral, unit) in self._effects.items():
            value = self.sliders[name].value
            if abs(value - neutral) < step / 1000:
                continue
            clip = function(clip[None].clone(), torch.tensor([value]))
            clip = clip[0] if getattr(clip, "ndim", 0) == 3 and len(clip) == 1 else clip
            done.append(f"{name} {value:g} {unit}".rstrip())
            try:
                samples_of(clip)
            except ValueError as error:
                raise ValueError(
                    f"effect {name!r} returned no waveform (1, time): {error}"
                ) from None
            clip = clip.detach().reshape(1, -1)  # (1, time)
        return clip, done

    def _render(self) -> tuple[str, str]:
        before, word = self._chosen()
        after, done = self._augmented(before)
        rate = self._sample_rate
        label = f"{word}, {', '.join(done) or 'unchanged'}"
        seconds = after.shape[1] / rate
        peaks = [float(clip.abs().max()) for clip in (before, after)]
        words = f"{label}: {seconds:.2f} s, peak amplitude {peaks[1]:.2f}."

        self._figure.clear()
        widths = (4, 4) if self._predict is None else (4, 4, 2.4)
        grid = self._figure.add_gridspec(2, len(widths), width_ratios=widths, height_ratios=(2, 3))
        grid.update(left=0.075, right=0.97, bottom=0.12, top=0.93, wspace=0.28, hspace=0.25)
        top = self._figure.add_subplot(grid[0, 0])
        shared = self._figure.add_subplot(grid[0, 1], sharex=top, sharey=top)
        end = max(before.shape[1], after.shape[1]) / rate
        peak = 1.05 * max(0.01, *peaks)
        seen: list[str] = []
        for column, (ax, clip) in enumerate(((top, before), (shared, after))):
            plotting.waveform(clip, rate, ax)
            ax.set(xlabel="", title=("Before", "After")[column])
            below = self._figure.add_subplot(grid[1, column], sharex=top)
            taken_notes(self._figure)
            plotting.log_mel(clip, rate, below, colorbar=False, name=(word, label)[column])
            seen.append(taken_notes(self._figure))
            if column:
                ax.set_ylabel("")
                below.set_ylabel("")
        top.set(xlim=(0, end), ylim=(-peak, peak))
        for ax in (top, shared):
            ax.tick_params(labelbottom=False)
        alt = "Waveform and log-mel spectrogram, left before and right after. "
        alt += f"Before: {seen[0]} After: {seen[1]}"
        if self._predict is not None:
            heard = shares_of(self._predict(after))
            said = ranking_in_words(heard, word)
            first = shares_of(self._predict(before)) if done else heard
            best = max(first, key=first.get)
            if done:
                said += f" Before, the model heard {best}, {100 * first[best]:.0f} %."
            words += f" {said}"
            draw_bars(self._figure.add_subplot(grid[:, 2]), heard, word)
        page = figure_image(self._figure, f"{words} {alt}") + text_block(words)
        return page + plotting.player(after, rate, label).data, f"{words} {alt}"
