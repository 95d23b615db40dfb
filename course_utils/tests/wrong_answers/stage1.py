"""Mistakes that students make in stage 1, and right answers that look unusual.

Where it can be, a mistake is a right cell with one thing changed. Should a change not take, the
cell stays right, its check accepts it, and the test says so.
"""

from textwrap import dedent, indent


def function(signature, body):
    """Source of a function."""
    return f"def {signature}:\n{indent(dedent(body).strip(), '    ')}\n"


# 1.1 - Pad or trim to one second


def fit(body):
    body = "channels, time = waveform.shape\n" + dedent(body).strip()
    return function("fit_to_length(waveform, samples)", body)


FIT_WRONG = [
    ("pads in front", fit("return F.pad(waveform, (samples - time, 0))")),
    ("keeps the end", fit("return F.pad(waveform, (0, max(0, samples - time)))[:, -samples:]")),
    ("never cuts", fit("return F.pad(waveform, (0, max(0, samples - time)))")),
    ("always one second", fit("return F.pad(waveform, (0, 16_000 - time))")),
    ("pads the channels", fit("return F.pad(waveform, (0, 0, 0, samples - time))")),
    (
        "repeats the clip",
        fit("return waveform.repeat(1, samples // max(time, 1) + 1)[:, :samples]"),
    ),
    (
        "stretches the clip",
        fit("return F.interpolate(waveform[None], samples, mode='linear')[0]"),
    ),
    (
        "one sample short",
        fit("""
            kept = min(time, samples) - 1
            return F.pad(waveform[:, :kept], (0, samples - kept))"""),
    ),
    (
        "wraps around as np.resize does",
        fit("return torch.from_numpy(np.resize(waveform.numpy(), (channels, samples)))"),
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
            kept = min(time, samples)
            fitted[:, :kept] = waveform[:, :kept]
            return torch.from_numpy(fitted)"""),
    ),
    (
        "an array, not a tensor",
        fit("return np.pad(waveform, ((0, 0), (0, max(0, samples - time))))[:, :samples]"),
    ),
    (
        "drops the channel",
        fit("return F.pad(waveform, (0, samples - time))[0]"),
    ),
    (
        "changes the clip that it was given",
        fit("""
            waveform[:, samples - 1 :] *= 1 if time <= samples else 0
            waveform.resize_(channels, samples)
            return F.pad(waveform, (0, 0))"""),
    ),
    (
        "fades the end out in place",
        fit("""
            fitted = F.pad(waveform, (0, samples - time))
            waveform[:, samples:] = 0
            return fitted"""),
    ),
    ("forgets to return", fit("F.pad(waveform, (0, samples - time))")),
]

FIT_RIGHT = [
    ("a negative pad cuts", fit("return F.pad(waveform, (0, samples - time))")),
    (
        "cut, then glue",
        fit("""
            cut = waveform[:, :samples]
            return torch.cat([cut, torch.zeros(channels, samples - cut.shape[1])], dim=1)"""),
    ),
    (
        "in NumPy",
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


# 1.2 - Words to indices and back


def words(
    make="return sorted(set(words))",
    there="return torch.tensor([vocabulary.index(word) for word in words])",
    back="return [vocabulary[index] for index in indices.tolist()]",
):
    return "\n\n".join(
        [
            function("make_vocabulary(words)", make),
            function("words_to_indices(words, vocabulary)", there),
            function("indices_to_words(indices, vocabulary)", back),
        ]
    )


WORDS_WRONG = [
    ("order of appearance", words(make="return list(dict.fromkeys(words))")),
    ("a set has no order", words(make="return list(set(words))")),
    ("each word as often as it is said", words(make="return sorted(words)")),
    ("shortest word first", words(make="return sorted(set(words), key=len)")),
    ("a tuple", words(make="return tuple(sorted(set(words)))")),
    ("an array", words(make="return np.unique(words)")),
    ("sort returns nothing", words(make="return list(set(words)).sort()")),
    (
        "its own numbering",
        words(there="return torch.tensor([make_vocabulary(words).index(word) for word in words])"),
    ),
    (
        "counts from one",
        words(there="return torch.tensor([vocabulary.index(word) + 1 for word in words])"),
    ),
    ("a list of indices", words(there="return [vocabulary.index(word) for word in words]")),
    (
        "float indices",
        words(there="return torch.Tensor([vocabulary.index(word) for word in words])"),
    ),
    (
        "one-hot rows",
        words(
            there="""
            indices = torch.tensor([vocabulary.index(word) for word in words])
            return F.one_hot(indices, len(vocabulary))"""
        ),
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
        "an unknown word is left out",
        words(there="return torch.tensor([vocabulary.index(w) for w in words if w in vocabulary])"),
    ),
    (
        "a bisection finds any word",
        words(there="return torch.from_numpy(np.searchsorted(vocabulary, words))"),
    ),
    (
        "the words that occur, in the vocabulary's order",
        words(back="return [word for i, word in enumerate(vocabulary) if i in indices]"),
    ),
    ("one word too far", words(back="return [vocabulary[i - 1] for i in indices.tolist()]")),
    ("one text", words(back='return " ".join(vocabulary[i] for i in indices)')),
    ("the first word only", words(back="return vocabulary[indices[0]]")),
]

WORDS_RIGHT = [
    ("one by one", words()),
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
        "a loop",
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


# 1.3 - The shapes of a batch


def batch(
    waveforms="waveforms = torch.stack([fit_to_length(item[0], 16_000) for item in items])",
    labels="labels = words_to_indices([item[2] for item in items], vocabulary)",
    result="return waveforms, labels",
):
    body = "\n".join(dedent(part).strip() for part in (waveforms, labels, result))
    return function("collate(items, vocabulary)", body)


BATCH_WRONG = [
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
        "the batch in the middle",
        batch("waveforms = torch.stack([fit_to_length(i[0], 16_000) for i in items], dim=1)"),
    ),
    ("drops the channel", batch(result="return waveforms.squeeze(1), labels")),
    (
        "longest clip first",
        batch("""
            items = sorted(items, key=lambda item: -item[0].shape[1])
            waveforms = torch.stack([fit_to_length(item[0], 16_000) for item in items])"""),
    ),
    (
        "the speaker for the word",
        batch(labels="labels = words_to_indices([item[3] for item in items], vocabulary)"),
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
    ("words for labels", batch(labels="labels = [item[2] for item in items]")),
    ("float labels", batch(result="return waveforms, labels.float()")),
    ("a column of labels", batch(result="return waveforms, labels[:, None]")),
    ("labels first", batch(result="return labels, waveforms")),
    ("no labels", batch(result="return waveforms")),
    (
        "each clip made as loud as the others",
        batch(result="return waveforms / waveforms.amax(dim=2, keepdim=True), labels"),
    ),
]

BATCH_RIGHT = [
    (
        "fills a block of zeros",
        batch("""
            waveforms = torch.zeros(len(items), 1, 16_000)
            for row, (waveform, *_) in enumerate(items):
                kept = min(16_000, waveform.shape[1])
                waveforms[row, :, :kept] = waveform[:, :kept]"""),
    ),
    (
        "a tuple of columns",
        function(
            "collate(items, vocabulary)",
            """
            waveforms, _, said, _, _ = zip(*items)
            rows = [fit_to_length(waveform, 16_000)[None] for waveform in waveforms]
            return torch.cat(rows), words_to_indices(list(said), vocabulary)""",
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


# 1.4 - The multilayer perceptron

INIT = """
self.layers = nn.Sequential(
    nn.Flatten(),
    nn.Linear(inputs, 128),
    nn.ReLU(),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, classes),
)"""
ATTRIBUTES = """
self.first = nn.Linear(inputs, 128)
self.second = nn.Linear(128, 64)
self.last = nn.Linear(64, classes)"""
THREE_STEPS = """
x = waveforms.flatten(1)
x = F.relu(self.first(x))
x = F.relu(self.second(x))
return self.last(x)"""


def model(init=INIT, forward="return self.layers(waveforms)"):
    methods = [
        function("__init__(self, classes, inputs=16_000)", "super().__init__()\n" + dedent(init)),
        function("forward(self, waveforms)", forward),
    ]
    return "class SpeechMLP(nn.Module):\n" + indent("\n".join(methods), "    ")


MLP_WRONG = [
    ("no ReLU", model(INIT.replace("    nn.ReLU(),\n", ""))),
    ("one ReLU missing", model(INIT.replace("    nn.ReLU(),\n", "", 1))),
    ("a ReLU after the last layer", model(INIT.replace("classes),", "classes), nn.ReLU(),"))),
    ("sigmoid for ReLU", model(INIT.replace("ReLU", "Sigmoid"))),
    ("no bias", model(INIT.replace("128, 64", "128, 64, bias=False"))),
    ("128 for 64", model(INIT.replace("64", "128"))),
    ("returns probabilities", model(forward="return self.layers(waveforms).softmax(dim=1)")),
    ("returns log-probabilities", model(INIT.replace("classes),", "classes), nn.LogSoftmax(1),"))),
    ("dropout", model(INIT.replace("nn.ReLU()", "nn.ReLU(), nn.Dropout(0.2)"))),
    ("always 35 words", model(INIT.replace("classes", "35"))),
    ("always 16,000 inputs", model(INIT.replace("inputs", "16_000"))),
    ("keeps the channel", model(INIT.replace("    nn.Flatten(),\n", ""))),
    ("flattens the batch, too", model(INIT.replace("Flatten()", "Flatten(0)"))),
    ("squeezes a batch of one away", model(forward="return self.layers[1:](waveforms.squeeze())")),
    (
        "layers in a plain list",
        model(
            "self.layers = [nn.Linear(inputs, 128), nn.Linear(128, 64), nn.Linear(64, classes)]",
            """
            x = waveforms.flatten(1)
            for layer in self.layers[:-1]:
                x = F.relu(layer(x))
            return self.layers[-1](x)""",
        ),
    ),
    (
        "throws the ReLU's result away",
        model(
            ATTRIBUTES, THREE_STEPS.replace("x = F.relu(self.first(x))", "F.relu(self.first(x))")
        ),
    ),
    ("forgets to return", model(ATTRIBUTES, THREE_STEPS.replace("return ", ""))),
    ("a method that torch does not know", model().replace("def forward", "def foward")),
]

MLP_RIGHT = [
    ("a Sequential", model()),
    ("three attributes", model(ATTRIBUTES, THREE_STEPS)),
    ("the last layer first", model("\n".join(ATTRIBUTES.split("\n")[::-1]), THREE_STEPS)),
    (
        "a ModuleList",
        model(
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
        model(
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


# 1.5 - From logits to a loss

STABLE = """
shifted = logits - logits.max(dim=1, keepdim=True).values
return shifted - shifted.exp().sum(dim=1, keepdim=True).log()"""
PICK = "return -log_probs[torch.arange(len(labels)), labels].mean()"


def loss(log_softmax=STABLE, nll=PICK):
    return "\n\n".join(
        [
            function("log_softmax(logits)", log_softmax),
            function("nll_loss(log_probs, labels)", nll),
        ]
    )


LOSS_WRONG = [
    ("over the batch", loss(STABLE.replace("dim=1", "dim=0"))),
    ("sum over the batch", loss(STABLE.replace("sum(dim=1", "sum(dim=0"))),
    ("largest over the batch", loss(STABLE.replace("max(dim=1", "max(dim=0"))),
    (
        "one sum for all",
        loss("return logits - logits.exp().sum().log()"),
    ),
    (
        "overflows",
        loss("return logits - logits.exp().sum(dim=1, keepdim=True).log()"),
    ),
    (
        "subtracts the largest of the whole batch",
        loss(STABLE.replace("logits.max(dim=1, keepdim=True).values", "logits.max()")),
    ),
    (
        "subtracts the mean",
        loss(STABLE.replace("max(dim=1, keepdim=True).values", "mean(dim=1, keepdim=True)")),
    ),
    (
        "forgets to add the largest back",
        loss(STABLE.replace("return shifted -", "return logits -")),
    ),
    (
        "changes the logits",
        loss(STABLE.replace("shifted = logits -", "logits -=").replace("shifted", "logits")),
    ),
    ("probabilities", loss("return (logits - logits.max()).softmax(dim=1)")),
    ("the log of a softmax that underflows", loss("return logits.softmax(dim=1).log()")),
    ("no log", loss(STABLE.replace(".log()", ""))),
    ("no keepdim", loss(STABLE.replace("sum(dim=1, keepdim=True)", "sum(dim=1)"))),
    ("max returns two things", loss(STABLE.replace(".values", ""))),
    ("no minus", loss(nll=PICK.replace("-", ""))),
    ("sum for mean", loss(nll=PICK.replace("mean", "sum"))),
    ("one value a clip", loss(nll=PICK.replace(".mean()", ""))),
    ("divides by the classes", loss(nll=PICK.replace("mean()", "sum() / log_probs.shape[1]"))),
    ("every clip with every label", loss(nll="return -log_probs[:, labels].mean()")),
    ("ignores the labels", loss(nll="return -log_probs.max(dim=1).values.mean()")),
    ("the logarithm of a logarithm", loss(nll=PICK.replace("labels].mean", "labels].log().mean"))),
    ("a float without a gradient", loss(nll=PICK + ".item()")),
    (
        "as many classes as the batch has",
        loss(nll="return -(F.one_hot(labels) * log_probs).sum(dim=1).mean()"),
    ),
]

LOSS_RIGHT = [
    ("index by row", loss()),
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


# 1.6 - One training step

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

TRAIN_WRONG = [
    ("no train mode", TRAIN.replace("model.train()", "pass")),
    (
        "train mode too late",
        TRAIN.replace("model.train()", "pass").replace(
            "    loss.backward()", "    model.train()\n    loss.backward()"
        ),
    ),
    ("no zero_grad", TRAIN.replace("optimiser.zero_grad()", "pass")),
    ("zero_grad is not called", TRAIN.replace("zero_grad()", "zero_grad")),
    ("no backward", TRAIN.replace("loss.backward()", "pass")),
    ("backward is not called", TRAIN.replace("backward()", "backward")),
    ("no step", TRAIN.replace("optimiser.step()", "pass")),
    (
        "the step before backward",
        TRAIN.replace(
            "    loss.backward()\n    optimiser.step()\n",
            "    optimiser.step()\n    loss.backward()\n",
        ),
    ),
    (
        "zero_grad between backward and step",
        TRAIN.replace("optimiser.zero_grad()", "pass").replace(
            "backward()", "backward()\n    optimiser.zero_grad()"
        ),
    ),
    (
        "softmax before cross entropy",
        TRAIN.replace("model(waveforms)", "model(waveforms).softmax(1)"),
    ),
    ("NLL of logits", TRAIN.replace("cross_entropy", "nll_loss")),
    (
        "the sum of the losses",
        TRAIN.replace("labels)\n    loss.b", "labels, reduction='sum')\n    loss.b"),
    ),
    ("returns the tensor", TRAIN.replace("loss.item()", "loss")),
    (
        "the loss after the step",
        TRAIN.replace("return loss", "return F.cross_entropy(model(waveforms), labels)"),
    ),
    ("no gradients", TRAIN.replace("    loss = ", "    with torch.no_grad():\n        loss = ")),
    (
        "an optimiser of its own",
        TRAIN.replace(
            "model.train()",
            "optimiser = torch.optim.SGD(model.parameters(), lr=0.1)\n    model.train()",
        ),
    ),
    ("returns nothing", TRAIN.replace("return ", "")),
]

TRAIN_RIGHT = [
    ("five lines", TRAIN),
    (
        "own loss",
        TRAIN.replace(
            "F.cross_entropy(model(waveforms), labels)",
            "nll_loss(log_softmax(model(waveforms)), labels)",
        ),
    ),
    (
        "a module for the loss",
        TRAIN.replace("F.cross_entropy(", "nn.CrossEntropyLoss()(").replace(
            "loss.item()", "float(loss)"
        ),
    ),
    (
        "emptied afterwards",
        TRAIN.replace("    optimiser.zero_grad()\n", "").replace(
            "step()\n", "step()\n    optimiser.zero_grad(set_to_none=False)\n"
        ),
    ),
    (
        "a closure",
        function(
            "training_step(model, optimiser, waveforms, labels)",
            """
            def closure():
                model.zero_grad()
                loss = F.cross_entropy(model(waveforms), labels)
                loss.backward()
                return loss

            model.train(True)
            return optimiser.step(closure).item()""",
        ),
    ),
]


# 1.7 - Evaluation

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
BATCH_COUNT = "math.ceil(len(waveforms) / batch_size)"

EVALUATE_WRONG = [
    ("no eval mode", EVALUATE.replace("model.eval()", "pass")),
    ("eval is not called", EVALUATE.replace("eval()", "eval")),
    ("gradients on", EVALUATE.replace("torch.no_grad()", "torch.enable_grad()")),
    ("no_grad is not called", EVALUATE.replace("no_grad()", "no_grad")),
    (
        "all at once",
        EVALUATE.replace("batch_size):", "len(waveforms)):").replace("start + batch_size", ""),
    ),
    (
        "drops the last batch",
        EVALUATE.replace("range(0, len(waveforms),", "range(0, len(waveforms) - batch_size + 1,"),
    ),
    ("stops too early", EVALUATE.replace("len(waveforms), b", "len(waveforms) - batch_size, b")),
    (
        "the mean of means for the loss",
        EVALUATE.replace(', reduction="sum"', "").replace(
            "loss / len(waveforms)", f"loss / {BATCH_COUNT}"
        ),
    ),
    (
        "the mean of means for the accuracy",
        EVALUATE.replace("sum().item()", "double().mean().item()").replace(
            "correct / len(waveforms)", f"correct / {BATCH_COUNT}"
        ),
    ),
    ("the loss divided twice", EVALUATE.replace(', reduction="sum"', "")),
    ("the sum of the losses", EVALUATE.replace("loss / len(waveforms)", "loss")),
    ("softmax before cross entropy", EVALUATE.replace("model(x)", "model(x).softmax(dim=1)")),
    ("per cent", EVALUATE.replace("correct /", "100 * correct /")),
    ("a count", EVALUATE.replace("correct / len(waveforms)", "correct")),
    ("a whole number", EVALUATE.replace("correct /", "correct //")),
    ("the best clip of each class", EVALUATE.replace("dim=1", "dim=0")),
    ("one arg-max for all", EVALUATE.replace("dim=1", "")),
    ("the smallest logit", EVALUATE.replace("argmax", "argmin")),
    ("tensors", EVALUATE.replace(".item()", "")),
    (
        "accuracy first",
        EVALUATE.replace("loss / len(waveforms), correct", "correct / len(waveforms), loss"),
    ),
    ("accuracy only", EVALUATE.replace("loss / len(waveforms), ", "")),
]

EVALUATE_RIGHT = [
    ("sums", EVALUATE),
    ("means, weighted", EVALUATE.replace(', reduction="sum").item()', ").item() * len(y)")),
    (
        "split and zip",
        "@torch.inference_mode()\n"
        + function(
            "evaluate(model, waveforms, labels, batch_size=256)",
            """
            model.eval()
            device = next(model.parameters()).device
            logits = torch.cat([model(x.to(device)) for x in waveforms.split(batch_size)])
            right = logits.argmax(-1).eq(labels)
            model.train()
            return nll_loss(log_softmax(logits), labels).item(), right.double().mean().item()""",
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


# 1.8 - Overfit one batch

OVERFIT = function(
    "overfit_one_batch(model, waveforms, labels, steps, learning_rate)",
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        losses.append(training_step(model, optimiser, waveforms, labels))
    return losses""",
)

OVERFIT_WRONG = [
    (
        "an optimiser for each step",
        OVERFIT.replace(
            "    losses.append(",
            "    optimiser = torch.optim.Adam("
            "model.parameters(), lr=learning_rate)\n        losses.append(",
        ),
    ),
    ("learning rate ignored", OVERFIT.replace(", lr=learning_rate", "")),
    ("a learning rate of its own", OVERFIT.replace("lr=learning_rate", "lr=0.01")),
    ("SGD", OVERFIT.replace("Adam", "SGD")),
    ("the last loss only", OVERFIT.replace("return losses", "return losses[-1]")),
    ("one step", OVERFIT.replace("    return", "        return")),
    ("one step too few", OVERFIT.replace("range(steps)", "range(1, steps)")),
    ("one clip", OVERFIT.replace("waveforms, labels))", "waveforms[:1], labels[:1]))")),
    (
        "one clip after the other",
        OVERFIT.replace("(steps):", "(steps):\n        i = _ % len(labels)").replace(
            "waveforms, labels))", "waveforms[i : i + 1], labels[i : i + 1]))"
        ),
    ),
    (
        "trains a copy",
        OVERFIT.replace(
            "    optimiser =", "    import copy\n    model = copy.deepcopy(model)\n    optimiser ="
        ),
    ),
    (
        "starts anew",
        OVERFIT.replace(
            "    optimiser =",
            "    for layer in model:\n"
            "        if isinstance(layer, nn.Linear):\n"
            "            layer.reset_parameters()\n    optimiser =",
        ),
    ),
    (
        "never steps",
        OVERFIT.replace(
            "training_step(model, optimiser, waveforms, labels)",
            "F.cross_entropy(model(waveforms), labels).item()",
        ),
    ),
    (
        "a list of tensors",
        OVERFIT.replace(
            "losses.append(training_step(model, optimiser, waveforms, labels))",
            "losses.append(torch.tensor(training_step(model, optimiser, waveforms, labels)))",
        ),
    ),
    (
        "the loss after each step",
        OVERFIT.replace(
            "losses.append(training_step(model, optimiser, waveforms, labels))",
            "training_step(model, optimiser, waveforms, labels)\n"
            "        losses.append(F.cross_entropy(model(waveforms), labels).item())",
        ),
    ),
    ("returns nothing", OVERFIT.replace("    return losses\n", "")),
]

OVERFIT_RIGHT = [
    ("a loop", OVERFIT),
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
    (
        "the foreach of Adam, shuffled clips",
        OVERFIT.replace("lr=learning_rate", "lr=learning_rate, foreach=True")
        .replace("(steps):", "(steps):\n        rows = torch.randperm(len(labels))")
        .replace("waveforms, labels))", "waveforms[rows], labels[rows]))"),
    ),
]


# 1.9 - Save and load


def files(
    save="torch.save(model.state_dict(), path)",
    load='model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))',
):
    return "\n\n".join(
        [function("save_weights(model, path)", save), function("load_weights(model, path)", load)]
    )


LOAD = files()
FILES_WRONG = [
    ("saves the model object", files("torch.save(model, path)")),
    ("saves parameters only", files("torch.save(dict(model.named_parameters()), path)")),
    ("saves a list of parameters", files("torch.save(list(model.parameters()), path)")),
    ("state_dict is not called", files("torch.save(model.state_dict, path)")),
    (
        "wraps the state dict",
        files(
            "torch.save({'model': model.state_dict()}, path)",
            'model.load_state_dict(torch.load(path, map_location="cpu")["model"])',
        ),
    ),
    ("saves nothing", files("state = model.state_dict()")),
    ("another file name", files("torch.save(model.state_dict(), f'{path}.pt')")),
    ("arguments the wrong way round", files("torch.save(path, model.state_dict())")),
    ("weights_only=False", LOAD.replace("weights_only=True", "weights_only=False")),
    ("strict=False", LOAD.replace("weights_only=True)", "weights_only=True), strict=False")),
    ("forgets where the model is", LOAD.replace('map_location="cpu", ', "")),
    ("loads into a local name", files(load='model = torch.load(path, map_location="cpu")')),
    ("reads the file only", files(load='torch.load(path, map_location="cpu", weights_only=True)')),
    (
        "parameters without buffers",
        files(
            load="""
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name, parameter in model.named_parameters():
                parameter.data.copy_(state[name])"""
        ),
    ),
    (
        "whatever has the name",
        files(
            load="""
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name, tensor in model.state_dict().items():
                if name in state:
                    tensor.copy_(state[name])"""
        ),
    ),
    (
        "swallows every error",
        files(
            load="""
            try:
                model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
            except Exception:
                print("could not load")"""
        ),
    ),
]

FILES_RIGHT = [
    ("two lines", LOAD),
    ("the default of weights_only", LOAD.replace(", weights_only=True", "")),
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
            print(end="")
            return model.load_state_dict(state, strict=True)""",
        ),
    ),
    (
        "on the CPU, and tensor by tensor",
        files(
            "torch.save({k: v.detach().cpu().clone() for k, v in model.state_dict().items()}, path)",
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


# 1.10 - Split by speaker

SPLIT = function(
    "split_by_speaker(speakers, test_share, seed)",
    """
    names = np.unique(speakers)
    random = np.random.default_rng(seed)
    chosen = random.permutation(names)[: round(test_share * len(names))]
    return np.isin(speakers, chosen)""",
)
CHOOSE = "random.permutation(names)[: round(test_share * len(names))]"

SPLIT_WRONG = [
    (
        "draws clips",
        SPLIT.replace("np.isin(speakers, chosen)", "random.random(len(speakers)) < test_share"),
    ),
    (
        "cuts a permutation of the clips",
        SPLIT.replace(
            "np.isin(speakers, chosen)",
            "random.permutation(len(speakers)) < test_share * len(speakers)",
        ),
    ),
    (
        "the last clips",
        SPLIT.replace(
            "np.isin(speakers, chosen)",
            "np.arange(len(speakers)) >= (1 - test_share) * len(speakers)",
        ),
    ),
    (
        "a share of the clips",
        SPLIT.replace("test_share * len(names)", "test_share * len(speakers)"),
    ),
    ("names drawn from the clips", SPLIT.replace("np.unique(speakers)", "speakers")),
    ("rounds down", SPLIT.replace("round", "int")),
    ("rounds up", SPLIT.replace("round", "math.ceil")),
    (
        "draws with replacement",
        SPLIT.replace(CHOOSE, "random.choice(names, round(test_share * len(names)))"),
    ),
    ("the first speakers", SPLIT.replace("random.permutation(names)", "names")),
    ("no seed", SPLIT.replace("default_rng(seed)", "default_rng()")),
    ("always the same seed", SPLIT.replace("default_rng(seed)", "default_rng(0)")),
    (
        "the generator of the whole program",
        SPLIT.replace("random = np.random.default_rng(seed)", "np.random.seed(seed)").replace(
            "random.permutation(names)", "np.random.permutation(names)"
        ),
    ),
    ("no seed at all", SPLIT.replace("random.permutation(names)", "np.random.permutation(names)")),
    ("the order of a set", SPLIT.replace("np.unique(speakers)", "list(set(speakers))")),
    (
        "shuffles the speakers themselves",
        SPLIT.replace("names = np.unique(speakers)\n", "")
        .replace(
            "    chosen",
            "    random.shuffle(speakers)\n    names = list(dict.fromkeys(speakers))\n    chosen",
        )
        .replace("random.permutation(names)", "names"),
    ),
    ("True for training", SPLIT.replace("return ", "return ~")),
    (
        "numbers of the clips",
        SPLIT.replace("return ", "return np.flatnonzero(").replace("chosen)\n", "chosen))\n"),
    ),
    ("the names", SPLIT.replace("np.isin(speakers, chosen)", "chosen")),
    ("zeros and ones", SPLIT.replace("chosen)\n", "chosen).astype(int)\n")),
    ("a list", SPLIT.replace("chosen)\n", "chosen).tolist()\n")),
]

SPLIT_RIGHT = [
    ("permutation", SPLIT),
    (
        "a choice without replacement",
        SPLIT.replace(
            CHOOSE, "set(random.choice(names, round(test_share * len(names)), replace=False))"
        ).replace("np.isin(speakers, chosen)", "np.array([name in chosen for name in speakers])"),
    ),
    (
        "Python's generator",
        function(
            "split_by_speaker(speakers, test_share, seed)",
            """
            import random

            names = sorted(set(speakers.tolist()))
            chosen = random.Random(seed).sample(names, round(len(names) * test_share))
            return np.asarray([name in chosen for name in speakers.tolist()])""",
        ),
    ),
    (
        "order of appearance, numbers for names, torch's generator",
        function(
            "split_by_speaker(speakers, test_share, seed)",
            """
            names = list(dict.fromkeys(speakers))
            generator = torch.Generator().manual_seed(seed)
            order = torch.randperm(len(names), generator=generator)
            is_test = np.zeros(len(speakers), dtype=bool)
            for number in order[: int(np.round(test_share * len(names)))].tolist():
                is_test |= speakers == names[number]
            return is_test""",
        ),
    ),
    (
        "numbers from np.unique",
        function(
            "split_by_speaker(speakers, test_share, seed)",
            """
            names, numbers = np.unique(speakers, return_inverse=True)
            draw = np.random.RandomState(seed).rand(len(names)).argsort()
            is_test = np.zeros(len(names), bool)
            is_test[draw[: round(test_share * len(names))]] = True
            return is_test[numbers]""",
        ),
    ),
]


#: Exercise to (name of the mistake, source of the whole cell): the check rejects each one.
WRONG_ANSWERS = {
    "1.1": FIT_WRONG,
    "1.2": WORDS_WRONG,
    "1.3": BATCH_WRONG,
    "1.4": MLP_WRONG,
    "1.5": LOSS_WRONG,
    "1.6": TRAIN_WRONG,
    "1.7": EVALUATE_WRONG,
    "1.8": OVERFIT_WRONG,
    "1.9": FILES_WRONG,
    "1.10": SPLIT_WRONG,
}

#: The same for what is right, and not what the solution says: the check accepts each one.
RIGHT_ANSWERS = {
    "1.1": FIT_RIGHT,
    "1.2": WORDS_RIGHT,
    "1.3": BATCH_RIGHT,
    "1.4": MLP_RIGHT,
    "1.5": LOSS_RIGHT,
    "1.6": TRAIN_RIGHT,
    "1.7": EVALUATE_RIGHT,
    "1.8": OVERFIT_RIGHT,
    "1.9": FILES_RIGHT,
    "1.10": SPLIT_RIGHT,
}
