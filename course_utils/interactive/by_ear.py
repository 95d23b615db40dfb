"""A person's ears, as one more row of the table."""

from collections.abc import Callable, Sequence

import ipywidgets
import torch

from course_utils import plotting
from course_utils.interactive.base import Explorer, plain_words, text_block


class ByEar(Explorer):
    """Play clips one after the other; the listener chooses a word for each, and gets a score.

    Parameters
    ----------
    clips : sequence of float32 tensors (1, time)
    said : sequence of str
        The word of each.
    names : sequence of str
        What may be chosen.
    sample_rate : int
        In Hz.
    done : callable, optional
        ``done(right)`` gets a list of bool (clip,) once every clip has an answer; what it returns
        is shown below the score.

    Raises
    ------
    ValueError
        If there are no clips, or not as many words, or a word that cannot be chosen.
    """

    def __init__(
        self, clips: Sequence[torch.Tensor], said: Sequence[str], names: Sequence[str],
        sample_rate: int, done: Callable[[list[bool]], str] | None = None,
    ):
        if len(clips) != len(said) or not len(said) or not set(said) <= set(names):
            raise ValueError(f"{len(clips)} clips say {list(said)}; to choose from: {list(names)}")
        self._clips, self._said, self._sample_rate = list(clips), list(said), sample_rate
        self._done, self.answers = done, []
        self._more = ""
        options = [("choose a word", ""), *((name, name) for name in names)]
        self.heard = ipywidgets.Dropdown(options=options, value="", description="I heard")
        self.next = ipywidgets.Button(description="Next clip")
        self.next.on_click(lambda _: self._answered())
        self._start(self.heard, silent=[self.next])

    @property
    def right(self) -> list[bool]:
        """Of each clip that has an answer, whether it is right."""
        return [mine == said for mine, said in zip(self.answers, self._said, strict=False)]

    def _answered(self) -> None:
        if not self.heard.value or len(self.answers) == len(self._said):
            return
        self.answers.append(self.heard.value)
        if len(self.answers) == len(self._said) and self._done is not None:
            try:
                self._more = str(self._done(self.right) or "")
            except Exception as error:
                self._more = f"The score was not kept. {plain_words(error)}"
        if self.heard.value:
            self.heard.value = ""  # draws the page again

    def _render(self) -> tuple[str, str]:
        number, count = len(self.answers), len(self._said)
        if number < count:
            words = f"Clip {number + 1} of {count}. Play it, choose the word, press Next clip."
            clips = {f"clip {number + 1}": self._clips[number]}
            return text_block(words) + plotting.players(clips, self._sample_rate).data, words
        missed = [
            (item, f"said {said}, you heard {mine}")
            for item, (said, mine) in enumerate(zip(self._said, self.answers, strict=True))
            if said != mine
        ]
        words = f"{count - len(missed)} of {count} right. {self._more}".strip()
        page = text_block(words)
        if missed:
            played = [(self._clips[item], label) for item, label in missed]
            page += plotting.players(played, self._sample_rate).data
            words += " " + "; ".join(label for _, label in missed) + "."
        return page, words
