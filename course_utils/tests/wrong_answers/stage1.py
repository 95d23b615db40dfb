"""Mistakes that students make in stage 1, and right answers that look unusual.

Most mistakes are a right cell with one thing changed. Should a change not take, the cell stays
right, its check accepts it, and the test says so.
"""

from textwrap import dedent, indent

Answers = dict[str, list[tuple[str, str]]]

#: Exercise to (name of the mistake, source of the whole cell): its check rejects each one.
WRONG_ANSWERS: Answers = {}

#: The same for answers that are right: its check accepts each one.
RIGHT_ANSWERS: Answers = {}


def function(signature: str, body: str) -> str:
    """Source of a function."""
    return f"def {signature}:\n{indent(dedent(body).strip(), '    ')}\n"


# ---------------------------------------------------------------- 1.1 - Pad or trim to one second


def fit(body: str) -> str:
    body = "channels, time = waveform.shape\n" + dedent(body).strip()
    return function("fit_to_length(waveform, samples)", body)


WRONG_ANSWERS["1.1"] = [
    ("pads in front", fit("return F.pad(waveform, (samples - time, 0))")),
    ("keeps the end", fit("return F.pad(waveform, (0, max(0, samples - time)))[:, -samples:]")),
    ("always one second", fit("return F.pad(waveform, (0, 16_000 - time))")),
    ("drops the channel", fit("return F.pad(waveform, (0, samples - time))[0]")),
    (
        "wraps around as np.resize does",
        fit("return torch.from_numpy(np.resize(waveform.numpy(), (channels, samples)))"),
    ),
    (
        "one sample short",
        fit("""
            kept = min(time, samples) - 1
            return F.pad(waveform[:, :kept], (0, samples - kept))"""),
    ),
    (
        "memory that nobody has set",
        fit("""
            fitted = torch.empty(channels, samples)
            fitted[:, :time] = waveform[:, :samples]
            return fitted"""),
    ),
    (
        "NumPy's float64",
        fit("""
            fitted = np.zeros((channels, samples))
            fitted[:, :time] = waveform[:, :samples]
            return torch.from_numpy(fitted)"""),
    ),
    (
        "silences the end of the clip that it was given",
        fit("""
            fitted = F.pad(waveform, (0, samples - time))
            waveform[:, samples:] = 0
            return fitted"""),
    ),
]

RIGHT_ANSWERS["1.1"] = [
    ("a negative pad cuts", fit("return F.pad(waveform, (0, samples - time))")),
    (
        "cut, then glue",
        fit("""
            cut = waveform[:, :samples]
            return torch.cat([cut, torch.zeros(channels, samples - cut.shape[1])], dim=1)"""),
    ),
    (
        "NumPy",
        fit("""
            fitted = np.zeros((channels, samples), dtype=np.float32)
            fitted[:, : min(time, samples)] = waveform.numpy()[:, :samples]
            return torch.from_numpy(fitted)"""),
    ),
    (
        "two cases",
        fit("""
            if time >= samples:
                return waveform[..., :samples]
            return nn.ConstantPad1d((0, samples - time), 0.0)(waveform)"""),
    ),
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
    ("order of appearance", words(make="return list(dict.fromkeys(words))")),
    ("the order of a set", words(make="return list(set(words))")),
    ("each word as often as it is said", words(make="return sorted(words)")),
    ("an array", words(make="return np.unique(words)")),
    ("sort returns nothing", words(make="return list(set(words)).sort()")),
    (
        "its own numbering",
        words(there="return torch.tensor([make_vocabulary(words).index(word) for word in words])"),
    ),
    (
        "float indices",
        words(there="return torch.Tensor([vocabulary.index(word) for word in words])"),
    ),
    (
        "an unknown word is word 0",
        words(
            there="""
            index = {word: i for i, word in enumerate(vocabulary)}
            return torch.tensor([index.get(word, 0) for word in words])"""
        ),
    ),
    (
        "an unknown word is None",
        words(
            there="""
            index = {word: i for i, word in enumerate(vocabulary)}
            return torch.tensor([index.get(word) for word in words])"""
        ),
    ),
    (
        "the words that occur, in the vocabulary's order",
        words(back="return [word for i, word in enumerate(vocabulary) if i in indices]"),
    ),
]

RIGHT_ANSWERS["1.2"] = [
    (
        "a dictionary",
        words(
            make="return sorted({word: None for word in words})",
            there="""
            index = dict(zip(vocabulary, range(len(vocabulary))))
            return torch.LongTensor([index[word] for word in words])""",
            back="return [vocabulary[i] for i in indices]",
        ),
    ),
    (
        "NumPy",
        words(
            make="return np.unique(words).tolist()",
            there="""
            found = np.array(words)[:, None] == np.array(vocabulary)
            if not found.any(axis=1).all():
                raise ValueError("an unknown word")
            return torch.from_numpy(found.argmax(axis=1))""",
            back="return np.array(vocabulary)[indices.numpy()].tolist()",
        ),
    ),
    (
        "loops",
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
        ),
    ),
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
    (
        "glues the clips along the channel",
        batch("waveforms = torch.cat([fit_to_length(item[0], 16_000) for item in items])"),
    ),
    (
        "stacks clips of unequal length",
        batch("waveforms = torch.stack([item[0] for item in items])"),
    ),
    (
        "pads to the longest of the batch",
        batch("""
            rows = [item[0][0] for item in items]
            waveforms = nn.utils.rnn.pad_sequence(rows, batch_first=True)[:, None]"""),
    ),
    (
        "longest clip first, and labels as they came",
        batch("""
            clips = sorted((item[0] for item in items), key=lambda clip: -clip.shape[1])
            waveforms = torch.stack([fit_to_length(clip, 16_000) for clip in clips])"""),
    ),
    (
        "the take for the word",
        batch(labels="labels = torch.tensor([item[4] for item in items])"),
    ),
    (
        "a vocabulary of the batch's own",
        batch(
            labels="""
            said = [item[2] for item in items]
            labels = words_to_indices(said, make_vocabulary(said))"""
        ),
    ),
    ("float labels", batch(result="return waveforms, labels.float()")),
    ("a column of labels", batch(result="return waveforms, labels[:, None]")),
    ("no labels", batch(result="return waveforms")),
]

RIGHT_ANSWERS["1.3"] = [
    (
        "fills a block of zeros",
        batch("""
            waveforms = torch.zeros(len(items), 1, 16_000)
            for row, (waveform, *_) in enumerate(items):
                kept = min(16_000, waveform.shape[1])
                waveforms[row, :, :kept] = waveform[:, :kept]"""),
    ),
    (
        "columns for rows",
        batch(
            "waveforms, _, said, _, _ = zip(*items)",
            "labels = words_to_indices(list(said), vocabulary)",
            "return torch.cat([fit_to_length(row, 16_000)[None] for row in waveforms]), labels",
        ),
    ),
    (
        "a list of two",
        batch(
            "waveforms = torch.stack([F.pad(i[0], (0, 16_000 - i[0].shape[1])) for i in items])",
            result="return [waveforms, labels]",
        ),
    ),
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
    ("a ReLU missing", mlp(SEQUENTIAL.replace("    nn.ReLU(),\n", "", 1))),
    ("a ReLU after the last layer", mlp(SEQUENTIAL.replace("classes)", "classes), nn.ReLU()"))),
    ("no bias", mlp(SEQUENTIAL.replace("128, 64", "128, 64, bias=False"))),
    ("returns probabilities", mlp(forward="return self.layers(waveforms).softmax(dim=1)")),
    ("returns log-probabilities", mlp(forward="return self.layers(waveforms).log_softmax(dim=1)")),
    ("always 16,000 inputs", mlp(SEQUENTIAL.replace("inputs", "16_000"))),
    ("keeps the channel", mlp(SEQUENTIAL.replace("    nn.Flatten(),\n", ""))),
    ("squeezes a batch of one away", mlp(forward="return self.layers[1:](waveforms.squeeze())")),
    (
        "layers in a plain list",
        mlp(
            "self.layers = [nn.Linear(inputs, 128), nn.Linear(128, 64), nn.Linear(64, classes)]",
            """
            x = waveforms.flatten(1)
            for layer in self.layers[:-1]:
                x = F.relu(layer(x))
            return self.layers[-1](x)""",
        ),
    ),
    ("misspells forward", mlp().replace("forward", "foward")),
]

RIGHT_ANSWERS["1.4"] = [
    (
        "the last layer first",
        mlp(
            """
            self.last = nn.Linear(64, classes)
            self.first, self.second = nn.Linear(inputs, 128), nn.Linear(128, 64)""",
            """
            x = F.relu(self.first(waveforms.flatten(1)))
            return self.last(F.relu(self.second(x)))""",
        ),
    ),
    (
        "a ModuleList",
        mlp(
            """
            sizes = [inputs, 128, 64, classes]
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))""",
            """
            x = waveforms.reshape(len(waveforms), -1)
            for layer in self.layers[:-1]:
                x = layer(x).clamp(min=0)
            return self.layers[-1](x)""",
        ),
    ),
    (
        "own matrices, the other way round",
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
        ),
    ),
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
    ("the sum over the batch", loss(STABLE.replace("sum(dim=1", "sum(dim=0"))),
    ("the largest over the batch", loss(STABLE.replace("max(dim=1", "max(dim=0"))),
    ("one sum for all", loss("return logits - logits.exp().sum().log()")),
    ("overflows", loss("return logits - logits.exp().sum(dim=1, keepdim=True).log()")),
    (
        "the largest of all clips",
        loss(STABLE.replace("max(dim=1, keepdim=True).values", "max()")),
    ),
    ("forgets to add the largest back", loss(STABLE.replace("return shifted", "return logits"))),
    (
        "changes the logits",
        loss(STABLE.replace("shifted = logits -", "logits -=").replace("shifted", "logits")),
    ),
    ("probabilities", loss("return logits.softmax(dim=1)")),
    ("no minus", loss(nll_loss=PICK.replace("-", ""))),
    ("the sum for the mean", loss(nll_loss=PICK.replace("mean", "sum"))),
    ("one value a clip", loss(nll_loss=PICK.replace(".mean()", ""))),
    ("every clip with every label", loss(nll_loss="return -log_probs[:, labels].mean()")),
    ("a float without a gradient", loss(nll_loss=PICK + ".item()")),
    (
        "as many classes as the batch has",
        loss(nll_loss="return -(F.one_hot(labels) * log_probs).sum(dim=1).mean()"),
    ),
]

RIGHT_ANSWERS["1.5"] = [
    (
        "logsumexp and gather",
        loss(
            "return logits - torch.logsumexp(logits, 1, keepdim=True)",
            "return -log_probs.gather(1, labels[:, None]).mean()",
        ),
    ),
    (
        "amax and one-hot",
        loss(
            """
            largest = logits.amax(dim=-1)[:, None]
            return logits - largest - (logits - largest).exp().sum(dim=-1)[:, None].log()""",
            "return -(F.one_hot(labels, log_probs.shape[1]) * log_probs).sum() / len(labels)",
        ),
    ),
    (
        "loops, and float32",
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
        ),
    ),
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
    ("no train mode", TRAIN.replace("model.train()", "pass")),
    ("no zero_grad", TRAIN.replace("optimiser.zero_grad()", "pass")),
    ("backward is not called", TRAIN.replace("backward()", "backward")),
    (
        "the step before backward",
        TRAIN.replace("loss.backward()", "optimiser.step()", 1).replace(
            "optimiser.step()\n    return", "loss.backward()\n    return"
        ),
    ),
    (
        "zero_grad between backward and step",
        TRAIN.replace("optimiser.step()", "optimiser.zero_grad()\n    optimiser.step()"),
    ),
    (
        "softmax before cross entropy",
        TRAIN.replace("model(waveforms)", "model(waveforms).softmax(dim=1)"),
    ),
    (
        "the loss after the step",
        TRAIN.replace("return loss", "return F.cross_entropy(model(waveforms), labels)"),
    ),
    ("returns the tensor", TRAIN.replace("loss.item()", "loss")),
    (
        "an optimiser of its own",
        TRAIN.replace(
            "model.train()",
            "model.train()\n    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)",
        ),
    ),
]

RIGHT_ANSWERS["1.6"] = [
    (
        "exercise 1.5 for the loss, gradients emptied afterwards",
        TRAIN.replace("    optimiser.zero_grad()\n", "")
        .replace("step()\n", "step()\n    optimiser.zero_grad(set_to_none=False)\n")
        .replace(
            "F.cross_entropy(model(waveforms), labels)",
            "nll_loss(log_softmax(model(waveforms)), labels)",
        ),
    ),
    (
        "a closure",
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
        ),
    ),
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
    ("no eval mode", EVALUATE.replace("model.eval()", "pass")),
    ("gradients on", EVALUATE.replace("with torch.no_grad()", "if True")),
    ("all at once", EVALUATE.replace("logits = model(x)", "logits = model(waveforms)[: len(x)]")),
    ("drops the last batch", EVALUATE.replace("(0, len(waveforms)", "(0, len(waveforms) - 2")),
    (
        "the mean of the batches' losses",
        EVALUATE.replace(', reduction="sum"', "").replace(
            "loss / len(waveforms)", f"loss / {BATCHES}"
        ),
    ),
    (
        "the mean of the batches' accuracies",
        EVALUATE.replace("sum().item()", "double().mean().item()").replace(
            "correct / len(waveforms)", f"correct / {BATCHES}"
        ),
    ),
    ("the loss divided twice", EVALUATE.replace(', reduction="sum"', "")),
    ("softmax before cross entropy", EVALUATE.replace("model(x)", "model(x).softmax(dim=1)")),
    ("per cent", EVALUATE.replace("correct /", "100 * correct /")),
    ("tensors", EVALUATE.replace(".item()", "")),
    (
        "accuracy first",
        EVALUATE.replace("return ", "loss, correct = correct, loss\n    return "),
    ),
]

RIGHT_ANSWERS["1.7"] = [
    (
        "means, weighted",
        EVALUATE.replace(', reduction="sum").item()', ").item() * len(y)"),
    ),
    (
        "all logits first",
        "@torch.inference_mode()\n"
        + function(
            "evaluate(model, waveforms, labels, batch_size=256)",
            """
            model.eval()
            where = next(model.parameters()).device
            logits = torch.cat([model(x.to(where)) for x in waveforms.split(batch_size)])
            right = logits.argmax(-1).eq(labels)
            model.train()
            return nll_loss(log_softmax(logits), labels).item(), right.float().mean().item()""",
        ),
    ),
    (
        "a DataLoader",
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
        ),
    ),
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
    ("an optimiser for each step", OVERFIT.replace("(steps):", f"(steps):\n        {OPTIMISER}")),
    ("learning rate ignored", OVERFIT.replace(", lr=learning_rate", "")),
    ("SGD", OVERFIT.replace("Adam", "SGD")),
    ("the last loss only", OVERFIT.replace("return losses", "return losses[-1]")),
    ("one clip", OVERFIT.replace("waveforms, labels))", "waveforms[:1], labels[:1]))")),
    ("never steps", OVERFIT.replace(STEP, "F.cross_entropy(model(waveforms), labels).item()")),
    ("tensors", OVERFIT.replace(STEP, f"torch.tensor({STEP})")),
    (
        "trains a copy",
        OVERFIT.replace(
            OPTIMISER, f"import copy\n    model = copy.deepcopy(model)\n    {OPTIMISER}"
        ),
    ),
]

RIGHT_ANSWERS["1.8"] = [
    (
        "shuffled clips",
        OVERFIT.replace("(steps):", "(steps):\n        rows = torch.randperm(len(labels))").replace(
            "waveforms, labels))", "waveforms[rows], labels[rows]))"
        ),
    ),
    (
        "everything in place",
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
        ),
    ),
]


# ---------------------------------------------------------------- 1.9 - Save and load


def files(
    save: str = "torch.save(model.state_dict(), path)",
    load: str = "model.load_state_dict("
    'torch.load(path, map_location="cpu", weights_only=True), strict=True)',
) -> str:
    return function("save_weights(model, path)", save) + function("load_weights(model, path)", load)


WRONG_ANSWERS["1.9"] = [
    ("saves the model object", files("torch.save(model, path)")),
    ("saves parameters only", files("torch.save(dict(model.named_parameters()), path)")),
    ("saves a list", files("torch.save(list(model.parameters()), path)")),
    ("another file name", files("torch.save(model.state_dict(), f'{path}.pt')")),
    ("weights_only=False", files().replace("weights_only=True", "weights_only=False")),
    ("strict=False", files().replace("strict=True", "strict=False")),
    ("forgets where the model is", files().replace('map_location="cpu", ', "")),
    ("loads into a local name", files(load='model = torch.load(path, map_location="cpu")')),
    (
        "swallows every error",
        files(
            load="""
            try:
                model.load_state_dict(torch.load(path, map_location="cpu"))
            except Exception:
                pass"""
        ),
    ),
]

RIGHT_ANSWERS["1.9"] = [
    (
        "open files",
        files(
            """
            with open(path, "wb") as file:
                torch.save(model.state_dict(), file)""",
            """
            where = next(model.parameters()).device
            with open(path, "rb") as file:
                state = torch.load(file, map_location=where, weights_only=True)
            return model.load_state_dict(state)""",
        ),
    ),
    (
        "tensor by tensor, and the default of weights_only",
        files(
            "torch.save({k: v.cpu().clone() for k, v in model.state_dict().items()}, path)",
            """
            state = torch.load(path, map_location=lambda storage, place: storage)
            own = model.state_dict()
            if own.keys() != state.keys():
                raise ValueError("weights of another model")
            for name in own:
                own[name].copy_(state[name])""",
        ),
    ),
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
    (
        "draws clips",
        SPLIT.replace("np.isin(speakers, chosen)", "random.random(len(speakers)) < test_share"),
    ),
    ("a share of the clips", SPLIT.replace("share * len(names)", "share * len(speakers)")),
    ("rounds down", SPLIT.replace("round", "int")),
    (
        "draws with replacement",
        SPLIT.replace("permutation(names)[: ", "choice(names, ").replace("names))]", "names)))"),
    ),
    ("the first speakers", SPLIT.replace("random.permutation(names)", "names")),
    ("no seed", SPLIT.replace("default_rng(seed)", "default_rng()")),
    (
        "the generator of the whole program",
        SPLIT.replace("default_rng(seed)", "seed(seed)").replace("random.perm", "np.random.perm"),
    ),
    ("the order of a set", SPLIT.replace("np.unique(speakers)", "list(set(speakers))")),
    (
        "shuffles the speakers that it was given",
        SPLIT.replace(
            "random.permutation(names)",
            "(random.shuffle(speakers), list(dict.fromkeys(speakers)))[1]",
        ),
    ),
    ("True for training", SPLIT.replace("return ", "return ~")),
    (
        "numbers of clips",
        SPLIT.replace("return ", "return np.nonzero(").replace("chosen)\n", "chosen))[0]\n"),
    ),
    ("a list", SPLIT.replace("chosen)\n", "chosen).tolist()\n")),
]

RIGHT_ANSWERS["1.10"] = [
    (
        "a choice without replacement",
        split("""
            names = sorted({*speakers})
            count = round(test_share * len(names))
            chosen = set(np.random.default_rng(seed).choice(names, count, replace=False))
            return np.array([name in chosen for name in speakers])"""),
    ),
    (
        "Python's generator",
        split("""
            import random

            names = sorted(set(speakers.tolist()))
            chosen = random.Random(seed).sample(names, round(len(names) * test_share))
            return np.asarray([name in chosen for name in speakers.tolist()])"""),
    ),
    (
        "order of appearance, and torch's generator",
        split("""
            names = list(dict.fromkeys(speakers))
            order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
            is_test = np.zeros(len(speakers), dtype=bool)
            for number in order[: int(np.round(test_share * len(names)))].tolist():
                is_test |= speakers == names[number]
            return is_test"""),
    ),
    (
        "numbers for names",
        split("""
            names, numbers = np.unique(speakers, return_inverse=True)
            draw = np.random.RandomState(seed).rand(len(names)).argsort()
            is_test = np.zeros(len(names), bool)
            is_test[draw[: round(test_share * len(names))]] = True
            return is_test[numbers]"""),
    ),
]
