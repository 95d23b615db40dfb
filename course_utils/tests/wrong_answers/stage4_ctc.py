"""Mistakes in the loss of stage 4 that take a whole cell, and right answers that look unusual.

The other mistakes stand beside the checks.
"""

from course_utils.tests.wrong_answers.stage1 import function

#: Exercise to (name of the mistake, source of the whole cell, likely cause that the check names).
WRONG_ANSWERS: dict[str, list[tuple[str, str, str]]] = {}

#: Exercise to (name, source) of answers that are right: its check accepts each one.
RIGHT_ANSWERS: dict[str, list[tuple[str, str]]] = {}


# ---------------------------------------------------------------- 4.5 - Collapse a path


def collapsing(body: str) -> str:
    return function("collapse(path, blank=0)", body)


WRONG_ANSWERS["4.5"] = [
    (
        "a generator",
        collapsing("return (s for s, _ in itertools.groupby(path) if s != blank)"),
        "return a list of int",
    ),
]

RIGHT_ANSWERS["4.5"] = [
    ("a loop with a memory", collapsing("""
        result, before = [], None
        for symbol in path:
            if symbol != before and symbol != blank:
                result.append(symbol)
            before = symbol
        return result""")),
    ("torch", collapsing("""
        if not path:
            return []
        merged = torch.unique_consecutive(torch.tensor(path))
        return merged[merged != blank].tolist()""")),
    ("neighbours, with one in front", collapsing(
        "return [b for a, b in zip([None, *path], path) if b not in (a, blank)]"
    )),
]


# ---------------------------------------------------------------- 4.6 - All alignments


def forcing(body: str) -> str:
    return function("brute_force(log_probs, target)", body)


RIGHT_ANSWERS["4.6"] = [
    ("logsumexp", forcing("""
        frames, symbols = log_probs.shape
        scores = [
            log_probs[range(frames), list(path)].sum()
            for path in itertools.product(range(symbols), repeat=frames)
            if collapse(list(path)) == target
        ]
        return torch.stack(scores).logsumexp(dim=0).item() if scores else float("-inf")""")),
    ("a recursion over the frames", forcing("""
        def visit(path):
            if len(path) == len(log_probs):
                return 1.0 if collapse(path) == target else 0.0
            row = log_probs[len(path)].exp()
            return sum(float(p) * visit([*path, s]) for s, p in enumerate(row))

        total = visit([])
        return float(np.log(total)) if total else -np.inf""")),
]


# ---------------------------------------------------------------- 4.7 - The forward algorithm


def forward(body: str) -> str:
    return function("ctc_loss(log_probs, target)", body)


LISTS = forward("""
    states = [0, *itertools.chain(*([token, 0] for token in target))]
    alpha = [log_probs[0, s] if place < 2 else None for place, s in enumerate(states)]
    for frame in log_probs[1:]:
        new = []
        for place, symbol in enumerate(states):
            skips = place >= 2 and symbol not in (0, states[place - 2])
            ways = [a for a in alpha[max(0, place - 1 - skips) : place + 1] if a is not None]
            new.append(torch.stack(ways).logsumexp(0) + frame[symbol] if ways else None)
        alpha = new
    ends = [end for end in alpha[-2:] if end is not None]
    return -torch.stack(ends).logsumexp(0) if ends else log_probs.new_tensor(math.inf)""")

WRONG_ANSWERS["4.7"] = [
    (
        "writes into alpha",
        forward("""
            states = [0, *itertools.chain(*([token, 0] for token in target))]
            alpha = log_probs.new_full((len(log_probs), len(states)), -1e30)
            alpha[0, :2] = log_probs[0, states[:2]]
            for t in range(1, len(log_probs)):
                for s, symbol in enumerate(states):
                    skips = s >= 2 and symbol not in (0, states[s - 2])
                    ways = alpha[t - 1, max(0, s - 1 - skips) : s + 1].logsumexp(0)
                    alpha[t, s] = alpha[t, s].exp() + ways + log_probs[t, symbol]
            total = alpha[-1, -2:].logsumexp(0)
            return -total if total > -1e29 else total.new_tensor(math.inf)"""),
        "alpha[s] = ... writes over numbers that the way back needs: make a new alpha",
    ),
    (
        "torch's loss, by its kernel",
        forward("""
            targets = torch.tensor([target], dtype=torch.long).reshape(1, -1)
            sizes = [len(log_probs)], [len(target)]
            return torch.ops.aten._ctc_loss(log_probs[:, None], targets, *sizes)[0][0]"""),
        "ctc_loss does it for you",
    ),
    (
        "too large by a constant",
        LISTS.replace("return -torch", "return 0.5 - torch"),
        "a place is reached from itself, from the one before, or by a skip from two before",
    ),
]

RIGHT_ANSWERS["4.7"] = [
    ("lists, and only what can be reached", LISTS),
    ("a matrix of ways", forward("""
        states = [0, *itertools.chain(*([token, 0] for token in target))]
        n = len(states)
        ways = log_probs.new_full((n, n), -1e30)
        for s in range(n):
            for before in range(max(0, s - 2), s + 1):
                if s - before < 2 or (states[s] and states[s] != states[before]):
                    ways[before, s] = 0
        first = log_probs.new_full((n,), -1e30)
        first[:2] = 0
        row = first + log_probs[0, states]
        for frame in log_probs[1:]:
            row = torch.logsumexp(row[:, None] + ways, dim=0) + frame[states]
        loss = -torch.logsumexp(row[-2:], dim=0)
        return loss if loss < 1e29 else torch.full_like(loss, math.inf)""")),
    ("from behind", forward("""
        states = [0, *itertools.chain(*([token, 0] for token in target))]

        def logs(values):
            values = [value for value in values if value is not None]
            return torch.logsumexp(torch.stack(values), 0) if values else None

        size = len(states)
        beta = [log_probs[-1, s] if place >= size - 2 else None for place, s in enumerate(states)]
        for frame in log_probs[:-1].flip(0):
            new = []
            for s, symbol in enumerate(states):
                skips = s + 2 < size and states[s + 2] not in (0, symbol)
                total = logs(beta[s : s + 2 + skips])
                new.append(None if total is None else total + frame[symbol])
            beta = new
        total = logs(beta[:2])
        return log_probs.new_tensor(math.inf) if total is None else -total""")),
]


# ---------------------------------------------------------------- 4.8 - Does the text fit?


NEEDED = function(
    "frames_needed(target)",
    "return len(target) + sum(a == b for a, b in zip(target, target[1:]))",
)


def feasible(body: str) -> str:
    return function("feasible(lengths, targets, target_lengths)", body)


FEASIBLE = feasible("""
    rows = zip(targets.tolist(), target_lengths.tolist())
    needed = [frames_needed(row[:length]) for row, length in rows]
    return lengths >= torch.tensor(needed)""")

WRONG_ANSWERS["4.8"] = [
    (
        "clears the padding in the targets it was given",
        NEEDED + FEASIBLE.replace(
            "    needed", "    for row, n in zip(targets, target_lengths): row[n:] = 0\n    needed"
        ),
        "work on copies",
    ),
]

RIGHT_ANSWERS["4.8"] = [
    ("tensors throughout", function("frames_needed(target)", """
        t = torch.tensor(target)
        return len(target) + int((t[1:] == t[:-1]).sum())""") + feasible("""
        inside = torch.arange(1, targets.shape[1]) < target_lengths[:, None]
        pairs = ((targets[:, 1:] == targets[:, :-1]) & inside).sum(dim=1)
        return lengths >= target_lengths + pairs""")),
    ("runs", function("frames_needed(target)", """
        runs = [len(list(run)) for _, run in itertools.groupby(target)]
        return sum(2 * run - 1 for run in runs)""") + FEASIBLE.replace(
        "lengths >= torch.tensor(needed)",
        "torch.tensor([not n < m for n, m in zip(lengths, needed)])",
    )),
]


# ---------------------------------------------------------------- 4.9 - One length for all


def lengths_of(body: str) -> str:
    return function("output_frames(frames, layers)", body)


WRONG_ANSWERS["4.9"] = [
    (
        "changes the lengths it was given",
        lengths_of("""
            for kernel, stride in layers:
                frames -= kernel - 2 * (kernel // 2)
                frames //= stride
                frames += 1
            return frames"""),
        "work on copies",
    ),
]

RIGHT_ANSWERS["4.9"] = [
    ("positions of the kernel", lengths_of("""
        for kernel, stride in layers:
            last = frames + kernel // 2 - kernel + kernel // 2
            frames = last // stride
            frames = frames + 1
        return frames""")),
    ("a recursion", lengths_of("""
        if not layers:
            return frames
        (kernel, stride), *others = layers
        return output_frames((frames - kernel % 2) // stride + 1, others)""")),
    ("torch.div", lengths_of("""
        for kernel, stride in layers:
            total = frames - kernel % 2
            if isinstance(total, torch.Tensor):
                total = torch.div(total, stride, rounding_mode="floor")
            else:
                total = math.floor(total / stride)
            frames = total + 1
        return frames""")),
]
