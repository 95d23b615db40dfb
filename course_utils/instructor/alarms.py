"""Count what a detector does in hours of sound: misses, and false alarms an hour, kind by kind.

The events and the counts are those of a notebook's own functions; here stand only the rule by which
a threshold is chosen, the hours behind each rate, and how far chance may move it.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from course_utils import rates
from course_utils.corpora.embedded.scenes import MIX
from course_utils.corpora.scenes import Scene

#: Thresholds that are tried, from above: below some of them wrong words come first.
GRID = [
    *(0.9999, 0.9997, 0.9995, 0.999, 0.998, 0.997),
    *np.round(np.arange(0.995, 0.95, -0.005), 3).tolist(),
    *np.round(np.arange(0.95, 0.2, -0.01), 2).tolist(),
]
COMMANDS = "commands"  # the scene with commands in it, among the scenes of one kind each

Code = dict[str, Any]  # what notebook 03 defines, by name


@dataclass(frozen=True)
class Heard:
    """What a network says of some scenes, and how events are made of it.

    Attributes
    ----------
    scenes : dict of str to Scene
        By kind; under `COMMANDS` the one with commands.
    posteriors : dict of str to array (frame, words)
    words : list of str
    find_events, count_events : callables
        Exercises 3.14 and 3.15.
    hop, first : float
        In seconds: from frame to frame, and when frame 0 is known.
    smooth : int
        Frames that are averaged.
    rest, after : float
        In seconds: the refractory time, and how long after its end a command may be answered.
    """

    scenes: Mapping[str, Scene]
    posteriors: Mapping[str, np.ndarray]
    words: list[str]
    find_events: Callable[..., list[tuple[int, int]]]
    count_events: Callable[..., tuple[list, list, list]]
    hop: float
    first: float
    smooth: int = 5
    rest: float = 1.0
    after: float = 0.5

    def events(self, kind: str, threshold: float) -> list[tuple[float, str]]:
        """What is told in a scene: (second, word)."""
        rows = torch.from_numpy(self.posteriors[kind].astype(np.float32))
        found = self.find_events(rows, threshold, self.smooth, round(self.rest / self.hop))
        return [(self.first + frame * self.hop, self.words[word]) for frame, word in found]

    def counted(self, threshold: float) -> tuple[list, list, list]:
        """Latencies, confusions and false alarms in the scene with commands."""
        rows = self.scenes[COMMANDS].of_kind("command")
        commands = [(row.start, row.end, row.text) for row in rows]
        return self.count_events(self.events(COMMANDS, threshold), commands, self.after)

    def operating_point(self, misses: float) -> tuple[float, bool]:
        """The highest threshold at which at most this share is missed, and True.

        Where none reaches that, the one at which least is missed, and False.
        """
        best = 1.0, GRID[0]
        for threshold in GRID:
            missed = float(np.isnan(self.counted(threshold)[0]).mean())
            if missed <= misses:
                return threshold, True
            best = min(best, (missed, threshold))
        return best[1], False

    def score(self, threshold: float) -> dict[str, Any]:
        """All that is counted at one threshold, as JSON has it."""
        latencies, confusions, among = self.counted(threshold)
        missed = np.isnan(latencies)
        speakers: dict[str, tuple[int, int]] = {}
        for row, miss in zip(self.scenes[COMMANDS].of_kind("command"), missed, strict=True):
            errors, total = speakers.get(row.speaker, (0, 0))
            speakers[row.speaker] = (errors + int(miss), total + 1)
        kinds, mistaken = {}, Counter()
        for kind in self.scenes.keys() - {COMMANDS}:
            alarms = self.events(kind, threshold)
            mistaken.update((kind, *pair) for pair in said(self.scenes[kind], alarms))
            hours = self.scenes[kind].seconds / 3600
            kinds[kind] = {
                "events": len(alarms), "hours": hours, "rate": len(alarms) / hours,
                "interval": rates.poisson(len(alarms), hours),
            }  # fmt: skip
        late = np.array(latencies)[~missed]
        return {
            "threshold": threshold, "commands": len(missed), "speakers": len(speakers),
            "missed": int(missed.sum()), "misses": float(missed.mean()),
            "misses_interval": rates.bootstrap(speakers),
            "worst_speakers": sorted((e / n for e, n in speakers.values()), reverse=True)[:5],
            "confusions": len(confusions), "alarms_beside_commands": len(among),
            "latency": np.quantile(late, (0.5, 0.95)).tolist() if len(late) else None,
            "kinds": {kind: kinds[kind] for kind in MIX if kind in kinds},
            "mistaken": [[*what, count] for what, count in mistaken.most_common(40)],
        } | mixed(kinds)  # fmt: skip

    def curve(self, most: float = 0.5) -> list[tuple[float, float, float]]:
        """Threshold, misses and false alarms an hour of the mix, from above."""
        points = []
        for threshold in GRID[::5]:
            misses = float(np.isnan(self.counted(threshold)[0]).mean())
            if misses <= most:
                each = {
                    kind: {
                        "events": len(self.events(kind, threshold)),
                        "hours": scene.seconds / 3600,
                    }
                    for kind, scene in self.scenes.items()
                    if kind != COMMANDS
                }
                points.append((threshold, misses, mixed(each)["mix"]))
        return points


def said(scene: Scene, events: list[tuple[float, str]]) -> list[tuple[str, str]]:
    """What was being said, or had been said last, and what was told in its place."""
    starts = [row.start for row in scene.rows]
    rows = [max(0, int(np.searchsorted(starts, second, "right")) - 1) for second, _ in events]
    return [(scene.rows[row].text, word) for row, (_, word) in zip(rows, events, strict=True)]


def mixed(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """False alarms an hour in the mix, and the middle 95 % of rates that fit the events.

    The rate of each kind is drawn from its gamma distribution, given its events (Jeffreys' prior).

    >>> only = {kind: {"events": 100, "hours": 10} for kind in MIX}
    >>> found = mixed(only)
    >>> round(found["mix"], 6), [round(end) for end in found["mix_interval"]]
    (10.0, [9, 11])
    """
    known = {kind: share for kind, share in MIX.items() if kind in kinds}
    shares = {kind: share / sum(known.values()) for kind, share in known.items()}
    random = np.random.default_rng(0)
    drawn = sum(
        share * random.gamma(kinds[kind]["events"] + 0.5, 1 / kinds[kind]["hours"], 10_000)
        for kind, share in shares.items()
    )
    mix = sum(
        share * kinds[kind]["events"] / kinds[kind]["hours"] for kind, share in shares.items()
    )
    return {"mix": float(mix), "mix_interval": np.quantile(drawn, (0.025, 0.975)).tolist()}


def rearmed(find_events: Callable, low: float = 0.3) -> Callable:
    """Events with two thresholds: the same word again only after it fell below the lower one."""

    def found(posteriors, threshold, smooth, refractory):
        sums = torch.nn.functional.pad(posteriors.double().cumsum(dim=0), (0, 0, 1, 0))
        first = (torch.arange(len(posteriors)) + 1 - smooth).clamp(min=0)
        count = torch.arange(len(posteriors)) + 1 - first
        means = (sums[1:] - sums[first]) / count[:, None]
        events, ready, last = [], 0, {}
        for frame, word in find_events(posteriors, threshold, smooth, 1):
            again = word in last and not (means[last[word] : frame, word] < low).any()
            if frame >= ready and not again:
                events.append((frame, word))
                ready, last[word] = frame + refractory, frame
        return events

    return found


@torch.no_grad()
def with_hard_ones(
    code: Code, weights: dict[str, torch.Tensor], data: tuple, words: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The scene, and behind it what an earlier detector mistook in it: a quarter of the whole."""
    (sound, table, _, features), rate = data, code["RATE"]
    network = code["CausalCNN"](len(words) + 1)
    network.load_state_dict(weights)
    network.eval()
    pieces = []
    for start in range(0, len(sound) - 60 * rate, 60 * rate):
        second = start / rate
        x = sound[start : start + 60 * rate].float()[None, None] / 32768
        log_p, _ = code["answers"](network, features(x))
        found = code["find_events"](log_p[0].exp()[:, :-1], 0.3, 5, 50)
        events = [(second + frame * code["HOP"] / rate, words[word]) for frame, word in found]
        rows = table[(table[:, 1] > second) & (table[:, 0] < second + 60)].tolist()
        commands = [(a, b, words[int(word)]) for a, b, word in rows if word < len(words)]
        _, _, alarms = code["count_events"](events, commands, 0.5)
        pieces += [(max(0.0, at - 3), min(len(sound) / rate, at + 3)) for at, _ in alarms]
    length = len(sound) / rate
    often = round(length / 3 / sum(high - low for low, high in pieces)) if pieces else 0
    sounds, tables = [sound], [table]
    for low, high in pieces * often:
        part = sound[round(low * rate) : round(high * rate)]
        there = table[(table[:, 1] > low) & (table[:, 0] < high)].clone()
        there[:, :2] += length - low
        sounds.append(part)
        tables.append(there)
        length += len(part) / rate
    return torch.cat(sounds), torch.cat(tables)
