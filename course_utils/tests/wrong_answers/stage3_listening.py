"""Mistakes in listening to a stream that need a whole cell, and right answers that look unusual."""

from course_utils.tests.wrong_answers.stage1 import function

#: Exercise to (name of the mistake, source of the whole cell, words of the likely cause): its check
#: rejects each one, with this cause. Mistakes that are functions stand beside the checks.
WRONG_ANSWERS: dict[str, list[tuple[str, str, str]]] = {}

#: Exercise to (name, source of the whole cell): its check accepts each one.
RIGHT_ANSWERS: dict[str, list[tuple[str, str]]] = {}


# ---------------------------------------------------------------- 3.11 - Frames of a stream


def stream(body: str) -> str:
    return function("stream_frames(chunk, kept, window, hop)", body)


STREAM = stream("""
    x = torch.cat([kept, chunk])
    count = max(0, 1 + (len(x) - window) // hop)
    if not count:
        return x.new_zeros(0, window), x
    return x.unfold(0, window, hop) * torch.hann_window(window), x[count * hop :]""")

WRONG_ANSWERS["3.11"] = [
    ("in place", STREAM.replace("    x =", "    chunk *= 1.5\n    x ="), "work on copies"),
    ("stacks nothing", stream("""
        x = torch.cat([kept, chunk])
        frames = []
        while len(x) >= window:
            frames.append(x[:window] * torch.hann_window(window))
            x = x[hop:]
        return torch.stack(frames), x"""), "no frame yet"),
]  # fmt: skip

RIGHT_ANSWERS["3.11"] = [
    (
        "frame by frame",
        stream("""
            x, frames = torch.cat([kept, chunk]), [torch.zeros(0, window)]
            while len(x) >= window:
                frames.append((x[:window] * torch.hann_window(window))[None])
                x = x[hop:]
            return torch.cat(frames), x"""),
    ),
    (
        "NumPy's windows",
        stream("""
            x = np.concatenate([kept.numpy(), chunk.numpy()])
            padded = np.pad(x, (0, max(0, window - len(x))))
            count = 0 if len(x) < window else (len(x) - window) // hop + 1
            rows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:count]
            n = np.arange(window)
            rows = rows * (0.5 - 0.5 * np.cos(2 * np.pi * n / window))
            return torch.from_numpy(rows).float(), torch.from_numpy(x[count * hop :].copy())"""),
    ),
]


# ---------------------------------------------------------------- 3.12 - A running level


def level(body: str) -> str:
    return function("running_level(levels, decay, state=None)", body)


WRONG_ANSWERS["3.12"] = [
    (
        "the state changed in place",
        level("""
            total, weight = (torch.zeros_like(levels[..., 0]), 0.0) if state is None else state
            shown = []
            for x in levels.unbind(dim=2):
                total *= decay
                total += x
                weight = decay * weight + 1
                shown.append(x - total / weight)
            return torch.stack(shown, dim=2), (total, weight)"""),
        "work on copies",
    ),
    (
        "the levels changed in place",
        level("""
            total, weight = (0.0, 0.0) if state is None else state
            for t in range(levels.shape[2]):
                total, weight = decay * total + levels[..., t], decay * weight + 1
                levels[..., t] -= total / weight
            return levels, (total, weight)"""),
        "work on copies",
    ),
]

RIGHT_ANSWERS["3.12"] = [
    (
        "a filter without the divisor, and a number of frames",
        level("""
            mean, count = state or (torch.zeros_like(levels[..., 0]), 0)
            rows = torch.zeros_like(levels)
            for t in range(levels.shape[-1]):
                mean, count = decay * mean + (1 - decay) * levels[..., t], count + 1
                rows[..., t] = levels[..., t] - mean / (1 - decay**count)
            return rows, (mean, count)"""),
    ),
    (
        "the mean itself, moved by its share",
        level("""
            mean, weight = state if state else [0 * levels[:, :, 0], 0.0]
            rows = []
            for t in range(levels.shape[2]):
                weight = 1 + decay * weight
                mean = mean + (levels[:, :, t] - mean) / weight
                rows += [(levels[:, :, t] - mean).unsqueeze(2)]
            return [torch.cat(rows, 2), [mean, weight]]"""),
    ),
    (
        "all weights of a chunk in a matrix",
        level("""
            frames = levels.shape[2]
            total, weight = (torch.zeros(levels.shape[:2]), 0.0) if state is None else state
            t = torch.arange(frames)
            behind = (t[:, None] - t).clamp(min=0).double()
            table = torch.where(t[:, None] >= t, decay**behind, 0.0)
            fade = decay ** (t + 1).double()
            sums = levels.double() @ table.T + total[..., None] * fade
            weights = table.sum(1) + weight * fade
            return (levels - sums / weights).float(), (sums[..., -1], weights[-1])"""),
    ),
]


# ---------------------------------------------------------------- 3.13 - Listen on


def listens(body: str) -> str:
    return function("listen_on(model, x, state=None)", body)


WRONG_ANSWERS["3.13"] = [
    (
        "eval mode",
        listens("""
            model.eval()
            shown, state = model.lstm(x.mT, state)
            return model.output(shown).log_softmax(2), state"""),
        "the caller chose the mode",
    ),
    (
        "no gradients",
        listens("""
            with torch.no_grad():
                shown, state = model.lstm(x.mT, state)
            return model.output(shown).log_softmax(2), state"""),
        "stay in torch",
    ),
    (
        "not transposed",
        listens("""
            shown, state = model.lstm(x, state)
            return model.output(shown).log_softmax(2), state"""),
        "transpose",
    ),
]

RIGHT_ANSWERS["3.13"] = [
    (
        "frame by frame, and a dictionary as state",
        listens("""
            state, rows = (state or {"kept": None})["kept"], []
            for t in range(x.shape[2]):
                shown, state = model.lstm(x[:, :, t].unsqueeze(1), state)
                rows.append(F.log_softmax(model.output(shown[:, 0]), dim=1))
            return torch.stack(rows, dim=1), {"kept": state}"""),
    ),
    (
        "the state detached, as for long trainings",
        listens("""
            shown, (h, c) = model.lstm(x.permute(0, 2, 1).contiguous(), state)
            logits = model.output(shown)
            return logits - logits.logsumexp(-1, keepdim=True), (h.detach(), c.detach())"""),
    ),
]


# ---------------------------------------------------------------- 3.14 - Events


def events(body: str) -> str:
    return function("find_events(posteriors, threshold, smooth, refractory)", body)


WRONG_ANSWERS["3.14"] = [
    (
        "smoothed in place",
        events("""
            found, ready = [], 0
            for t in range(len(posteriors)):
                posteriors[t] = posteriors[max(0, t + 1 - smooth) : t + 1].mean(dim=0)
                if posteriors[t].max() >= threshold and t >= ready:
                    found.append((t, int(posteriors[t].argmax())))
                    ready = t + refractory
            return found"""),
        "work on copies",
    ),
    (
        "numbers of torch",
        events("""
            found, ready = [], 0
            for t in range(len(posteriors)):
                value, word = posteriors[max(0, t + 1 - smooth) : t + 1].mean(dim=0).max(dim=0)
                if value >= threshold and t >= ready:
                    found.append((torch.tensor(t), word))
                    ready = t + refractory
            return found"""),
        "numbers of Python",
    ),
]

RIGHT_ANSWERS["3.14"] = [
    (
        "a walk, frame by frame",
        events("""
            found, ready = [], 0
            for t in range(len(posteriors)):
                value, word = posteriors[max(0, t + 1 - smooth) : t + 1].mean(dim=0).max(dim=0)
                if value >= threshold and t >= ready:
                    found.append((t, int(word)))
                    ready = t + refractory
            return found"""),
    ),
    (
        "a convolution, and jumps",
        events("""
            x = F.pad(posteriors.T[:, None].double(), (smooth - 1, 0))
            sums = F.conv1d(x, torch.ones(1, 1, smooth).double())[:, 0].T
            counts = torch.arange(1, len(posteriors) + 1).clamp(max=smooth)
            value, word = (sums / counts[:, None]).max(dim=1)
            hot, found = np.flatnonzero((value >= threshold - 1e-9).numpy()), []
            place = 0
            while place < len(hot):
                found.append((hot[place], word[hot[place]].item()))
                place = np.searchsorted(hot, hot[place] + refractory)
            return found"""),
    ),
]


# ---------------------------------------------------------------- 3.15 - Counting


def counting(body: str) -> str:
    return function("count_events(events, commands, after=0.5)", body)


COUNT = counting("""
    latencies, confusions, false_alarms = [math.nan] * len(commands), [], []
    for second, word in events:
        due = [k for k, c in enumerate(commands) if c[0] <= second <= c[1] + after]
        same = [k for k in due if commands[k][2] == word]
        free = [k for k in same if math.isnan(latencies[k])]
        if free:
            latencies[free[0]] = second - commands[free[0]][1]
        elif due and not same:
            confusions.append((commands[due[-1]][2], word))
        else:
            false_alarms.append((second, word))
    return latencies, confusions, false_alarms""")

WRONG_ANSWERS["3.15"] = [
    ("nan compared", COUNT.replace("math.isnan(latencies[k])", "latencies[k] == math.nan"), ""),
    ("events taken out", COUNT.replace("    return", "    events.clear()\n    return"), "copies"),
    ("the fields of a command", COUNT.replace("for second, word", "for second, end, word"),
     "an event is (second, word)"),
]  # fmt: skip

RIGHT_ANSWERS["3.15"] = [
    (
        "NumPy",
        counting("""
            start, end = (np.array([c[i] for c in commands]) for i in (0, 1))
            said = np.array([c[2] for c in commands], dtype=object)
            late, confusions, alarms = np.full(len(commands), np.nan), [], []
            for t, word in events:
                due = np.flatnonzero((start <= t) & (t <= end + after)) if len(commands) else []
                same = [k for k in due if said[k] == word]
                free = [k for k in same if np.isnan(late[k])]
                if free:
                    late[free[0]] = t - end[free[0]]
                elif len(due) and not same:
                    confusions += [(said[due[-1]], word)]
                else:
                    alarms += [(t, word)]
            return late, confusions, alarms"""),
    ),
    (
        "a dictionary of hits, and a loop over commands",
        counting("""
            hits, confusions, alarms = {}, [], []
            for event in events:
                kind, said = "alarm", None
                for number, (start, end, word) in enumerate(commands):
                    if not start <= event[0] <= end + after:
                        continue
                    if word == event[1] and number not in hits and kind != "hit":
                        kind, hits[number] = "hit", event[0] - end
                    elif word == event[1] and kind != "hit":
                        kind = "again"
                    elif kind in ("alarm", "confusion"):
                        kind, said = "confusion", word
                if kind == "confusion":
                    confusions.append([said, event[1]])
                elif kind != "hit":
                    alarms.append(event)
            late = [hits.get(k, math.nan) for k in range(len(commands))]
            return late, confusions, alarms"""),
    ),
]


# ---------------------------------------------------------------- 3.16 - Thresholds

CURVE = function(
    "det_curve(scores, is_command)",
    """
    thresholds = torch.cat([scores.unique(), torch.tensor([math.inf])])
    named = scores >= thresholds[:, None]
    fpr = named[:, ~is_command].double().mean(dim=1)
    return fpr, 1 - named[:, is_command].double().mean(dim=1), thresholds""",
)
RATE = function(
    "equal_error_rate(fpr, fnr)",
    """
    off = fpr - fnr
    k = int((off <= 0).nonzero()[0])
    way = off[k - 1] / (off[k - 1] - off[k])
    return float(fpr[k - 1] + way * (fpr[k] - fpr[k - 1]))""",
)

WRONG_ANSWERS["3.16"] = [
    ("sorts what it is given", CURVE.replace("    thr", "    scores[:] = scores.sort()[0]\n    thr")
     + RATE, "work on copies"),
    ("a place in place of a rate", CURVE + RATE.replace("float(", "int("), ""),
]  # fmt: skip

RIGHT_ANSWERS["3.16"] = [
    (
        "counting along, and np.interp",
        function(
            "det_curve(scores, is_command)",
            """
            yes, no = (scores[mask].sort().values for mask in (is_command, ~is_command))
            at = np.append(np.unique(scores.numpy()), np.inf)
            fnr = np.searchsorted(yes.numpy(), at) / len(yes)
            fpr = 1 - np.searchsorted(no.numpy(), at) / len(no)
            return fpr, fnr, at""",
        )
        + function(
            "equal_error_rate(fpr, fnr)",
            "return np.interp(0, (fnr - fpr).numpy(), fpr.numpy())",
        ),
    ),
    (
        "a loop, and a tensor of one number",
        function(
            "det_curve(scores, is_command)",
            """
            points = []
            for t in [*sorted(set(scores.tolist())), math.inf]:
                false = [s >= t for s, c in zip(scores.tolist(), is_command.tolist()) if not c]
                missed = [s < t for s, c in zip(scores.tolist(), is_command.tolist()) if c]
                points.append((sum(false) / len(false), sum(missed) / len(missed), t))
            return tuple(torch.tensor(column) for column in zip(*points))""",
        )
        + function(
            "equal_error_rate(fpr, fnr)",
            """
            for k in range(1, len(fpr)):
                a, b = fpr[k - 1] - fnr[k - 1], fpr[k] - fnr[k]
                if b <= 0:
                    return (fpr[k - 1] * b - fpr[k] * a) / (b - a)""",
        ),
    ),
]
