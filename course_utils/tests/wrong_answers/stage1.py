"""Mistakes that students make in stage 1, and right answers that look unusual.

Most mistakes are a right cell with one thing changed. Should a change not take, the cell stays
right, its check accepts it, and the test says so.
"""

from textwrap import dedent, indent

Answers = dict[str, list[tuple[str, ...]]]

#: Exercise to (name of the mistake, source of the whole cell, words of the likely cause): its check
#: rejects each one, with this cause. Mistakes that are functions stand beside the checks.
WRONG_ANSWERS: Answers = {}

#: Exercise to (name, source of the whole cell): its check accepts each one.
RIGHT_ANSWERS: Answers = {}


def function(signature: str, body: str) -> str:
    """Source of a function."""
    return f"def {signature}:\n{indent(dedent(body).strip(), '    ')}\n"


# ---------------------------------------------------------------- 1.1 - Pad or trim to one second


def fit(body: str) -> str:
    body = "channels, time = waveform.shape\n" + dedent(body).strip()
    return function("fit_to_length(waveform, samples)", body)


WRONG_ANSWERS["1.1"] = [
    ("silences the end of the clip that it was given",
        fit("""
            fitted = F.pad(waveform, (0, samples - time))
            waveform[:, samples:] = 0
            return fitted"""),
        "work on copies"),
    ("NumPy's float32, whatever came",
        fit("""
            fitted = np.zeros((channels, samples), dtype=np.float32)
            fitted[:, : min(time, samples)] = waveform.numpy()[:, :samples]
            return torch.from_numpy(fitted)"""),
        "the waveform's dtype: new_zeros, not torch.zeros"),
]

RIGHT_ANSWERS["1.1"] = [
    ("a negative pad cuts", fit("return F.pad(waveform, (0, samples - time))")),
    ("two cases",
        fit("""
            if time >= samples:
                return waveform[..., :samples]
            return nn.ConstantPad1d((0, samples - time), 0.0)(waveform)""")),
]


# ---------------------------------------------------------------- 1.2 - Words to indices and back


def words(
    make: str = "return sorted(set(words))",
    there: str = "return torch.tensor([vocabulary.index(word) for word in words])",
    back: str = "return [vocabulary[index] for index in indices.tolist()]",
) -> str:
    return (
        function("make_vocabulary(words)", make)
        + function("words_to_indices(words, vocabulary)", there)
        + function("indices_to_words(indices, vocabulary)", back)
    )


WRONG_ANSWERS["1.2"] = [
    ("sort returns nothing", words(make="return list(set(words)).sort()"), "such as .sort()"),
    ("an unknown word is None",
        words(
            there="""
            index = {word: i for i, word in enumerate(vocabulary)}
            return torch.tensor([index.get(word) for word in words])"""
        ),
        "look whether the word is there before you use it"),
    ("remembers the words of an earlier call",
        words(make="return sorted(SEEN.update(words) or SEEN)") + "\n\nSEEN = set()\n",
        "sort the words and keep each once, anew in every call"),
]

RIGHT_ANSWERS["1.2"] = [
    ("a dictionary",
        words(
            make="return sorted({word: None for word in words})",
            there="""
            index = dict(zip(vocabulary, range(len(vocabulary))))
            return torch.LongTensor([index[word] for word in words])""",
            back="return [vocabulary[i] for i in indices]",
        )),
    ("NumPy",
        words(
            make="return np.unique(words).tolist()",
            there="""
            found = np.array(words)[:, None] == np.array(vocabulary)
            if not found.any(axis=1).all():
                raise ValueError("an unknown word")
            return torch.from_numpy(found.argmax(axis=1))""",
            back="return np.array(vocabulary)[indices.numpy()].tolist()",
        )),
    ("loops",
        words(
            make="""
            result = []
            for word in words:
                if word not in result:
                    result.append(word)
            result.sort()
            return result""",
            there="""
            indices = torch.zeros(len(words), dtype=torch.long)
            for i, word in enumerate(words):
                indices[i] = vocabulary.index(word)
            return indices""",
            back="return list(map(vocabulary.__getitem__, indices))",
        )),
]


# ---------------------------------------------------------------- 1.3 - The shapes of a batch


def batch(
    waveforms: str = "waveforms = torch.stack([fit_to_length(i[0], 16_000) for i in items])",
    labels: str = "labels = words_to_indices([item[2] for item in items], vocabulary)",
    result: str = "return waveforms, labels",
) -> str:
    body = "\n".join(dedent(part).strip() for part in (waveforms, labels, result))
    return function("collate(items, vocabulary)", body)


WRONG_ANSWERS["1.3"] = [
    ("stacks clips of unequal length",
        batch("waveforms = torch.stack([item[0] for item in items])"),
        "the line of your code"),
]

RIGHT_ANSWERS["1.3"] = [
    ("fills a block of zeros",
        batch("""
            waveforms = torch.zeros(len(items), 1, 16_000)
            for row, (waveform, *_) in enumerate(items):
                kept = min(16_000, waveform.shape[1])
                waveforms[row, :, :kept] = waveform[:, :kept]""")),
    ("columns for rows",
        batch(
            "waveforms, _, said, _, _ = zip(*items)",
            "labels = words_to_indices(list(said), vocabulary)",
            "return torch.cat([fit_to_length(row, 16_000)[None] for row in waveforms]), labels",
        )),
    ("a list of two",
        batch(
            "waveforms = torch.stack([F.pad(i[0], (0, 16_000 - i[0].shape[1])) for i in items])",
            result="return [waveforms, labels]",
        )),
]


# ---------------------------------------------------------------- 1.4 - The multilayer perceptron

SEQUENTIAL = """
self.layers = nn.Sequential(
    nn.Flatten(),
    nn.Linear(inputs, 128),
    nn.ReLU(),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, classes),
)"""


def mlp(init: str = SEQUENTIAL, forward: str = "return self.layers(waveforms)") -> str:
    init = "super().__init__()\n" + dedent(init)
    methods = [
        function("__init__(self, classes, inputs=16_000)", init),
        function("forward(self, waveforms)", forward),
    ]
    return "class SpeechMLP(nn.Module):\n" + indent("".join(methods), "    ")


WRONG_ANSWERS["1.4"] = [
    ("misspells forward", mlp().replace("forward", "foward"), "the line of your code"),
    ("takes the mean off in place",
        mlp(forward="waveforms -= waveforms.mean()\nreturn self.layers(waveforms)"),
        "work on copies"),
    ("its own seed", mlp("torch.manual_seed(0)" + SEQUENTIAL), "is for the whole program"),
    ("softmax in eval mode only",
        mlp(forward="y = self.layers(waveforms)\nreturn y if self.training else y.softmax(1)"),
        "the loss applies log-softmax"),
]

RIGHT_ANSWERS["1.4"] = [
    ("the last layer first",
        mlp(
            """
            self.last = nn.Linear(64, classes)
            self.first, self.second = nn.Linear(inputs, 128), nn.Linear(128, 64)""",
            """
            x = F.relu(self.first(waveforms.flatten(1)))
            return self.last(F.relu(self.second(x)))""",
        )),
    ("a ModuleList",
        mlp(
            """
            sizes = [inputs, 128, 64, classes]
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))""",
            """
            x = waveforms.reshape(len(waveforms), -1)
            for layer in self.layers[:-1]:
                x = layer(x).clamp(min=0)
            return self.layers[-1](x)""",
        )),
    ("own matrices, the other way round",
        mlp(
            """
            def parameter(*shape):
                return nn.Parameter(torch.randn(*shape) / shape[0] ** 0.5)

            self.biases = nn.ParameterList(parameter(n) for n in (classes, 64, 128))
            self.w1, self.w2 = parameter(inputs, 128), parameter(128, 64)
            self.w3 = parameter(64, classes)""",
            """
            last, second, first = self.biases
            x = torch.relu(waveforms.squeeze(1) @ self.w1 + first)
            return torch.relu(x @ self.w2 + second) @ self.w3 + last""",
        )),
]


# ---------------------------------------------------------------- 1.5 - From logits to a loss

STABLE = """
shifted = logits - logits.max(dim=1, keepdim=True).values
return shifted - shifted.exp().sum(dim=1, keepdim=True).log()"""
PICK = "return -log_probs[torch.arange(len(labels)), labels].mean()"


def loss(log_softmax: str = STABLE, nll_loss: str = PICK) -> str:
    return function("log_softmax(logits)", log_softmax) + function(
        "nll_loss(log_probs, labels)", nll_loss
    )


WRONG_ANSWERS["1.5"] = [
    ("changes the logits",
        loss(STABLE.replace("shifted = logits -", "logits -=").replace("shifted", "logits")),
        "work on copies"),
    ("the way back through exp is cut",
        loss(STABLE.replace("shifted.exp()", "shifted.detach().exp()")),
        "stay in torch: .detach()"),
]

RIGHT_ANSWERS["1.5"] = [
    ("logsumexp and gather",
        loss(
            "return logits - torch.logsumexp(logits, 1, keepdim=True)",
            "return -log_probs.gather(1, labels[:, None]).mean()",
        )),
    ("amax and one-hot",
        loss(
            """
            largest = logits.amax(dim=-1)[:, None]
            return logits - largest - (logits - largest).exp().sum(dim=-1)[:, None].log()""",
            "return -(F.one_hot(labels, log_probs.shape[1]) * log_probs).sum() / len(labels)",
        )),
    ("loops, and float32",
        loss(
            """
            result = torch.zeros(logits.shape)
            for i, row in enumerate(logits):
                result[i] = row - row.max() - (row - row.max()).exp().sum().log()
            return result""",
            """
            losses = torch.zeros(len(labels))
            for i, label in enumerate(labels):
                losses[i] = -log_probs[i, label]
            return losses.mean()""",
        )),
]


# ---------------------------------------------------------------- 1.6 - One training step

TRAIN = function(
    "training_step(model, optimiser, waveforms, labels)",
    """
    model.train()
    optimiser.zero_grad()
    loss = F.cross_entropy(model(waveforms), labels)
    loss.backward()
    optimiser.step()
    return loss.item()""",
)

WRONG_ANSWERS["1.6"] = [
    ("gradients off for good",
        TRAIN.replace("return loss", "torch.set_grad_enabled(False)\n    return loss"),
        "torch.set_grad_enabled is for the whole program"),
]

RIGHT_ANSWERS["1.6"] = [
    ("a closure",
        function(
            "training_step(model, optimiser, waveforms, labels)",
            """
            def closure():
                model.zero_grad()
                loss = nn.CrossEntropyLoss()(model(waveforms), labels)
                loss.backward()
                return loss

            model.train(True)
            return float(optimiser.step(closure).detach())""",
        )),
]


# ---------------------------------------------------------------- 1.7 - Evaluation

EVALUATE = function(
    "evaluate(model, waveforms, labels, batch_size=256)",
    """
    model.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(waveforms), batch_size):
            x, y = waveforms[start : start + batch_size], labels[start : start + batch_size]
            logits = model(x)
            loss += F.cross_entropy(logits, y, reduction="sum").item()
            correct += (logits.argmax(dim=1) == y).sum().item()
    return loss / len(waveforms), correct / len(waveforms)""",
)
BATCHES = "math.ceil(len(waveforms) / batch_size)"

WRONG_ANSWERS["1.7"] = [
    ("three numbers", EVALUATE.replace("return ", "return len(labels), "), "return two numbers"),
    ("gradients on at the end, whatever they were",
        EVALUATE.replace("return ", "torch.set_grad_enabled(True)\n    return "),
        "torch.set_grad_enabled is for the whole program"),
]

RIGHT_ANSWERS["1.7"] = [
    ("means, weighted",
        EVALUATE.replace(', reduction="sum").item()', ").item() * len(y)")),
    ("all logits first",
        "@torch.inference_mode()\n"
        + function(
            "evaluate(model, waveforms, labels, batch_size=256)",
            """
            model.eval()
            where = next(model.parameters()).device
            logits = torch.cat([model(x.to(where)) for x in waveforms.split(batch_size)])
            right = logits.argmax(-1).eq(labels)
            return nll_loss(log_softmax(logits), labels).item(), right.float().mean().item()""",
        )),
    ("a DataLoader",
        function(
            "evaluate(model, waveforms, labels, batch_size=256)",
            """
            model.train(False)
            clips = torch.utils.data.TensorDataset(waveforms, labels)
            losses, hits = [], []
            for x, y in torch.utils.data.DataLoader(clips, batch_size):
                with torch.no_grad():
                    logits = model(x)
                losses += F.cross_entropy(logits, y, reduction="none").tolist()
                hits += (logits.max(dim=1).indices == y).tolist()
            return np.mean(losses), np.mean(hits)""",
        )),
]


# ---------------------------------------------------------------- 1.8 - Overfit one batch

STEP = "training_step(model, optimiser, waveforms, labels)"
OPTIMISER = "optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)"
OVERFIT = function(
    "overfit_one_batch(model, waveforms, labels, steps, learning_rate)",
    f"""
    {OPTIMISER}
    losses = []
    for _ in range(steps):
        losses.append({STEP})
    return losses""",
)

WRONG_ANSWERS["1.8"] = [
    ("its own seed",
        OVERFIT.replace("losses = []", "losses = []\n    torch.manual_seed(0)"),
        "torch.manual_seed is for the whole program"),
]

RIGHT_ANSWERS["1.8"] = [
    ("shuffled clips",
        OVERFIT.replace("(steps):", "(steps):\n        rows = torch.randperm(len(labels))").replace(
            "waveforms, labels))", "waveforms[rows], labels[rows]))"
        )),
    ("everything in place",
        function(
            "overfit_one_batch(model, waveforms, labels, steps, learning_rate)",
            """
            optimiser = torch.optim.Adam([*model.parameters()], learning_rate)
            criterion, losses = nn.CrossEntropyLoss(), []
            model.train()
            while len(losses) < steps:
                loss = criterion(model(waveforms), labels)
                losses += [loss.item()]
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            return losses""",
        )),
]


# ---------------------------------------------------------------- 1.9 - Save and load


def files(
    save: str = "torch.save(model.state_dict(), path)",
    load: str = "model.load_state_dict("
    'torch.load(path, map_location="cpu", weights_only=True), strict=True)',
) -> str:
    return function("save_weights(model, path)", save) + function("load_weights(model, path)", load)


WRONG_ANSWERS["1.9"] = [
    ("saves a list", files("torch.save(list(model.parameters()), path)"), "whole and as it is"),
    ("eval mode after saving",
        files("model.eval()\ntorch.save(model.state_dict(), path)"),
        "the caller chose the mode"),
]

RIGHT_ANSWERS["1.9"] = [
    ("open files",
        files(
            """
            with open(path, "wb") as file:
                torch.save(model.state_dict(), file)""",
            """
            where = next(model.parameters()).device
            with open(path, "rb") as file:
                state = torch.load(file, map_location=where, weights_only=True)
            return model.load_state_dict(state)""",
        )),
    ("tensor by tensor, and the default of weights_only",
        files(
            "torch.save({k: v.cpu().clone() for k, v in model.state_dict().items()}, path)",
            """
            state = torch.load(path, map_location=lambda storage, place: storage)
            own = model.state_dict()
            if own.keys() != state.keys():
                raise ValueError("weights of another model")
            for name in own:
                own[name].copy_(state[name])""",
        )),
]


# ---------------------------------------------------------------- 1.10 - Split by speaker


def split(body: str) -> str:
    return function("split_by_speaker(speakers, test_share, seed)", body)


SPLIT = split("""
    names = np.unique(speakers)
    random = np.random.default_rng(seed)
    chosen = random.permutation(names)[: round(test_share * len(names))]
    return np.isin(speakers, chosen)""")

WRONG_ANSWERS["1.10"] = [
    ("ones and zeros", SPLIT.replace("chosen)\n", "chosen) * 1\n"), "for each clip whether"),
    ("the generator of the whole program",
        SPLIT.replace("default_rng(seed)", "seed(seed)").replace("random.perm", "np.random.perm"),
        "draw from np.random.default_rng(seed)"),
    ("Python's generator of the whole program",
        split("""
            import random

            random.seed(seed)
            names = sorted(set(speakers))
            return np.isin(speakers, random.sample(names, round(len(names) * test_share)))"""),
        "draw from random.Random(seed)"),
    ("shuffles the speakers that it was given",
        SPLIT.replace(
            "random.permutation(names)",
            "(random.shuffle(speakers), list(dict.fromkeys(speakers)))[1]",
        ),
        "work on copies"),
]

RIGHT_ANSWERS["1.10"] = [
    ("a choice without replacement",
        split("""
            names = sorted({*speakers})
            count = round(test_share * len(names))
            chosen = set(np.random.default_rng(seed).choice(names, count, replace=False))
            return np.array([name in chosen for name in speakers])""")),
    ("Python's generator",
        split("""
            import random

            names = sorted(set(speakers.tolist()))
            chosen = random.Random(seed).sample(names, round(len(names) * test_share))
            return np.asarray([name in chosen for name in speakers.tolist()])""")),
    ("order of appearance, and torch's generator",
        split("""
            names = list(dict.fromkeys(speakers))
            order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
            is_test = np.zeros(len(speakers), dtype=bool)
            for number in order[: int(np.round(test_share * len(names)))].tolist():
                is_test |= speakers == names[number]
            return is_test""")),
    ("numbers for names",
        split("""
            names, numbers = np.unique(speakers, return_inverse=True)
            draw = np.random.RandomState(seed).rand(len(names)).argsort()
            is_test = np.zeros(len(names), bool)
            is_test[draw[: round(test_share * len(names))]] = True
            return is_test[numbers]""")),
]


# ---------------------------------------------------------------- 1.11 - An interval over speakers


def interval(body: str) -> str:
    return function("interval_over_speakers(right, speakers, seed=0, draws=1000)", body)


INTERVAL = interval("""
    names, who = np.unique(speakers, return_inverse=True)
    correct, clips = np.bincount(who, right), np.bincount(who)
    random = np.random.default_rng(seed)
    chosen = random.integers(len(names), size=(draws, len(names)))
    rates = correct[chosen].sum(axis=1) / clips[chosen].sum(axis=1)
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), float(high)""")

WRONG_ANSWERS["1.11"] = [
    ("draws clips, and so the interval is too narrow",
        interval("""
            random = np.random.default_rng(seed)
            chosen = random.integers(len(right), size=(draws, len(right)))
            low, high = np.quantile(right[chosen].mean(axis=1), [0.025, 0.975])
            return float(low), float(high)"""),
        "draw speakers and take all of their clips"),
    ("a shuffle", INTERVAL.replace(
        "random.integers(len(names), size=(draws, len(names)))",
        "np.array([random.permutation(len(names)) for _ in range(draws)])"),
        "with replacement"),
    ("the last speaker is never drawn", INTERVAL.replace(
        "integers(len(names),", "integers(len(names) - 6,"), "as many speakers as there are"),
    ("the generator of the whole program", INTERVAL.replace(
        "random = np.random.default_rng(seed)", "random = np.random.RandomState(seed)").replace(
        "random.integers", "(np.random.seed(seed), np.random.randint)[1]"),
        "draw from np.random.default_rng(seed)"),
    ("the 90 % in the middle", INTERVAL.replace("[0.025, 0.975]", "[0.05, 0.95]"),
        "2.5 % on each side"),
    ("the mean of the speakers' rates", INTERVAL.replace(
        "correct[chosen].sum(axis=1) / clips[chosen].sum(axis=1)",
        "(correct / clips)[chosen].mean(axis=1)"), "who has more clips counts for more"),
    ("forgets to return", INTERVAL.replace("return float(low), float(high)", "low, high"),
        "the return is missing"),
]

RIGHT_ANSWERS["1.11"] = [
    ("in loops",
        interval("""
            import random as chances

            generator = chances.Random(seed)
            of = {}
            for speaker, is_right in zip(speakers.tolist(), right.tolist()):
                of.setdefault(speaker, []).append(is_right)
            names = sorted(of)
            rates = []
            for _ in range(draws):
                clips = [clip for name in generator.choices(names, k=len(names))
                         for clip in of[name]]
                rates.append(sum(clips) / len(clips))
            rates.sort()
            return rates[int(0.025 * draws)], rates[int(0.975 * draws)]""")),
    ("how often each was drawn",
        interval("""
            names, who = np.unique(speakers, return_inverse=True)
            times = np.random.default_rng(seed).multinomial(
                len(names), np.full(len(names), 1 / len(names)), size=draws)
            rates = times @ np.bincount(who, right) / (times @ np.bincount(who))
            return tuple(np.percentile(rates, [2.5, 97.5]).tolist())""")),
]
