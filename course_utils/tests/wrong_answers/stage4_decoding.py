"""Answers to the decoding of stage 4 that need a whole cell: wrong ones, and unusual right ones.

What a mistake function beside a check can do is there. A wrong answer here comes with its cause.
"""

#: Exercise to (name of the mistake, source of the whole cell, the likely cause that is named).
WRONG_ANSWERS: dict[str, list[tuple[str, str, str]]] = {}

#: Exercise to (name, source of the whole cell) of answers that are right.
RIGHT_ANSWERS: dict[str, list[tuple[str, str]]] = {}


# ---------------------------------------------------------------- 4.13 - Greedy decoding


WRONG_ANSWERS["4.13"] = [
    (
        "writes blanks into the padding",
        """
def greedy(log_probs, lengths):
    for clip, length in zip(log_probs, lengths):
        clip[length:] = -9.0
        clip[length:, 0] = 0.0
    return [collapse(path) for path in log_probs.argmax(dim=2).tolist()]
""",
        "work on copies",
    ),
]

RIGHT_ANSWERS["4.13"] = [
    (
        "a loop in plain Python",
        """
def greedy(log_probs, lengths):
    texts = []
    for row, frames in enumerate(lengths):
        text, before = [], 0
        for t in range(int(frames)):
            best = int(log_probs[row, t].argmax())
            if best not in (0, before):
                text.append(best)
            before = best
        texts.append(text)
    return tuple(texts)
""",
    ),
    (
        "padding becomes blank",
        """
def greedy(log_probs, lengths):
    best = log_probs.max(dim=-1).indices
    best = best * (torch.arange(best.shape[1]) < lengths[:, None])
    return [collapse(path) for path in best.tolist()]
""",
    ),
]


# ---------------------------------------------------------------- 4.14 - Prefix beam search


LISTS = """
def beam_search(log_probs, width, score=None):
    total = lambda values: float(np.logaddexp.reduce(values))
    beam = [((), 0.0, -math.inf)]
    for frame in log_probs.double().tolist():
        ways = defaultdict(lambda: ([], []))
        for text, *ends in beam:
            ways[text][0].extend(end + frame[0] for end in ends)
            for symbol, p in enumerate(frame[1:], start=1):
                repeats = text[-1:] == (symbol,)
                ways[text][1].extend(end + p for end in ends[1:] if repeats)
                p += score(text, symbol) if score is not None else 0
                ways[text + (symbol,)][1].extend(end + p for end in ends[: 2 - repeats])
        new = [(text, total(a), total(b)) for text, (a, b) in ways.items()]
        new = [item for item in new if total(item[1:]) > -math.inf]
        beam = sorted(new, key=lambda item: total(item[1:]), reverse=True)[:width]
    return [(text, total(ends)) for text, *ends in beam]
"""

WRONG_ANSWERS["4.14"] = [
    (
        "the logarithm of 0",
        LISTS.replace("np.logaddexp.reduce(values)", "math.log(sum(map(math.exp, values)))"),
        "the logarithm of 0",
    ),
    (
        "goes on where the call before ended",
        LISTS.replace("score=None", "score=None, beam=[((), 0.0, -math.inf)]")
        .replace("    beam = [((), 0.0, -math.inf)]\n", "")
        .replace("beam = sorted", "beam[:] = sorted"),
        "each call starts anew",
    ),
]

RIGHT_ANSWERS["4.14"] = [
    ("ways in lists, added up at the end of a frame", LISTS),
    (
        "torch's numbers",
        """
def beam_search(log_probs, width, score=None):
    minus, add = torch.tensor(-math.inf), torch.logaddexp
    beam = {(): (torch.zeros(()), minus)}
    for frame in log_probs:
        new = defaultdict(lambda: (minus, minus))
        for text, (b, n) in beam.items():
            new[text] = (add(new[text][0], add(b, n) + frame[0]), new[text][1])
            for symbol in range(1, len(frame)):
                p, start, longer = frame[symbol], add(b, n), text + (symbol,)
                if text and text[-1] == symbol:
                    new[text] = (new[text][0], add(new[text][1], n + p))
                    start = b
                way = start + p + (score(text, symbol) if score else 0)
                new[longer] = (new[longer][0], add(new[longer][1], way))
        kept = sorted(new, key=lambda t: float(add(*new[t])))[::-1][:width]
        beam = {text: new[text] for text in kept}
    return [[text, add(*pair).item()] for text, pair in beam.items()]
""",
    ),
]


# ---------------------------------------------------------------- 4.15 - An n-gram model


RECURSION = """
class NGram:
    def __init__(self, order, symbols, weight=1.0):
        self.order = order
        self.base = 1 / (symbols - 1)
        self.weight = weight
        self.grams = []

    def fit(self, sentences):
        for sentence in sentences:
            padded = (0,) * (self.order - 1) + tuple(sentence)
            self.grams += list(zip(*(padded[i:] for i in range(self.order))))

    def probability(self, history, symbol):
        history = ((0,) * self.order + tuple(history))[len(history) + 1 :]
        return self.mixed(history, symbol, self.order)

    def mixed(self, h, symbol, k):
        if k == 0:
            return self.base
        same = [gram[-1] for gram in self.grams if gram[self.order - k : -1] == h]
        below = self.mixed(h[1:], symbol, k - 1)
        return (same.count(symbol) + self.weight * below) / (len(same) + self.weight)
"""

COUNTED = """
class NGram:
    def __init__(self, order, symbols, weight=1.0):
        self.order, self.symbols, self.weight = order, symbols, weight
        self.counts = defaultdict(Counter)

    def fit(self, sentences):
        for sentence in sentences:
            tokens = (0,) * (self.order - 1) + tuple(sentence)
            for place in range(self.order - 1, len(tokens)):
                for k in range(1, self.order + 1):
                    self.counts[tokens[place - k + 1 : place]][tokens[place]] += 1

    def probability(self, history, symbol):
        history = (0,) * (self.order - 1) + tuple(history)
        p = 1 / (self.symbols - 1)
        for k in range(1, self.order + 1):
            found = self.counts[history[-(k - 1) :]]
            p = (found[symbol] + self.weight * p) / (found.total() + self.weight)
        return p
"""
EMPTY = "for k = 1 the history is empty: h[-0:] is the whole of h"

WRONG_ANSWERS["4.15"] = [
    ("h[-0:] of a history with zeros before it", COUNTED, EMPTY),
    (
        "h[-0:] of a history cut to its end",
        COUNTED.replace(
            "tuple(history)\n", "tuple(history)\n        history = history[-(self.order - 1) :]\n"
        ),
        EMPTY,
    ),
    (
        "h[-0:] of a history of just the right length",
        COUNTED.replace(
            "tuple(history)\n",
            "tuple(history)\n        history = history[len(history) - self.order + 1 :]\n",
        ),
        EMPTY,
    ),
    (
        "counts shared by all models",
        RECURSION.replace("        self.grams = []\n", "").replace(
            "    def __init__", "    grams = []\n\n    def __init__"
        ),
        "each model has counts of its own",
    ),
    (
        "adds zeros to the sentences",
        RECURSION.replace(
            "padded =", "sentence[:0] = (0,) * (self.order - 1)\n            padded ="
        ).replace("= (0,) * (self.order - 1) + tuple", "= tuple"),
        "work on copies",
    ),
    (
        "remembers what it said before the second fit",
        RECURSION.replace("    def mixed", "    @functools.lru_cache\n    def mixed").replace(
            "\nclass", "import functools\n\nclass"
        ),
        "after a second fit",
    ),
]

RIGHT_ANSWERS["4.15"] = [
    ("a recursion, and text that is counted anew", RECURSION),
    (
        "a dictionary of dictionaries",
        """
class NGram:
    def __init__(self, order, symbols, weight=1.0):
        self.order, self.symbols, self.weight = order, symbols, weight

    def fit(self, sentences):
        self.after = defaultdict(lambda: np.zeros(self.symbols))
        start = [0] * (self.order - 1)
        for sentence in sentences:
            for n, token in enumerate(sentence):
                before = start + list(sentence[:n])
                for k in range(self.order):
                    self.after[tuple(before[len(before) - k :])][token] += 1
        return self

    def probability(self, history, symbol):
        before = [0] * self.order + list(history)
        p = np.full(self.symbols, 1 / (self.symbols - 1))
        for k in range(self.order):
            counts = self.after[tuple(before[len(before) - k :])]
            p = (counts + self.weight * p) / (counts.sum() + self.weight)
        return p[symbol]
""",
    ),
]
