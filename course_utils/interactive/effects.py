"""Explorers of what is done to a sound, and of the networks that hear it."""

from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import torch

from course_utils import plotting
from course_utils.interactive.base import (
    ClipExplorer,
    draw_bars,
    emptied,
    figure_image,
    new_figure,
    ranking_in_words,
    shares_of,
    slider,
    text_block,
)
from course_utils.plotting.base import samples_of, taken_notes


class EffectExplorer(ClipExplorer):
    """An explorer with a slider for each effect on a clip.

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

    Raises
    ------
    ValueError
        If there are no clips, or not as many labels, or an effect is not described so.
    """

    def __init__(
        self, clips: Sequence[torch.Tensor], labels: Sequence[str], effects: Mapping[str, tuple],
        sample_rate: int = 16000,
    ):
        super().__init__(clips, labels, sample_rate)
        self._effects = dict(effects)
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


class AugmentationExplorer(EffectExplorer):
    """Let the reader change a clip, and see, hear and ask a model what became of it.

    Parameters
    ----------
    clips, labels, effects, sample_rate
        As :class:`EffectExplorer` takes them.
    predict : callable, optional
        ``predict(waveform)`` of one clip (1, time) returns the probability of each word.

    Raises
    ------
    ValueError
        As :class:`EffectExplorer` does.
    """

    def __init__(
        self, clips: Sequence[torch.Tensor], labels: Sequence[str], effects: Mapping[str, tuple],
        sample_rate: int = 16000,
        predict: Callable[[torch.Tensor], Mapping[str, float]] | None = None,
    ):
        super().__init__(clips, labels, effects, sample_rate)
        self._predict = predict
        self._figure = new_figure(3)
        widths = (4, 4) if predict is None else (4, 4, 2.4)
        grid = self._figure.add_gridspec(2, len(widths), width_ratios=widths, height_ratios=(1, 2))
        grid.update(left=0.075, right=0.97, bottom=0.16, top=0.91, wspace=0.28, hspace=0.25)
        top = None
        for column in (0, 1):
            above = self._figure.add_subplot(grid[0, column], sharex=top, sharey=top)
            above.tick_params(labelbottom=False)
            top = top or above
            self._figure.add_subplot(grid[1, column], sharex=top)
        if predict is not None:
            self._figure.add_subplot(grid[:, 2])
        self._drawn, self._seen = None, ""  # the clip on the left, and what is said of it
        self._start(self.choice, *self.sliders.values())

    def _draw(self, column: int, clip: torch.Tensor, name: str) -> str:
        """Draw a clip on the left (0) or on the right (1), and return what is seen."""
        above, below = self._figure.axes[2 * column : 2 * column + 2]
        plotting.waveform(clip, self._sample_rate, emptied(above))
        above.set(xlabel="", title=("Before", "After")[column])
        taken_notes(self._figure)
        plotting.log_mel(clip, self._sample_rate, emptied(below), colorbar=False, name=name)
        if column:
            above.set_ylabel("")
            below.set_ylabel("")
        return taken_notes(self._figure)

    def _render(self) -> tuple[str, str]:
        before, word = self._chosen()
        after, done = self._augmented(before)
        rate = self._sample_rate
        label = f"{word}, {', '.join(done) or 'unchanged'}"
        seconds = after.shape[1] / rate
        peaks = [float(clip.abs().max()) for clip in (before, after)]
        words = f"{label}: {seconds:.2f} s, peak amplitude {peaks[1]:.2f}."
        if self._drawn != self.choice.value:
            self._drawn, self._seen = self.choice.value, self._draw(0, before, word)
        alt = "Waveform and log-mel spectrogram, left before and right after. "
        alt += f"Before: {self._seen} After: {self._draw(1, after, label)}"
        end, peak = max(before.shape[1], after.shape[1]) / rate, 1.05 * max(0.01, *peaks)
        self._figure.axes[0].set(xlim=(0, end), ylim=(-peak, peak))  # the others share it
        if self._predict is not None:
            heard = shares_of(self._predict(after))
            said = ranking_in_words(heard, word)
            if done:
                first = shares_of(self._predict(before))
                best = max(first, key=first.get)
                said += f" Before, the model heard {best}, {100 * first[best]:.0f} %."
            words += f" {said}"
            draw_bars(self._figure.axes[4], heard, word)
        page = figure_image(self._figure, f"{words} {alt}") + text_block(words)
        sounds = [(before, f"{word}, before"), (after, f"{label}, after")]
        return page + plotting.players(sounds, rate, 2).data, f"{words} {alt}"


class RobustnessExplorer(EffectExplorer):
    """Let the reader spoil a clip, and see what each of several networks still hears.

    Parameters
    ----------
    clips, labels, effects, sample_rate
        As :class:`EffectExplorer` takes them.
    models : dict of str to callable
        By name: ``predict(waveform)`` of one clip (1, time) returns the probability of each word.

    Raises
    ------
    ValueError
        If there is no model, or one cannot be called; and as :class:`EffectExplorer` does.
    """

    MOST = 3  # words of each network in the picture
    BESIDE = 5  # networks in a row

    def __init__(
        self, clips: Sequence[torch.Tensor], labels: Sequence[str], effects: Mapping[str, tuple],
        models: Mapping[str, Callable[[torch.Tensor], Mapping[str, float]]],
        sample_rate: int = 16000,
    ):
        super().__init__(clips, labels, effects, sample_rate)
        self._models = dict(models)
        if not self._models:
            raise ValueError("there is no model to ask: expected {'its name': predict, ...}")
        for name, predict in self._models.items():
            if not callable(predict):
                raise ValueError(f"model {name!r} must be a function of a clip, got {predict!r}")
        columns = min(self.BESIDE, len(self._models))
        rows = -(-len(self._models) // columns)
        height = 1.2 + 2 * rows  # inches
        self._figure = new_figure(height)
        grid = self._figure.add_gridspec(rows + 1, columns, height_ratios=(3, *[5] * rows))
        edges = {"bottom": 0.48 / height, "top": 1 - 0.26 / height}
        grid.update(left=0.075, right=0.98, wspace=0.12, hspace=0.75, **edges)
        self._figure.add_subplot(grid[0, :])
        for place in range(len(self._models)):
            self._figure.add_subplot(grid[1 + place // columns, place % columns])
        self._start(self.choice, *self.sliders.values())

    def _render(self) -> tuple[str, str]:
        before, word = self._chosen()
        after, done = self._augmented(before)
        label = f"{word}, {', '.join(done) or 'unchanged'}"
        top, *below = self._figure.axes
        plotting.waveform(after, self._sample_rate, emptied(top), name=label)
        top.set_title(label)
        alt = taken_notes(self._figure)
        said = []
        for ax, (name, predict) in zip(below, self._models.items(), strict=True):
            heard = shares_of(predict(after), name)
            draw_bars(ax, heard, word, self.MOST, name)
            best = max(heard, key=heard.get)
            answer = f"{best} {100 * heard[best]:.0f} %"
            if best == word:
                said.append(f"{name}: {answer}, right.")
            else:
                said.append(f"{name}: {answer}, wrong ({word} {100 * heard.get(word, 0):.0f} %).")
        words = f"{label}. {' '.join(said)}"
        page = figure_image(self._figure, f"{words} {alt}") + text_block(words)
        sounds = [(before, f"{word}, before"), (after, f"{label}, what the networks hear")]
        return page + plotting.players(sounds, self._sample_rate, 2).data, f"{words} {alt}"
