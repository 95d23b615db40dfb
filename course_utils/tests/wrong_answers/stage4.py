"""Mistakes that students make in stage 4, and right answers that look unusual.

Most mistakes are a right cell with one thing changed. Should a change not take, the cell stays
right, its check accepts it, and the test says so.
"""

from textwrap import dedent, indent

from course_utils.tests.wrong_answers.stage1 import Answers, function

#: Exercise to (name of the mistake, source of the whole cell): its check rejects each one.
WRONG_ANSWERS: Answers = {}

#: The same for answers that are right: its check accepts each one.
RIGHT_ANSWERS: Answers = {}


# ---------------------------------------------------------------- 4.1 - Text to tokens


NORMALISE = function(
    "normalise(text, table)",
    """
    text = unicodedata.normalize("NFC", text).lower()
    text = "".join(table.get(character, character) for character in text)
    return " ".join(text.split())""",
)
CHARMAP = """
class CharMap:
    def __init__(self, symbols):
        self.symbols = symbols
        self.index = {symbol: number for number, symbol in enumerate(symbols, start=1)}

    def __len__(self):
        return len(self.symbols) + 1

    def encode(self, text):
        unknown = sorted(set(text) - set(self.symbols))
        if unknown:
            raise ValueError(f"unknown: {unknown}")
        return [self.index[character] for character in text]

    def decode(self, tokens):
        if 0 in tokens:
            raise ValueError("blank in tokens: collapse first")
        return "".join(self.symbols[token - 1] for token in tokens)
"""
EACH = '"".join(table.get(character, character) for character in text)'
COMPOSED = 'unicodedata.normalize("NFC", text).lower()'
KNOWN = """        unknown = sorted(set(text) - set(self.symbols))
        if unknown:
            raise ValueError(f"unknown: {unknown}")
"""
NO_BLANK = """        if 0 in tokens:
            raise ValueError("blank in tokens: collapse first")
"""


def normalising(body: str) -> str:
    return function("normalise(text, table)", body) + CHARMAP


WRONG_ANSWERS["4.1"] = [
    ("forgets NFC", NORMALISE.replace(COMPOSED, "text.lower()") + CHARMAP),
    ("NFD", NORMALISE.replace("NFC", "NFD") + CHARMAP),
    ("NFKC", NORMALISE.replace("NFC", "NFKC") + CHARMAP),
    (
        "takes all accents off",
        normalising("""
            text = unicodedata.normalize("NFD", text).lower()
            text = "".join(c for c in text if not unicodedata.combining(c))
            return " ".join("".join(table.get(c, c) for c in text).split())"""),
    ),
    (
        "NFC at the end",
        normalising("""
            text = "".join(table.get(c, c) for c in text.lower())
            return " ".join(unicodedata.normalize("NFC", text).split())"""),
    ),
    ("keeps capitals", NORMALISE.replace(".lower()", "") + CHARMAP),
    ("casefold", NORMALISE.replace(".lower()", ".casefold()") + CHARMAP),
    (
        "lower case after the table",
        normalising("""
            text = unicodedata.normalize("NFC", text)
            text = "".join(table.get(c, c) for c in text).lower()
            return " ".join(text.split())"""),
    ),
    (
        "spaces before the table",
        normalising("""
            text = " ".join(unicodedata.normalize("NFC", text).lower().split())
            return "".join(table.get(c, c) for c in text)"""),
    ),
    (
        "strips before the table",
        normalising("""
            text = unicodedata.normalize("NFC", text).lower().strip()
            text = "".join(table.get(c, c) for c in text)
            return __import__("re").sub(r"\\s+", " ", text)"""),
    ),
    ("double spaces stay", NORMALISE.replace('" ".join(text.split())', "text.strip()") + CHARMAP),
    ("tabs stay", NORMALISE.replace("text.split()", 'filter(None, text.split(" "))') + CHARMAP),
    (
        "spaces replaced once",
        NORMALISE.replace('" ".join(text.split())', 'text.strip().replace("  ", " ")') + CHARMAP,
    ),
    (
        "one replacement after the other",
        normalising("""
            text = unicodedata.normalize("NFC", text).lower()
            for old, new in table.items():
                text = text.replace(old, new)
            return " ".join(text.split())"""),
    ),
    (
        "drops what is not in the table",
        NORMALISE.replace("character, char", '"", char').replace(
            'table.get("", character)', 'table.get(character, "")'
        )
        + CHARMAP,
    ),
    (
        "letters of a to z only",
        NORMALISE.replace(
            "for character in text)",
            "for character in text if character in table or character in ' abcdefghijklmnopqrst')",
        )
        + CHARMAP,
    ),
    ("a list of characters", NORMALISE.replace('" ".join(text.split())', "list(text)") + CHARMAP),
    ("no normalising at all", normalising('return " ".join(text.split())')),
    (
        "drops unknown letters",
        NORMALISE
        + CHARMAP.replace(KNOWN, "").replace(
            "for character in text]", "for character in text if character in self.index]"
        ),
    ),
    (
        "unknown letters are blanks",
        NORMALISE
        + CHARMAP.replace(KNOWN, "").replace(
            "self.index[character]", "self.index.get(character, 0)"
        ),
    ),
    (
        "unknown letters are None",
        NORMALISE
        + CHARMAP.replace(KNOWN, "").replace("self.index[character]", "self.index.get(character)"),
    ),
    ("a KeyError for unknown letters", NORMALISE + CHARMAP.replace(KNOWN, "")),
    (
        "str.find",
        NORMALISE
        + CHARMAP.replace(KNOWN, "").replace(
            "self.index[character]", "self.symbols.find(character) + 1"
        ),
    ),
    ("names the first unknown letter", NORMALISE + CHARMAP.replace("{unknown}", "{unknown[0]}")),
    ("names no letter", NORMALISE + CHARMAP.replace("{unknown}", "letters")),
    (
        "unknown letters in the order of the text",
        NORMALISE
        + CHARMAP.replace(
            "sorted(set(text) - set(self.symbols))", "[c for c in text if c not in self.symbols]"
        ),
    ),
    (
        "unknown letters are printed",
        NORMALISE
        + CHARMAP.replace("raise ValueError", "print").replace(
            "for character in text]", "for character in text if character in self.index]"
        ),
    ),
    (
        "encode normalises",
        NORMALISE
        + CHARMAP.replace("        unknown =", "        text = text.lower()\n        unknown ="),
    ),
    (
        "the order of a set",
        NORMALISE
        + CHARMAP.replace(
            "self.symbols = symbols", 'symbols = self.symbols = "".join(sorted(set(symbols)))'
        ),
    ),
    ("no place for the blank", NORMALISE + CHARMAP.replace("start=1", "start=0")),
    ("len without the blank", NORMALISE + CHARMAP.replace("(self.symbols) + 1", "(self.symbols)")),
    (
        "the blank is the last",
        NORMALISE
        + CHARMAP.replace("start=1", "start=0")
        .replace("token - 1", "token")
        .replace("0 in tokens", "len(self.symbols) in tokens"),
    ),
    (
        "decode drops blanks",
        NORMALISE
        + CHARMAP.replace(NO_BLANK, "").replace(
            "for token in tokens)", "for token in tokens if token)"
        ),
    ),
    ("decode lets blanks through", NORMALISE + CHARMAP.replace(NO_BLANK, "")),
    ("decode is shifted", NORMALISE + CHARMAP.replace("[token - 1]", "[token - 2]")),
    ("decode returns a list", NORMALISE + CHARMAP.replace('"".join(self', "list(self")),
    (
        "a tensor",
        NORMALISE
        + CHARMAP.replace(
            "return [self.index[character] for character in text]",
            "return torch.tensor([self.index[character] for character in text])",
        ),
    ),
    (
        "all maps share their symbols",
        NORMALISE
        + CHARMAP.replace("    def __init__", "    symbols, index = '', {}\n\n    def __init__")
        .replace("self.symbols = symbols", "type(self).symbols = symbols")
        .replace("self.index =", "type(self).index ="),
    ),
    (
        "takes keys out of the table",
        normalising("""
            text = unicodedata.normalize("NFC", text).lower()
            for old in list(table):
                table[old] = table[old].strip()
            return " ".join("".join(table.get(c, c) for c in text).split())"""),
    ),
    (
        "names all but the last unknown letter",
        NORMALISE + CHARMAP.replace("{unknown}", "{unknown[:-1]}"),
    ),
]

RIGHT_ANSWERS["4.1"] = [
    (
        "str.translate, and lists",
        normalising("""
            import re

            text = unicodedata.normalize("NFC", text).lower().translate(str.maketrans(table))
            return re.sub(r"\\s+", " ", text).strip()""")
        .replace(
            "self.index = {symbol: number for number, symbol in enumerate(symbols, start=1)}",
            'self.all = ["", *symbols]',
        )
        .replace("self.index[character]", "self.all.index(character)"),
    ),
    (
        "a loop, and a message with the text",
        normalising("""
            result = ""
            for character in unicodedata.normalize("NFC", text).lower():
                new = table[character] if character in table else character
                for one in new:
                    if one.isspace():
                        if result and result[-1] != " ":
                            result += " "
                    else:
                        result += one
            return result.rstrip()""").replace(
            'f"unknown: {unknown}"', "f'{text!r} has {len(unknown)} unknown: {\" \".join(unknown)}'"
        ),
    ),
    (
        "dictionaries both ways",
        NORMALISE
        + """
class CharMap(dict):
    def __init__(self, symbols):
        super().__init__({1 + n: s for n, s in enumerate(symbols)})
        self[0] = None

    def encode(self, text):
        back = {symbol: number for number, symbol in self.items()}
        unknown = {character for character in text if character not in back}
        if len(unknown) > 0:
            raise ValueError(*sorted(unknown))
        return [back[character] for character in text]

    def decode(self, tokens):
        for token in tokens:
            if token == 0:
                raise ValueError("a blank")
        return "".join(map(self.get, tokens))
""",
    ),
]


# ---------------------------------------------------------------- 4.2 - Mean and spread


def stats(body: str) -> str:
    return function("statistics(features)", body)


STATISTICS = stats("""
    frames, total, squares = 0, 0.0, 0.0
    for clip in features:
        clip = clip.double()
        frames += clip.shape[1]
        total = total + clip.sum(dim=1, keepdim=True)
        squares = squares + clip.square().sum(dim=1, keepdim=True)
    mean = total / frames
    std = (squares / frames - mean.square()).clamp(min=0).sqrt()
    return mean.float(), std.float()""")

WRONG_ANSWERS["4.2"] = [
    (
        "mean of means",
        stats("""
            clips = [clip.double() for clip in features]
            means = torch.cat([clip.mean(dim=1, keepdim=True) for clip in clips], dim=1)
            stds = [clip.std(dim=1, keepdim=True, correction=0) for clip in clips]
            stds = torch.cat(stds, dim=1)
            return means.mean(1, keepdim=True).float(), stds.mean(1, keepdim=True).float()"""),
    ),
    (
        "mean of standard deviations",
        stats("""
            clips = [clip.double() for clip in features]
            mean = torch.cat(clips, dim=1).mean(dim=1, keepdim=True)
            stds = [clip.std(dim=1, keepdim=True, correction=0) for clip in clips]
            return mean.float(), torch.cat(stds, dim=1).mean(1, keepdim=True).float()"""),
    ),
    (
        "the mean of variances within clips",
        stats("""
            clips = [clip.double() for clip in features]
            mean = torch.cat(clips, dim=1).mean(dim=1, keepdim=True)
            inner = [(c - c.mean(1, keepdim=True)).square().sum(1, keepdim=True) for c in clips]
            frames = sum(clip.shape[1] for clip in clips)
            return mean.float(), (sum(inner) / frames).sqrt().float()"""),
    ),
    (
        "sample standard deviation",
        stats("""
            frames = torch.cat([clip.double() for clip in features], dim=1)
            return frames.mean(1, keepdim=True).float(), frames.std(1, keepdim=True).float()"""),
    ),
    ("sums in float32", STATISTICS.replace("clip.double()", "clip.float()")),
    (
        "float64 comes too late",
        STATISTICS.replace("clip.double()", "clip")
        .replace("total / frames", "total.double() / frames")
        .replace("squares / f", "squares.double() / f"),
    ),
    ("the variance", STATISTICS.replace(".clamp(min=0).sqrt()", ".clamp(min=0)")),
    ("no clamp", STATISTICS.replace(".clamp(min=0)", "")),
    ("without the mean's square", STATISTICS.replace(" - mean.square()", "")),
    (
        "one number for all bands",
        STATISTICS.replace("dim=1, keepdim=True", "").replace("clip.shape[1]", "clip.numel()"),
    ),
    ("no axis left", STATISTICS.replace(", keepdim=True", "")),
    (
        "over the bands",
        STATISTICS.replace("dim=1", "dim=0").replace(
            "clip = clip.double()", "clip = clip.double()[:, :1].expand(-1, len(clip))"
        ),
    ),
    (
        "a row",
        STATISTICS.replace(
            "return mean.float(), std.float()", "return mean.float().T, std.float().T"
        ),
    ),
    ("float64 at the end", STATISTICS.replace("mean.float(), std.float()", "mean, std")),
    ("divides by the clips", STATISTICS.replace("frames += clip.shape[1]", "frames += 1")),
    ("divides by bands, too", STATISTICS.replace("clip.shape[1]", "clip.numel()")),
    (
        "twice through the clips",
        stats("""
        frames = sum(clip.shape[1] for clip in features)
        total = sum(clip.double().sum(dim=1, keepdim=True) for clip in features)
        mean = total / frames
        parts = [(clip - mean).square().sum(dim=1, keepdim=True) for clip in features]
        return mean.float(), (sum(parts) / frames).sqrt().float()"""),
    ),
    (
        "only the last clip",
        STATISTICS.replace("total + ", "")
        .replace("squares + ", "")
        .replace("frames +=", "frames ="),
    ),
    ("std first", STATISTICS.replace("mean.float(), std.float()", "std.float(), mean.float()")),
    (
        "changes the clips",
        STATISTICS.replace("clip = clip.double()\n", "clip.mul_(1.0).sub_(0.5)\n"),
    ),
    (
        "counts the longest clip for each",
        stats("""
        clips = nn.utils.rnn.pad_sequence([clip.double().T for clip in features])
        mean = clips.mean(dim=(0, 1))[:, None]
        std = clips.std(dim=(0, 1), correction=0)[:, None]
        return mean.float(), std.float()"""),
    ),
]

RIGHT_ANSWERS["4.2"] = [
    (
        "all at once, with NumPy",
        stats("""
            frames = np.concatenate([clip.numpy() for clip in features], axis=1).astype(float)
            mean, std = frames.mean(axis=1), frames.std(axis=1)
            return torch.tensor(mean)[:, None].float(), torch.tensor(std)[:, None].float()"""),
    ),
    (
        "Welford's update, clip by clip",
        stats("""
            count = 0
            for clip in features:
                own = clip.double().mean(dim=1)
                spread = (clip.double() - own[:, None]).square().sum(dim=1)
                n = clip.shape[1]
                if count == 0:
                    mean, m2, count = own, spread, n
                    continue
                delta = own - mean
                m2 = m2 + spread + delta**2 * count * n / (count + n)
                mean = mean + delta * n / (count + n)
                count += n
            return mean[:, None].to(torch.float32), (m2 / count)[:, None].sqrt().float()"""),
    ),
    (
        "moments in one tensor",
        stats("""
            moments = 0
            for clip in features:
                x = clip.to(torch.float64)
                moments = moments + torch.stack([torch.ones_like(x), x, x * x]).sum(dim=2)
            n, mean, square = moments / moments[0]
            std = (square - mean * mean).clamp_min(0) ** 0.5
            return mean.float().unsqueeze(1), std.float().unsqueeze(1)"""),
    ),
]


# ---------------------------------------------------------------- 4.3 - SpecAugment


def augmenting(body: str) -> str:
    return function("spec_augment(features, lengths, bands, frames, generator)", body)


SPEC = augmenting("""
    def draw(most):
        return int(torch.randint(most + 1, (), generator=generator))

    masked = features.clone()
    for clip, length in zip(masked, lengths.tolist()):
        width = draw(bands)
        start = draw(len(clip) - width)
        clip[start : start + width, :length] = 0
        width = min(draw(frames), length // 2)
        start = draw(length - width)
        clip[:, start : start + width] = 0
    return masked""")
BAND_START = "start = draw(len(clip) - width)"
FRAME_START = "start = draw(length - width)"
FRAME_WIDTH = "width = min(draw(frames), length // 2)"
LOOP = "for clip, length in zip(masked, lengths.tolist()):"

WRONG_ANSWERS["4.3"] = [
    (
        "one mask for the batch",
        augmenting("""
            masked = features.clone()
            shortest = int(lengths.min())
            width = int(torch.randint(1, bands + 1, (), generator=generator))
            start = int(torch.randint(9 - width + 1, (), generator=generator))
            for clip, length in zip(masked, lengths.tolist()):
                clip[start : start + width, :length] = 0
            return masked"""),
    ),
    (
        "torchaudio's masks, one for the batch",
        augmenting("""
            masked = torchaudio.functional.mask_along_axis(features, bands, 0.0, 1)
            return torchaudio.functional.mask_along_axis(masked, frames, 0.0, 2)"""),
    ),
    (
        "torchaudio's masks, one for each clip",
        augmenting("""
            mask = torchaudio.functional.mask_along_axis_iid
            return mask(mask(features[:, None], bands, 0.0, 2), frames, 0.0, 3)[:, 0]"""),
    ),
    (
        "frames of the batch, also in the padding",
        SPEC.replace(FRAME_START, "start = draw(features.shape[2] - width)"),
    ),
    ("bands go on into the padding", SPEC.replace("width, :length]", "width]")),
    ("changes its input", SPEC.replace("features.clone()", "features")),
    ("not half of the clip, all of it", SPEC.replace("length // 2", "length")),
    (
        "any number of frames",
        SPEC.replace("min(draw(frames), length // 2)", "draw(frames)")
        .replace(FRAME_START, "start = draw(max(0, length - width))")
        .replace("clip[:, start : start + width]", "clip[:, start : min(length, start + width)]"),
    ),
    ("the width of one less", SPEC.replace("randint(most + 1,", "randint(max(1, most),")),
    (
        "never 0 wide",
        SPEC.replace("draw(bands)", "1 + draw(bands - 1)").replace(
            "1 + draw(bands - 1)", "min(bands, 1 + draw(max(0, bands - 1)))"
        ),
    ),
    (
        "always the widest",
        SPEC.replace("width = draw(bands)", "width = bands").replace("draw(frames)", "frames"),
    ),
    ("start first, cut at the edge", SPEC.replace(BAND_START, "start = draw(len(clip) - 1)")),
    (
        "frames start anywhere, cut at the end",
        SPEC.replace(FRAME_START, "start = draw(length - 1)").replace(
            "clip[:, start : start + width]", "clip[:, start : min(length, start + width)]"
        ),
    ),
    (
        "negative widths: end before start",
        SPEC.replace(
            "start = draw(len(clip) - width)", "start, width = draw(8), draw(8) - 4"
        ).replace("clip[start : start + width,", "clip[start : start + width,"),
    ),
    ("a third of the clip", SPEC.replace("length // 2", "length // 3")),
    (
        "single frames, not a stretch",
        SPEC.replace(
            "clip[:, start : start + width] = 0",
            "clip[:, torch.randperm(length, generator=generator)[:width]] = 0",
        ),
    ),
    (
        "the last frame is never masked",
        SPEC.replace(FRAME_START, "start = draw(max(0, length - width - 1))"),
    ),
    ("masks are ones", SPEC.replace("] = 0", "] = 1")),
    ("the mean of the clip", SPEC.replace("] = 0", "] = clip.mean()")),
    (
        "the cross of both alone",
        SPEC.replace(
            "clip[start : start + width, :length] = 0", "low, high = start, start + width"
        ).replace("clip[:, start : start + width]", "clip[low:high, start : start + width]"),
    ),
    (
        "bands and frames swapped",
        SPEC.replace("draw(bands)", "min(8, draw(frames))").replace(
            "min(draw(frames)", "min(draw(bands)"
        ),
    ),
    ("the global generator", SPEC.replace("(), generator=generator", "()")),
    (
        "NumPy's random numbers",
        SPEC.replace(
            "int(torch.randint(most + 1, (), generator=generator))", "np.random.randint(most + 1)"
        ),
    ),
    (
        "a generator of its own",
        SPEC.replace(
            "masked = features",
            "generator = torch.Generator().manual_seed(0)\n    masked = features",
        ),
    ),
    (
        "seeds the generator",
        SPEC.replace("masked = features", "generator.manual_seed(0)\n    masked = features"),
    ),
    ("all clips start at the first band", SPEC.replace(BAND_START, "start = 0")),
    (
        "frames near the front only",
        SPEC.replace(FRAME_START, "start = draw((length - width) // 2)"),
    ),
    ("transposed", SPEC.replace("return masked", "return masked.transpose(1, 2)")),
    ("bands only", SPEC[: SPEC.index("        width = min")] + "    return masked\n"),
    ("float64", SPEC.replace("return masked", "return masked.double()")),
    ("shortens the lengths", SPEC.replace("lengths.tolist()", "lengths.sub_(1).tolist()")),
]
RIGHT_ANSWERS["4.3"] = [
    (
        "the whole batch at once",
        augmenting("""
            batch, count, time = features.shape

            def draw(most):  # (batch,): 0 to most, both included
                share = torch.rand(batch, generator=generator, dtype=torch.float64)
                return (share * (most + 1)).long()

            width = draw(torch.full((batch,), bands))
            start = draw(count - width)
            band = torch.arange(count)
            rows = (band >= start[:, None]) & (band < (start + width)[:, None])
            width = torch.minimum(draw(torch.full((batch,), frames)), lengths // 2)
            start = draw(lengths - width)
            frame = torch.arange(time)
            columns = (frame >= start[:, None]) & (frame < (start + width)[:, None])
            inside = frame < lengths[:, None]
            masks = (rows[:, :, None] | columns[:, None]) & inside[:, None]
            return torch.where(masks, 0.0, features)"""),
    ),
    (
        "frames first, widths from what fits",
        augmenting("""
            clips = []
            for clip, length in zip(features, lengths):
                n = int(length)
                keep = torch.ones_like(clip)
                most = min(frames, n // 2)
                width = torch.randint(0, most + 1, (1,), generator=generator).item()
                at = torch.randint(0, n - width + 1, (1,), generator=generator).item()
                keep[:, at : at + width] = 0
                width = torch.randint(0, bands + 1, (1,), generator=generator).item()
                at = torch.randint(0, clip.size(0) - width + 1, (1,), generator=generator).item()
                keep[at : at + width, :n] = 0
                clips.append(clip * keep)
            return torch.stack(clips)"""),
    ),
]


# ---------------------------------------------------------------- 4.4 - Sort and pad


def collating(body: str) -> str:
    return function("collate(items)", body)


COLLATE = collating("""
    items = sorted(items, key=lambda item: item[0].shape[1], reverse=True)
    lengths = torch.tensor([clip.shape[1] for clip, _ in items])
    target_lengths = torch.tensor([len(tokens) for _, tokens in items])
    features = torch.zeros(len(items), items[0][0].shape[0], int(lengths.max()))
    targets = torch.zeros(len(items), int(target_lengths.max()), dtype=torch.int64)
    for row, (clip, tokens) in enumerate(items):
        features[row, :, : clip.shape[1]] = clip
        targets[row, : len(tokens)] = torch.tensor(tokens)
    return features, lengths, targets, target_lengths""")
SORTED = "sorted(items, key=lambda item: item[0].shape[1], reverse=True)"

WRONG_ANSWERS["4.4"] = [
    ("not sorted", COLLATE.replace(SORTED, "list(items)")),
    ("shortest first", COLLATE.replace(", reverse=True", "")),
    ("sorted, then turned round", COLLATE.replace(", reverse=True)", ")[::-1]")),
    ("sorted by the targets", COLLATE.replace("item[0].shape[1]", "len(item[1])")),
    ("sorted by the bands", COLLATE.replace("item[0].shape[1]", "item[0].shape[0]")),
    (
        "sorts the list it was given",
        COLLATE.replace(f"items = {SORTED}", "items.sort(key=lambda item: -item[0].shape[1])"),
    ),
    (
        "targets padded with -1",
        COLLATE.replace(
            "targets = torch.zeros(len(items), int(target_lengths.max()), dtype=torch.int64)",
            "targets = torch.full((len(items), int(target_lengths.max())), -1)",
        ),
    ),
    (
        "features padded with their last frame",
        COLLATE.replace(
            "= clip\n", "= clip\n        features[row, :, clip.shape[1] :] = clip[:, -1:]\n"
        ),
    ),
    ("zeros in front", COLLATE.replace(": clip.shape[1]] = clip", "-clip.shape[1] :] = clip")),
    (
        "targets with zeros in front",
        COLLATE.replace(
            "targets[row, : len(tokens)]", "targets[row, targets.shape[1] - len(tokens) :]"
        ),
    ),
    (
        "lengths from before the sorting",
        collating("""
        lengths = torch.tensor([clip.shape[1] for clip, _ in items])
        target_lengths = torch.tensor([len(tokens) for _, tokens in items])
    """)
        + indent(
            dedent("""
        items = sorted(items, key=lambda item: item[0].shape[1], reverse=True)
        features = torch.zeros(len(items), items[0][0].shape[0], int(lengths.max()))
        targets = torch.zeros(len(items), int(target_lengths.max()), dtype=torch.int64)
        for row, (clip, tokens) in enumerate(items):
            features[row, :, : clip.shape[1]] = clip
            targets[row, : len(tokens)] = torch.tensor(tokens)
        return features, lengths, targets, target_lengths
    """),
            "    ",
        ),
    ),
    (
        "features sorted, targets not",
        COLLATE.replace("enumerate(items):", "enumerate(zip([c for c, _ in items], given)):")
        .replace(
            "    items = sorted", "    given = [tokens for _, tokens in items]\n    items = sorted"
        )
        .replace("[len(tokens) for _, tokens in items]", "[len(tokens) for tokens in given]"),
    ),
    (
        "lengths and targets sorted for themselves",
        COLLATE.replace(
            "torch.tensor([len(tokens) for _, tokens in items])",
            "torch.tensor(sorted([len(tokens) for _, tokens in items], reverse=True))",
        ),
    ),
    (
        "all targets in a row",
        COLLATE.replace(
            "return features, lengths, targets,",
            "targets = torch.tensor([t for _, tokens in items for t in tokens])\n"
            "    return features, lengths, targets,",
        ),
    ),
    (
        "frames before bands",
        COLLATE.replace("return features,", "return features.transpose(1, 2),"),
    ),
    (
        "pad_sequence without batch_first",
        collating("""
        items = sorted(items, key=lambda item: item[0].shape[1], reverse=True)
        pad = nn.utils.rnn.pad_sequence
        lengths = torch.tensor([clip.shape[1] for clip, _ in items])
        target_lengths = torch.tensor([len(tokens) for _, tokens in items])
        features = pad([clip.T for clip, _ in items])
        targets = pad([torch.tensor(tokens, dtype=torch.int64) for _, tokens in items])
        return features, lengths, targets, target_lengths"""),
    ),
    (
        "lengths as lists",
        COLLATE.replace(
            "return features, lengths, targets, target_lengths",
            "return features, lengths.tolist(), targets, target_lengths.tolist()",
        ),
    ),
    (
        "lengths as floats",
        COLLATE.replace("clip, _ in items])", "clip, _ in items], dtype=torch.float32)"),
    ),
    ("int32", COLLATE.replace("tokens in items])", "tokens in items], dtype=torch.int32)")),
    ("targets as floats", COLLATE.replace(", dtype=torch.int64)", ")")),
    (
        "the longest length for all",
        COLLATE.replace(
            "torch.tensor([clip.shape[1] for clip, _ in items])",
            "torch.tensor([max(clip.shape[1] for clip, _ in items)] * len(items))",
        ),
    ),
    (
        "target lengths of the longest",
        COLLATE.replace(
            "target_lengths = torch.tensor([len(tokens) for _, tokens in items])",
            "target_lengths = torch.tensor([max(len(t) for _, t in items)] * len(items))",
        ),
    ),
    (
        "bands as lengths",
        COLLATE.replace("torch.tensor([clip.shape[1]", "torch.tensor([len(clip)").replace(
            "int(lengths.max())", "max(clip.shape[1] for clip, _ in items)"
        ),
    ),
    (
        "the targets' lengths come before the targets",
        COLLATE.replace("lengths, targets, target_lengths", "lengths, target_lengths, targets"),
    ),
    (
        "cuts to the shortest",
        COLLATE.replace("int(lengths.max())", "int(lengths.min())").replace(
            "= clip\n", "= clip[:, : int(lengths.min())]\n"
        ),
    ),
    (
        "a list",
        COLLATE.replace(
            "return features, lengths, targets, target_lengths",
            "return [features, lengths, targets]",
        ),
    ),
    (
        "memory that nobody has set",
        COLLATE.replace("features = torch.zeros(", "features = 7 + torch.zeros("),
    ),
    ("features in float64", COLLATE.replace("int(lengths.max()))", "int(lengths.max())).double()")),
    (
        "adds zeros to the tokens",
        COLLATE.replace(
            "        targets[row, : len(tokens)]",
            "        tokens += [0] * (targets.shape[1] - len(tokens))\n        targets[row]",
        ),
    ),
    (
        "takes the mean off in place",
        COLLATE.replace(
            "        features[row", "        clip -= clip.mean()\n        features[row"
        ),
    ),
]

RIGHT_ANSWERS["4.4"] = [
    (
        "pad_sequence",
        collating("""
            order = sorted(range(len(items)), key=lambda i: -items[i][0].shape[1])
            clips = [items[i][0].T for i in order]
            rows = [torch.tensor(items[i][1], dtype=torch.long) for i in order]
            pad = nn.utils.rnn.pad_sequence
            return (
                pad(clips, batch_first=True).transpose(1, 2),
                torch.as_tensor([len(clip) for clip in clips]),
                pad(rows, batch_first=True),
                torch.as_tensor([len(row) for row in rows]),
            )"""),
    ),
    (
        "F.pad, and a stable argsort",
        collating("""
            lengths = torch.tensor([f.size(-1) for f, _ in items])
            order = torch.argsort(lengths, descending=True, stable=True)
            lengths = lengths[order]
            most = max(len(t) for _, t in items)
            features = torch.stack([
                F.pad(items[i][0], (0, int(lengths[0]) - items[i][0].shape[1])) for i in order
            ])
            tokens = [items[i][1] for i in order]
            targets = torch.LongTensor([t + [0] * (most - len(t)) for t in tokens])
            return features, lengths, targets, torch.LongTensor(list(map(len, tokens)))"""),
    ),
]


# ---------------------------------------------------------------- 4.5 - Collapse a path


def collapsing(body: str) -> str:
    return function("collapse(path, blank=0)", body)


WRONG_ANSWERS["4.5"] = [
    (
        "blanks first",
        collapsing("""
            path = [symbol for symbol in path if symbol != blank]
            return [symbol for symbol, _ in itertools.groupby(path)]"""),
    ),
    ("blanks only", collapsing("return [symbol for symbol in path if symbol != blank]")),
    ("repeats only", collapsing("return [symbol for symbol, _ in itertools.groupby(path)]")),
    ("a set", collapsing("return sorted(set(path) - {blank})")),
    ("each symbol once", collapsing("return [s for s in dict.fromkeys(path) if s != blank]")),
    ("the blank is 0", collapsing("return [s for s, _ in itertools.groupby(path) if s != 0]")),
    ("what is false goes", collapsing("return [s for s, _ in itertools.groupby(path) if s]")),
    (
        "0 goes, and the blank",
        collapsing("return [s for s, _ in itertools.groupby(path) if s and s != blank]"),
    ),
    ("does nothing", collapsing("return list(path)")),
    (
        "compares with the last that was kept",
        collapsing("""
            result = []
            for symbol in path:
                if symbol != blank and (not result or result[-1] != symbol):
                    result.append(symbol)
            return result"""),
    ),
    (
        "forgets the last",
        collapsing("""
            pairs = zip(path, path[1:])
            return [one for one, other in pairs if one != other and one != blank]"""),
    ),
    (
        "forgets the first",
        collapsing("return [b for a, b in zip(path, path[1:]) if a != b and b != blank]"),
    ),
    (
        "removes from the list it was given",
        collapsing("""
            for place in reversed(range(1, len(path))):
                if path[place] == path[place - 1]:
                    del path[place]
            return [symbol for symbol in path if symbol != blank]"""),
    ),
    ("a tuple", collapsing("return tuple(s for s, _ in itertools.groupby(path) if s != blank)")),
    ("a generator", collapsing("return (s for s, _ in itertools.groupby(path) if s != blank)")),
    (
        "pairs only",
        collapsing("""
            result, place = [], 0
            while place < len(path):
                if path[place] != blank:
                    result.append(path[place])
                place += 2 if path[place : place + 1] == path[place + 1 : place + 2] else 1
            return result"""),
    ),
    (
        "keeps the blanks",
        collapsing("return [s for s, _ in itertools.groupby(path) if s == blank]"),
    ),
    (
        "an index below 0",
        collapsing("""
            return [s for place, s in enumerate(path) if s != path[place - 1] and s != blank]"""),
    ),
]

RIGHT_ANSWERS["4.5"] = [
    (
        "a loop with a memory",
        collapsing("""
            result, before = [], None
            for symbol in path:
                if symbol != before and symbol != blank:
                    result.append(symbol)
                before = symbol
            return result"""),
    ),
    (
        "torch",
        collapsing("""
            if not path:
                return []
            merged = torch.unique_consecutive(torch.tensor(path))
            return merged[merged != blank].tolist()"""),
    ),
    (
        "neighbours, with one in front",
        collapsing("return [b for a, b in zip([None, *path], path) if b not in (a, blank)]"),
    ),
]


# ---------------------------------------------------------------- 4.6 - All alignments


def forcing(body: str) -> str:
    return function("brute_force(log_probs, target)", body)


BRUTE = forcing("""
    frames, symbols = log_probs.shape
    total = 0.0
    for path in itertools.product(range(symbols), repeat=frames):
        if collapse(list(path)) == target:
            total += math.exp(sum(float(log_probs[t, s]) for t, s in enumerate(path)))
    return math.log(total) if total > 0 else -math.inf""")
ALL_PATHS = "itertools.product(range(symbols), repeat=frames)"
LAST = "math.log(total) if total > 0 else -math.inf"

WRONG_ANSWERS["4.6"] = [
    (
        "the best path",
        BRUTE.replace("total += ", "total = max(total, ").replace(
            "enumerate(path)))", "enumerate(path))))"
        ),
    ),
    ("adds logarithms", BRUTE.replace("math.exp(sum(", "(sum(").replace(LAST, "total")),
    ("the probability", BRUTE.replace(LAST, "total")),
    ("minus the logarithm", BRUTE.replace("math.log(total) if", "-math.log(total) if")),
    ("infinity", BRUTE.replace("-math.inf", "math.inf")),
    ("0 for what is impossible", BRUTE.replace("-math.inf", "0.0")),
    ("None for what is impossible", BRUTE.replace("-math.inf", "None")),
    ("the logarithm of 0", BRUTE.replace(LAST, "math.log(total)")),
    ("a tensor", BRUTE.replace(f"return {LAST}", "return torch.tensor(total).log()")),
    ("no blanks", BRUTE.replace("range(symbols)", "range(1, symbols)")),
    (
        "blanks first",
        BRUTE.replace(
            "collapse(list(path))", "[s for s, _ in itertools.groupby(s for s in path if s)]"
        ),
    ),
    ("no repeats", BRUTE.replace("collapse(list(path))", "[s for s in path if s]")),
    ("does not collapse", BRUTE.replace("collapse(list(path))", "list(path)")),
    ("all paths", BRUTE.replace("if collapse(list(path)) == target:", "if True:")),
    (
        "each symbol once in a path",
        BRUTE.replace(ALL_PATHS, "itertools.permutations(range(symbols), min(frames, symbols))"),
    ),
    (
        "the order does not count",
        BRUTE.replace(ALL_PATHS, "itertools.combinations_with_replacement(range(symbols), frames)"),
    ),
    (
        "frames and symbols swapped",
        BRUTE.replace("frames, symbols =", "symbols, frames =").replace(
            "log_probs[t, s]", "log_probs[s, t]"
        ),
    ),
    (
        "the mean of the paths",
        BRUTE.replace("total = 0.0", "total, count = 0.0, 0")
        .replace("            total", "            count += 1\n            total")
        .replace("math.log(total)", "math.log(total / count)"),
    ),
    (
        "counts paths",
        BRUTE.replace("math.exp(sum(float(log_probs[t, s]) for t, s in enumerate(path)))", "1"),
    ),
    (
        "a sum of probabilities within a path",
        BRUTE.replace(
            "math.exp(sum(float(log_probs[t, s]) for t, s in enumerate(path)))",
            "sum(math.exp(log_probs[t, s]) for t, s in enumerate(path))",
        ),
    ),
    (
        "torch's loss",
        forcing("""
        loss = F.ctc_loss(
            log_probs[:, None], torch.tensor([target], dtype=torch.long).reshape(1, -1),
            torch.tensor([len(log_probs)]), torch.tensor([len(target)]), reduction="sum",
        )
        return -float(loss)"""),
    ),
    ("a list is no tuple", BRUTE.replace("== target", "== tuple(target)")),
    (
        "exp in place",
        forcing("""
            probs, total = log_probs.exp_().tolist(), 0.0
            for path in itertools.product(range(len(probs[0])), repeat=len(probs)):
                if collapse(list(path)) == target:
                    total += math.prod(row[s] for row, s in zip(probs, path))
            return math.log(total) if total else -math.inf"""),
    ),
]

RIGHT_ANSWERS["4.6"] = [
    (
        "logsumexp",
        forcing("""
            frames, symbols = log_probs.shape
            scores = [
                log_probs[range(frames), list(path)].sum()
                for path in itertools.product(range(symbols), repeat=frames)
                if collapse(list(path)) == target
            ]
            return torch.stack(scores).logsumexp(dim=0).item() if scores else float("-inf")"""),
    ),
    (
        "a recursion over the frames",
        forcing("""
            def visit(path):
                if len(path) == len(log_probs):
                    return 1.0 if collapse(path) == target else 0.0
                row = log_probs[len(path)].exp()
                return sum(float(p) * visit([*path, s]) for s, p in enumerate(row))

            total = visit([])
            return float(np.log(total)) if total else -np.inf"""),
    ),
]


# ---------------------------------------------------------------- 4.7 - The forward algorithm


def forward(body: str) -> str:
    return function("ctc_loss(log_probs, target)", body)


LOSS = forward("""
    never = -1e30
    states = [0]
    for token in target:
        states += [token, 0]
    may_skip = [
        s >= 2 and states[s] != 0 and states[s] != states[s - 2] for s in range(len(states))
    ]
    may_skip = torch.tensor(may_skip)
    emit = log_probs[:, states]
    reached = torch.where(torch.arange(len(states)) < 2, emit[0], never)
    for frame in emit[1:]:
        step = F.pad(reached, (1, 0), value=never)[:-1]
        skip = F.pad(reached, (2, 0), value=never)[:-2].where(may_skip, never)
        reached = torch.stack([reached, step, skip]).logsumexp(dim=0) + frame
    total = reached[-2:].logsumexp(dim=0)
    return -total if total > never / 2 else total.new_tensor(math.inf)""")
RULE = "s >= 2 and states[s] != 0 and states[s] != states[s - 2]"
THREE = "torch.stack([reached, step, skip])"
RESULT = "return -total if total > never / 2 else total.new_tensor(math.inf)"
LISTS = forward("""
    states = [0]
    for token in target:
        states += [token, 0]
    alpha = [log_probs[0, s] if place < 2 else None for place, s in enumerate(states)]
    for frame in log_probs[1:]:
        new = []
        for place, symbol in enumerate(states):
            ways = [alpha[place]]
            if place >= 1:
                ways.append(alpha[place - 1])
            if place >= 2 and symbol != 0 and symbol != states[place - 2]:
                ways.append(alpha[place - 2])
            ways = [way for way in ways if way is not None]
            new.append(torch.stack(ways).logsumexp(0) + frame[symbol] if ways else None)
        alpha = new
    ends = [end for end in alpha[-2:] if end is not None]
    if not ends:
        return torch.tensor(math.inf, dtype=log_probs.dtype)
    return -torch.stack(ends).logsumexp(0)""")

WRONG_ANSWERS["4.7"] = [
    ("skips between equal letters", LOSS.replace(RULE, "s >= 2 and states[s] != 0")),
    ("never skips", LOSS.replace(RULE, "False")),
    ("skips everywhere", LOSS.replace(RULE, "s >= 2")),
    (
        "skips between equal letters only",
        LOSS.replace(RULE, "s >= 2 and states[s] != 0 and states[s] == states[s - 2]"),
    ),
    ("skips to blanks", LOSS.replace(RULE, "s >= 2 and states[s] == 0")),
    (
        "starts with a blank only",
        LOSS.replace("arange(len(states)) < 2", "arange(len(states)) < 1"),
    ),
    (
        "starts with the letter only",
        LOSS.replace(
            "torch.arange(len(states)) < 2",
            "(torch.arange(len(states)) == 1) | torch.tensor(len(states) == 1)",
        ),
    ),
    ("starts anywhere", LOSS.replace("torch.arange(len(states)) < 2", "torch.tensor(True)")),
    ("ends with the last letter only", LOSS.replace("reached[-2:]", "reached[-2:][:1]")),
    ("ends with the last blank only", LOSS.replace("reached[-2:]", "reached[-1:]")),
    ("ends anywhere", LOSS.replace("reached[-2:]", "reached")),
    ("never stays", LOSS.replace(THREE, "torch.stack([step, skip])")),
    ("never steps", LOSS.replace(THREE, "torch.stack([reached, skip])")),
    (
        "the best path",
        LOSS.replace(".logsumexp(dim=0) + frame", ".amax(dim=0) + frame").replace(
            "[-2:].logsumexp(dim=0)", "[-2:].amax(dim=0)"
        ),
    ),
    (
        "adds logarithms",
        LOSS.replace("never = -1e30", "never = 0.0")
        .replace("logsumexp(dim=0) + frame", "sum(dim=0) + frame")
        .replace(RESULT, "return -total"),
    ),
    ("forgets the first frame", LOSS.replace("emit[0], never)", "emit[0] * 0, never)")),
    ("forgets the last frame", LOSS.replace("in emit[1:]", "in emit[1:-1]")),
    ("the first frame twice", LOSS.replace("in emit[1:]", "in emit")),
    (
        "no blanks between",
        LOSS.replace(
            "states = [0]\n    for token in target:\n        states += [token, 0]",
            "states = list(target) or [0]",
        ),
    ),
    (
        "the blank is the last symbol",
        LOSS.replace(
            "emit = log_probs[:, states]",
            ("emit = log_probs[:, [s or log_probs.shape[1] - 1 for s in states]]"),
        ),
    ),
    ("the log probability", LOSS.replace("return -total", "return total")),
    ("divided by the target", LOSS.replace("return -total", "return -total / max(1, len(target))")),
    ("divided by the frames", LOSS.replace("return -total", "return -total / len(log_probs)")),
    ("0 for what is impossible", LOSS.replace("new_tensor(math.inf)", "new_tensor(0.0)")),
    ("a large number for what is impossible", LOSS.replace(RESULT, "return -total")),
    (
        "-inf minus -inf in the gradient",
        LOSS.replace("never = -1e30", "never = -math.inf").replace(
            "total > never / 2", "total > never"
        ),
    ),
    (
        "log of sum of exp by hand, NaN",
        LOSS.replace("never = -1e30", "never = -math.inf")
        .replace(f"{THREE}.logsumexp(dim=0)", f"add({THREE})")
        .replace(
            "    states = [0]\n",
            "    def add(x):\n        most = x.amax(dim=0)\n"
            "        return most + (x - most).exp().sum(dim=0).log()\n\n    states = [0]\n",
        ),
    ),
    (
        "log of a sum without the largest",
        LOSS.replace(f"{THREE}.logsumexp(dim=0)", f"{THREE}.exp().sum(dim=0).log()"),
    ),
    (
        "probabilities",
        forward("""
        states = [0]
        for token in target:
            states += [token, 0]
        probs = log_probs.exp()
        first = torch.arange(len(states)) < 2
        alpha = list(probs[0, states] * first)
        for frame in probs[1:]:
            new = []
            for place, symbol in enumerate(states):
                total = alpha[place] + (alpha[place - 1] if place else 0)
                if place >= 2 and symbol != 0 and symbol != states[place - 2]:
                    total = total + alpha[place - 2]
                new.append(total * frame[symbol])
            alpha = new
        return -torch.log(sum(alpha[-2:]))"""),
    ),
    (
        "writes into alpha",
        forward("""
        states = [0]
        for token in target:
            states += [token, 0]
        alpha = log_probs.new_full((len(log_probs), len(states)), -1e30)
        alpha[0, :2] = log_probs[0, states[:2]]
        for t in range(1, len(log_probs)):
            for s, symbol in enumerate(states):
                ways = alpha[t - 1, max(0, s - 1) : s + 1]
                if s >= 2 and symbol != 0 and symbol != states[s - 2]:
                    ways = alpha[t - 1, s - 2 : s + 1]
                alpha[t, s] = ways.logsumexp(0) + log_probs[t, symbol]
        total = alpha[-1, -2:].logsumexp(0)
        return -total if total > -1e29 else total.new_tensor(math.inf)""").replace(
            "alpha[t, s] = ways.logsumexp(0)", "alpha[t, s] = alpha[t, s].exp() + ways.logsumexp(0)"
        ),
    ),
    (
        "floats",
        LOSS.replace(
            RESULT,
            (
                "return torch.tensor(-float(total) if total > never / 2 else math.inf, "
                "dtype=log_probs.dtype)"
            ),
        ),
    ),
    (
        "a Python float",
        LOSS.replace(RESULT, "return -total.item() if total > never / 2 else math.inf"),
    ),
    ("float32 inside", LOSS.replace("log_probs[:, states]", "log_probs[:, states].float()")),
    (
        "no dimension too few",
        LOSS.replace(
            "reached[-2:].logsumexp(dim=0)", ("reached[-2:].logsumexp(dim=0, keepdim=True)")
        ),
    ),
    ("detached", LOSS.replace("log_probs[:, states]", "log_probs.detach()[:, states]")),
    (
        "torch's loss",
        forward("""
        return F.ctc_loss(
            log_probs[:, None], torch.tensor([target], dtype=torch.long).reshape(1, -1),
            torch.tensor([len(log_probs)]), torch.tensor([len(target)]), reduction="sum",
        )"""),
    ),
    (
        "torch's loss, as a module",
        forward("""
        loss = nn.CTCLoss(reduction="sum")
        targets = torch.tensor(target, dtype=torch.long).reshape(1, -1)
        return loss(log_probs[:, None], targets, [len(log_probs)], [len(target)])"""),
    ),
    (
        "no empty target",
        LOSS.replace(
            "    states = [0]\n",
            "    if not target:\n        return log_probs.sum() * 0\n    states = [0]\n",
        ),
    ),
    (
        "appends to the target",
        LOSS.replace("    states = [0]\n", "    target += [0]\n    states = [0]\n"),
    ),
    (
        "normalises again, with a softmax",
        LOSS.replace("log_probs[:, states]", "log_probs.softmax(dim=1)[:, states]"),
    ),
    (
        "takes what comes after for what was before",
        LOSS.replace(
            "F.pad(reached, (1, 0), value=never)[:-1]", "F.pad(reached, (0, 1), value=never)[1:]"
        ),
    ),
    ("always float64", LOSS.replace("log_probs[:, states]", "log_probs.double()[:, states]")),
    (
        "cuts what is small in place",
        LOSS.replace("log_probs[:, states]", ("log_probs.clamp_(min=-3)[:, states]")),
    ),
    ("too large by a constant", LOSS.replace("return -total", "return math.log(2) - total")),
]

RIGHT_ANSWERS["4.7"] = [
    ("lists, and only what can be reached", LISTS),
    (
        "a matrix of ways",
        forward("""
            states = [0]
            for token in target:
                states += [token, 0]
            n = len(states)
            ways = log_probs.new_full((n, n), -1e30)
            for s in range(n):
                for before in range(max(0, s - 2), s + 1):
                    if s - before < 2 or (states[s] and states[s] != states[before]):
                        ways[before, s] = 0
            row = log_probs.new_full((n,), -1e30)
            row[0] = 0  # a start in front of the first blank, from which two states are near
            first = log_probs.new_full((n,), -1e30)
            first[:2] = 0
            row = first + log_probs[0, states]
            for frame in log_probs[1:]:
                row = torch.logsumexp(row[:, None] + ways, dim=0) + frame[states]
            loss = -torch.logsumexp(row[-2:], dim=0)
            return loss if loss < 1e29 else torch.full_like(loss, math.inf)"""),
    ),
    (
        "from behind",
        forward("""
            states = [0, *itertools.chain(*([token, 0] for token in target))]

            def logs(values):
                values = [value for value in values if value is not None]
                return torch.logsumexp(torch.stack(values), 0) if values else None

            size = len(states)
            last = log_probs[-1]
            beta = [last[s] if place >= size - 2 else None for place, s in enumerate(states)]
            for frame in log_probs[:-1].flip(0):
                new = []
                for s, symbol in enumerate(states):
                    ways = beta[s : s + 2]
                    if s + 2 < size and states[s + 2] not in (0, symbol):
                        ways = beta[s : s + 3]
                    total = logs(ways)
                    new.append(None if total is None else total + frame[symbol])
                beta = new
            total = logs(beta[:2])
            return log_probs.new_tensor(math.inf) if total is None else -total"""),
    ),
]


# ---------------------------------------------------------------- 4.8 - Does the text fit?


NEEDED = function(
    "frames_needed(target)",
    "return len(target) + sum(a == b for a, b in zip(target, target[1:]))",
)
FEASIBLE = function(
    "feasible(lengths, targets, target_lengths)",
    """
    needed = [
        frames_needed(row[:length])
        for row, length in zip(targets.tolist(), target_lengths.tolist())
    ]
    return lengths >= torch.tensor(needed)""",
)


def needing(body: str) -> str:
    return function("frames_needed(target)", body) + FEASIBLE


WRONG_ANSWERS["4.8"] = [
    ("the length alone", needing("return len(target)")),
    ("blanks everywhere", needing("return 2 * len(target) + 1")),
    ("blanks between all", needing("return max(0, 2 * len(target) - 1)")),
    ("every letter that comes back", needing("return 2 * len(target) - len(set(target))")),
    (
        "a blank for each run",
        needing(
            "runs = [len(list(run)) for _, run in itertools.groupby(target)]\n"
            "return len(target) + sum(run > 1 for run in runs)"
        ),
    ),
    (
        "one blank at most",
        needing("return len(target) + any(a == b for a, b in zip(target, target[1:]))"),
    ),
    (
        "different neighbours",
        needing("return len(target) + sum(a != b for a, b in zip(target, target[1:]))"),
    ),
    ("merged", needing("return len(list(itertools.groupby(target)))")),
    ("the pairs alone", needing("return sum(a == b for a, b in zip(target, target[1:]))")),
    (
        "compares the first with the last",
        needing("return len(target) + sum(target[i] == target[i - 1] for i in range(len(target)))"),
    ),
    (
        "a tensor",
        needing(
            "target = torch.tensor(target)\nreturn len(target) + (target[1:] == target[:-1]).sum()"
        ),
    ),
    ("more than is needed", NEEDED + FEASIBLE.replace(">=", ">")),
    ("less", NEEDED + FEASIBLE.replace(">=", "<")),
    ("with the padding", NEEDED + FEASIBLE.replace("row[:length]", "row")),
    ("cuts one too many", NEEDED + FEASIBLE.replace("row[:length]", "row[: length - 1]")),
    (
        "target lengths alone",
        NEEDED
        + function(
            "feasible(lengths, targets, target_lengths)", "return lengths >= target_lengths"
        ),
    ),
    (
        "a list",
        NEEDED
        + FEASIBLE.replace(
            "lengths >= torch.tensor(needed)", "[n >= m for n, m in zip(lengths.tolist(), needed)]"
        ),
    ),
    (
        "one answer for the batch",
        NEEDED
        + FEASIBLE.replace(
            "lengths >= torch.tensor(needed)", "(lengths >= torch.tensor(needed)).all()"
        ),
    ),
    (
        "numbers",
        NEEDED
        + FEASIBLE.replace("torch.tensor(needed)", "torch.tensor(needed) * 1")
        .replace("return lengths >=", "return 1 * (lengths >=")
        .replace("* 1\n", "* 1)\n"),
    ),
    (
        "always",
        NEEDED
        + function(
            "feasible(lengths, targets, target_lengths)",
            "return torch.ones(len(lengths), dtype=torch.bool)",
        ),
    ),
    ("frames that are left", NEEDED + FEASIBLE.replace("lengths >= torch", "lengths - torch")),
    (
        "takes letters out of the target",
        needing("""
            frames, before = 0, None
            while target:
                letter = target.pop()
                frames += 1 + (letter == before)
                before = letter
            return frames"""),
    ),
    (
        "adds to the target lengths",
        NEEDED
        + function(
            "feasible(lengths, targets, target_lengths)",
            """
            inside = torch.arange(1, targets.shape[1]) < target_lengths[:, None]
            target_lengths += ((targets[:, 1:] == targets[:, :-1]) & inside).sum(dim=1)
            return lengths >= target_lengths""",
        ),
    ),
]

RIGHT_ANSWERS["4.8"] = [
    (
        "tensors throughout",
        function(
            "frames_needed(target)",
            "t = torch.tensor(target)\nreturn len(target) + int((t[1:] == t[:-1]).sum())",
        )
        + function(
            "feasible(lengths, targets, target_lengths)",
            """
            inside = torch.arange(1, targets.shape[1]) < target_lengths[:, None]
            pairs = ((targets[:, 1:] == targets[:, :-1]) & inside).sum(dim=1)
            return lengths >= target_lengths + pairs""",
        ),
    ),
    (
        "runs",
        needing("""
            runs = [len(list(run)) for _, run in itertools.groupby(target)]
            return sum(2 * run - 1 for run in runs)""").replace(
            "return lengths >= torch.tensor(needed)",
            "return torch.tensor([not n < m for n, m in zip(lengths, needed)])",
        ),
    ),
]


# ---------------------------------------------------------------- 4.9 - One length for all


def lengths_of(body: str) -> str:
    return function("output_frames(frames, layers)", body)


def each_layer(step: str) -> str:
    return lengths_of(f"for kernel, stride in layers:\n    frames = {step}\nreturn frames")


STEP = "(frames + 2 * (kernel // 2) - kernel) // stride + 1"

WRONG_ANSWERS["4.9"] = [
    ("T // 4", lengths_of("return frames // math.prod(stride for _, stride in layers)")),
    ("rounds down, layer by layer", each_layer("frames // stride")),
    ("rounds up", each_layer("-(-frames // stride)")),
    ("rounds up once", lengths_of("return -(-frames // math.prod(s for _, s in layers))")),
    ("one more", each_layer("frames // stride + 1")),
    ("no padding", each_layer("(frames - kernel) // stride + 1")),
    ("half of the padding", each_layer("(frames + kernel // 2 - kernel) // stride + 1")),
    ("2 * (kernel // 2) is kernel", each_layer("frames // stride + 1 - 0")),
    ("forgets + 1", each_layer("(frames + 2 * (kernel // 2) - kernel) // stride")),
    ("true division", each_layer("(frames + 2 * (kernel // 2) - kernel) / stride + 1")),
    ("math.floor", each_layer("math.floor((frames + 2 * (kernel // 2) - kernel) / stride) + 1")),
    ("math.ceil", each_layer("math.ceil(frames / stride)")),
    ("half kernels", each_layer("int((frames + 2 * (kernel / 2) - kernel) / stride + 1)")),
    ("a tensor for an int", each_layer(f"torch.as_tensor({STEP})")),
    (
        "an int for a tensor",
        each_layer(f"int(({STEP}).max() if hasattr(frames, 'max') else {STEP})"),
    ),
    (
        "the first layer only",
        lengths_of(f"for kernel, stride in layers:\n    return {STEP}\nreturn frames"),
    ),
    (
        "the last layer only",
        lengths_of(
            f"result = frames\nfor kernel, stride in layers:\n    result = {STEP}\nreturn result"
        ),
    ),
    (
        "stride and kernel swapped",
        each_layer(STEP).replace("for kernel, stride", "for stride, kernel"),
    ),
    (
        "changes the lengths it was given",
        lengths_of("""
        for kernel, stride in layers:
            frames += 2 * (kernel // 2) - kernel
            frames //= stride
            frames += 1
        return frames"""),
    ),
    (
        "a list",
        each_layer(STEP).replace(
            "return frames", ("return frames.tolist() if hasattr(frames, 'tolist') else frames")
        ),
    ),
    (
        "takes layers out",
        lengths_of(f"""
        while layers:
            kernel, stride = layers.pop(0)
            frames = {STEP}
        return frames"""),
    ),
    ("the numbers of the large model", lengths_of("return (frames + 3) // 4")),
    (
        "float lengths",
        each_layer(STEP).replace(
            "return frames", ("return frames.float() if hasattr(frames, 'float') else frames")
        ),
    ),
]

RIGHT_ANSWERS["4.9"] = [
    (
        "positions of the kernel",
        lengths_of("""
            for kernel, stride in layers:
                last = frames + kernel // 2 - kernel + kernel // 2
                frames = last // stride
                frames = frames + 1
            return frames"""),
    ),
    (
        "a recursion",
        lengths_of("""
            if not layers:
                return frames
            (kernel, stride), *others = layers
            odd = kernel % 2
            return output_frames((frames - odd) // stride + 1, others)"""),
    ),
    (
        "torch.div",
        lengths_of("""
            for kernel, stride in layers:
                total = frames - kernel % 2
                if isinstance(total, torch.Tensor):
                    total = torch.div(total, stride, rounding_mode="floor")
                else:
                    total = math.floor(total / stride)
                frames = total + 1
            return frames"""),
    ),
]


# ---------------------------------------------------------------- 4.10 - 65 million parameters


DEEP = """
class DeepSpeech(nn.Module):
    def __init__(self, bands=20, symbols=44, hidden=1024, layers=4, cell=nn.GRU, dropout=0.1):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 32, (41, 11), stride=(2, 2), padding=(20, 5)),
            nn.BatchNorm2d(32),
            nn.Hardtanh(0, 20),
            nn.Dropout2d(dropout),
            nn.Conv2d(32, 32, (21, 11), stride=(2, 1), padding=(10, 5)),
            nn.BatchNorm2d(32),
            nn.Hardtanh(0, 20),
            nn.Dropout2d(dropout),
        )
        inputs = 32 * math.ceil(bands / 2)
        self.rnn = cell(inputs, hidden, layers, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * hidden, symbols)

    def forward(self, x):
        x = self.cnn(x)
        x = x.transpose(1, 2).flatten(2)
        x, _ = self.rnn(x)
        return self.output(x)
"""
FLAT = "x.transpose(1, 2).flatten(2)"

WRONG_ANSWERS["4.10"] = [
    ("one direction", DEEP.replace(", bidirectional=True", "").replace("2 * hidden", "hidden")),
    ("always a GRU", DEEP.replace("= cell(", "= nn.GRU(")),
    ("always an LSTM", DEEP.replace("= cell(", "= nn.LSTM(")),
    ("always 20 bands", DEEP.replace("math.ceil(bands / 2)", "10")),
    ("bands // 2", DEEP.replace("math.ceil(bands / 2)", "(bands // 2)")),
    (
        "all bands",
        DEEP.replace("math.ceil(bands / 2)", "bands").replace("stride=(2, 2)", "stride=(2, 1)"),
    ),
    (
        "the channels alone",
        DEEP.replace("inputs = 32 * math.ceil(bands / 2)", "inputs = 32").replace(
            FLAT, "x.mean(dim=3).transpose(1, 2)"
        ),
    ),
    ("one layer too few", DEEP.replace("hidden, layers,", "hidden, layers - 1,")),
    ("always 4 layers", DEEP.replace("hidden, layers,", "hidden, 4,")),
    (
        "always 1024 units",
        DEEP.replace("inputs, hidden,", "inputs, 1024,").replace("2 * hidden", "2048"),
    ),
    ("always 44 symbols", DEEP.replace("2 * hidden, symbols", "2 * hidden, 44")),
    ("no bias in the output", DEEP.replace("hidden, symbols)", "hidden, symbols, bias=False)")),
    ("no bias before batch norm", DEEP.replace("padding=(20, 5)", "padding=(20, 5), bias=False")),
    ("kernel turned round", DEEP.replace("(41, 11)", "(11, 41)").replace("(20, 5)", "(5, 20)")),
    (
        "second kernel turned round",
        DEEP.replace("(21, 11)", "(11, 21)").replace("(10, 5)", "(5, 10)"),
    ),
    (
        "second stride of 2 both ways",
        DEEP.replace("stride=(2, 1)", "stride=(2, 2)").replace(
            "math.ceil(bands / 2)", "math.ceil(math.ceil(bands / 2) / 2)"
        ),
    ),
    (
        "second stride turned round",
        DEEP.replace("stride=(2, 1)", "stride=(1, 2)").replace(
            "math.ceil(bands / 2)", "math.ceil(math.ceil(bands / 2) / 2)"
        ),
    ),
    ("no padding over the frames", DEEP.replace("padding=(20, 5)", "padding=(0, 5)")),
    ("half of the padding", DEEP.replace("padding=(10, 5)", "padding=(5, 5)")),
    ("no batch norm", DEEP.replace("            nn.BatchNorm2d(32),\n", "")),
    ("ReLU", DEEP.replace("nn.Hardtanh(0, 20)", "nn.ReLU()")),
    ("Hardtanh's own bounds", DEEP.replace("nn.Hardtanh(0, 20)", "nn.Hardtanh()")),
    (
        "activation before batch norm",
        DEEP.replace(
            "nn.BatchNorm2d(32),\n            nn.Hardtanh(0, 20)",
            "nn.Hardtanh(0, 20),\n            nn.BatchNorm2d(32)",
        ),
    ),
    ("no dropout", DEEP.replace("nn.Dropout2d(dropout)", "nn.Identity()")),
    ("a dropout of its own", DEEP.replace("nn.Dropout2d(dropout)", "nn.Dropout2d(0.1)")),
    ("dropout of single numbers", DEEP.replace("nn.Dropout2d(dropout)", "nn.Dropout(dropout)")),
    ("a reshape", DEEP.replace(FLAT, "x.reshape(len(x), x.shape[2], -1)")),
    ("band by band", DEEP.replace(FLAT, "x.permute(0, 2, 3, 1).flatten(2)")),
    ("frame first", DEEP.replace("batch_first=True, ", "")),
    ("log_softmax", DEEP.replace("self.output(x)", "self.output(x).log_softmax(dim=2)")),
    ("softmax", DEEP.replace("self.output(x)", "self.output(x).softmax(dim=2)")),
    ("symbols before frames", DEEP.replace("self.output(x)", "self.output(x).transpose(1, 2)")),
    ("the last frame", DEEP.replace("self.output(x)", "self.output(x[:, -1])")),
    ("another name", DEEP.replace("self.rnn", "self.gru")),
    (
        "a list of layers",
        DEEP.replace("nn.Sequential(\n", "nn.ModuleList([\n")
        .replace("        )\n        inputs", "        ])\n        inputs")
        .replace("x = self.cnn(x)", "for layer in self.cnn:\n            x = layer(x)"),
    ),
    (
        "another layer behind",
        DEEP.replace(
            "        self.output",
            "        self.more = nn.Linear(2 * hidden, 2 * hidden)\n        self.output",
        ).replace("self.output(x)", "self.output(self.more(x))"),
    ),
    ("the output of the cell is a pair", DEEP.replace("x, _ = self.rnn(x)", "x = self.rnn(x)")),
    ("no super().__init__()", DEEP.replace("        super().__init__()\n", "")),
    ("no gradient", DEEP.replace("    def forward", "    @torch.no_grad()\n    def forward")),
]

RIGHT_ANSWERS["4.10"] = [
    (
        "a loop, and einops by hand",
        """
class DeepSpeech(nn.Module):
    def __init__(self, bands=20, symbols=44, hidden=1024, layers=4, cell=nn.GRU, dropout=0.1):
        super().__init__()
        parts, channels = [], 1
        for kernel, stride in (((41, 11), (2, 2)), ((21, 11), (2, 1))):
            parts += [
                nn.Conv2d(channels, 32, kernel, stride, tuple(k // 2 for k in kernel)),
                nn.BatchNorm2d(num_features=32),
                nn.Hardtanh(min_val=0.0, max_val=20.0),
                nn.Dropout2d(p=dropout),
            ]
            channels = 32
        self.cnn = nn.Sequential(*parts)
        self.rnn = cell(
            input_size=32 * ((bands + 1) // 2), hidden_size=hidden, num_layers=layers,
            batch_first=True, bidirectional=True, dropout=dropout,
        )
        self.output = nn.Linear(in_features=2 * hidden, out_features=symbols)

    def forward(self, x):
        x = self.cnn(x)
        batch, channels, frames, bands = x.size()
        x = x.permute(0, 2, 1, 3).reshape(batch, frames, channels * bands)
        return self.output(self.rnn(x)[0])
""",
    ),
]


# ---------------------------------------------------------------- 4.11 - A small model


SMALL = """
class SpeechCTC(nn.Module):
    def __init__(self, bands, symbols, channels=96, hidden=128, layers=LAYERS, dropout=0.0):
        super().__init__()
        self.layers = layers
        self.convolutions = nn.ModuleList()
        for number, (kernel, stride) in enumerate(layers):
            inputs = channels if number else bands
            self.convolutions.append(nn.Sequential(
                nn.Conv1d(inputs, channels, kernel, stride, padding=kernel // 2),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
            ))
        self.rnn = nn.GRU(channels, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * hidden, symbols)

    def forward(self, features, lengths):
        x = self.masked(features, lengths)
        for layer, convolution in zip(self.layers, self.convolutions):
            lengths = output_frames(lengths, [layer])
            x = self.masked(convolution(x), lengths)
        packed = nn.utils.rnn.pack_padded_sequence(
            x.transpose(1, 2), lengths, batch_first=True, enforce_sorted=False
        )
        packed, _ = self.rnn(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(
            packed, batch_first=True, total_length=x.shape[2]
        )
        return self.output(self.dropout(states)).log_softmax(dim=2), lengths

    def masked(self, x, lengths):
        behind = torch.arange(x.shape[2]) >= lengths[:, None]
        return x.masked_fill(behind[:, None], 0)
"""
MASKED = "x = self.masked(convolution(x), lengths)"
PACK = SMALL[SMALL.index("        packed = nn") : SMALL.index("        return self.output")]
UNPACKED = "        states, _ = self.rnn(x.transpose(1, 2))\n"
OUT = "self.output(self.dropout(states)).log_softmax(dim=2)"

WRONG_ANSWERS["4.11"] = [
    ("no mask after the convolutions", SMALL.replace(MASKED, "x = convolution(x)")),
    (
        "no mask after the second convolution",
        SMALL.replace(
            MASKED,
            "x = convolution(x)\n            if layer is self.layers[0]:\n"
            "                x = self.masked(x, lengths)",
        )
        .replace("        packed = nn", "        x = x + 0\n        packed = nn")
        .replace(UNPACKED, UNPACKED)
        .replace(PACK, UNPACKED),
    ),
    (
        "mask before the second convolution missing",
        SMALL.replace(MASKED, "x = convolution(x)\n        x = self.masked(x, lengths)"),
    ),
    ("no mask of the input", SMALL.replace("x = self.masked(features, lengths)", "x = features")),
    (
        "no masks",
        SMALL.replace(MASKED, "x = convolution(x)").replace(
            "x = self.masked(features, lengths)", "x = features"
        ),
    ),
    (
        "masks with the lengths of the input",
        SMALL.replace("            lengths = output_frames(lengths, [layer])\n", "").replace(
            "        packed = nn",
            "        lengths = output_frames(lengths, self.layers)\n        packed = nn",
        ),
    ),
    ("a mask of the wrong side", SMALL.replace(">= lengths", "< lengths")),
    ("a mask one frame late", SMALL.replace(">= lengths", "> lengths")),
    ("a mask one frame early", SMALL.replace(">= lengths[:, None]", ">= lengths[:, None] - 1")),
    ("not packed", SMALL.replace(PACK, UNPACKED)),
    (
        "not packed, no masks",
        SMALL.replace(PACK, UNPACKED)
        .replace(MASKED, "x = convolution(x)")
        .replace("x = self.masked(features, lengths)", "x = features"),
    ),
    (
        "packs with the lengths of the clips",
        SMALL.replace("x.transpose(1, 2), lengths,", "x.transpose(1, 2), given,").replace(
            "        x = self.masked(features",
            "        given = lengths\n        x = self.masked(features",
        ),
    ),
    ("T // 3", SMALL.replace("output_frames(lengths, [layer])", "lengths // layer[1]")),
    (
        "returns the lengths of the clips",
        SMALL.replace("log_softmax(dim=2), lengths", "log_softmax(dim=2), given").replace(
            "        x = self.masked(features",
            "        given = lengths\n        x = self.masked(features",
        ),
    ),
    ("no lengths", SMALL.replace("log_softmax(dim=2), lengths", "log_softmax(dim=2)")),
    ("enforces sorted clips", SMALL.replace(", enforce_sorted=False", "")),
    ("no total_length", SMALL.replace(", total_length=x.shape[2]", "")),
    (
        "sorts, and does not undo it",
        SMALL.replace(
            "        packed = nn",
            "        order = lengths.argsort(descending=True)\n"
            "        x, lengths = x[order], lengths[order]\n        packed = nn",
        ),
    ),
    ("one direction", SMALL.replace(", bidirectional=True", "").replace("2 * hidden", "hidden")),
    ("an LSTM", SMALL.replace("nn.GRU", "nn.LSTM")),
    ("two layers", SMALL.replace("nn.GRU(channels, hidden,", "nn.GRU(channels, hidden, 2,")),
    (
        "frame first",
        SMALL.replace("bands, symbols, ch", "bands, symbols, ch")
        .replace("nn.GRU(channels, hidden, batch_first=True,", "nn.GRU(channels, hidden,")
        .replace(PACK, "        states, _ = self.rnn(x.transpose(1, 2))\n"),
    ),
    ("logits", SMALL.replace(".log_softmax(dim=2)", "")),
    ("softmax", SMALL.replace("log_softmax(dim=2)", "softmax(dim=2)")),
    ("log_softmax over the frames", SMALL.replace("log_softmax(dim=2)", "log_softmax(dim=1)")),
    ("log_softmax over the batch", SMALL.replace("log_softmax(dim=2)", "log_softmax(dim=0)")),
    (
        "symbols before frames",
        SMALL.replace("log_softmax(dim=2), l", "log_softmax(dim=2).transpose(1, 2), l"),
    ),
    (
        "frame, batch, symbol",
        SMALL.replace("log_softmax(dim=2), l", "log_softmax(dim=2).transpose(0, 1), l"),
    ),
    (
        "a reshape",
        SMALL.replace("x.transpose(1, 2), lengths", "x.reshape(len(x), x.shape[2], -1), lengths"),
    ),
    ("no ReLU", SMALL.replace("                nn.ReLU(),\n", "")),
    (
        "ReLU before batch norm",
        SMALL.replace(
            "nn.BatchNorm1d(channels),\n                nn.ReLU()",
            "nn.ReLU(),\n                nn.BatchNorm1d(channels)",
        ),
    ),
    ("no batch norm", SMALL.replace("                nn.BatchNorm1d(channels),\n", "")),
    ("no bias", SMALL.replace("padding=kernel // 2", "padding=kernel // 2, bias=False")),
    ("no padding", SMALL.replace(", padding=kernel // 2", "")),
    (
        "the notebook's layers always",
        SMALL.replace("self.layers = layers", ("self.layers = layers = LAYERS")),
    ),
    (
        "always 96 channels",
        SMALL.replace("        self.layers =", "        channels = 96\n        self.layers ="),
    ),
    (
        "always 128 units",
        SMALL.replace("        self.layers =", "        hidden = 128\n        self.layers ="),
    ),
    ("dropout unless told otherwise", SMALL.replace("dropout=0.0", "dropout=0.2")),
    ("dropout that is not used", SMALL.replace("self.dropout(states)", "states")),
    (
        "dropout in eval mode, too",
        SMALL.replace("self.dropout(states)", "F.dropout(states, self.dropout.p, training=True)"),
    ),
    ("dropout of its own", SMALL.replace("nn.Dropout(dropout)", "nn.Dropout(0.1)")),
    ("layers in a plain list", SMALL.replace("nn.ModuleList()", "[]")),
    ("changes its input", SMALL.replace("x.masked_fill(", "x.masked_fill_(")),
    (
        "changes the lengths",
        SMALL.replace(
            "            lengths = output_frames(lengths, [layer])",
            "            lengths[:] = output_frames(lengths, [layer])",
        ),
    ),
    (
        "lengths as a list",
        SMALL.replace("log_softmax(dim=2), lengths", "log_softmax(dim=2), lengths.tolist()"),
    ),
    (
        "another layer behind",
        SMALL.replace(
            "        self.output",
            "        self.more = nn.Linear(2 * hidden, 2 * hidden)\n        self.output",
        ).replace("self.output(self.dropout(states))", "self.output(self.more(states))"),
    ),
    (
        "detached",
        SMALL.replace("x.transpose(1, 2), lengths", "x.detach().transpose(1, 2), lengths"),
    ),
]

RIGHT_ANSWERS["4.11"] = [
    (
        "Sequential, each clip alone through the GRU",
        """
class SpeechCTC(nn.Module):
    def __init__(self, bands, symbols, channels=96, hidden=128, layers=None, dropout=0.0):
        super().__init__()
        self.layers = list(layers or LAYERS)
        widths = [bands] + [channels] * len(self.layers)
        self.convolutions = nn.ModuleList([
            nn.Conv1d(a, b, k, stride=s, padding=k // 2)
            for a, b, (k, s) in zip(widths, widths[1:], self.layers)
        ])
        self.norms = nn.ModuleList([nn.BatchNorm1d(channels) for _ in self.layers])
        self.rnn = nn.GRU(channels, hidden, bidirectional=True)
        self.output = nn.Linear(2 * hidden, symbols)
        self.share = dropout

    def forward(self, features, lengths):
        x, count = features, lengths
        for number in range(len(self.layers) + 1):
            count = output_frames(lengths, self.layers[:number])
            x = x * (torch.arange(x.shape[-1]) < count.unsqueeze(1)).unsqueeze(1)
            if number < len(self.layers):
                x = F.relu(self.norms[number](self.convolutions[number](x)))
        states = [self.rnn(clip[:, :n].T)[0] for clip, n in zip(x, count.tolist())]
        states = torch.stack([F.pad(s, (0, 0, 0, x.shape[2] - len(s))) for s in states])
        states = F.dropout(states, self.share, training=self.training)
        return F.log_softmax(self.output(states), dim=-1), count
""",
    ),
    (
        "sorts, and undoes it",
        SMALL.replace(
            "        packed = nn",
            "        order = lengths.argsort(descending=True)\n        packed = nn",
        )
        .replace("x.transpose(1, 2), lengths,", "x.transpose(1, 2)[order], lengths[order],")
        .replace(", enforce_sorted=False", "")
        .replace("(self.dropout(states))", "(self.dropout(states[order.argsort()]))"),
    ),
]


# ---------------------------------------------------------------- 4.12 - Edit distance


DISTANCE = function(
    "edit_distance(reference, hypothesis)",
    """
    row = [(j, 0, j, 0) for j in range(len(hypothesis) + 1)]
    for i, said in enumerate(reference, start=1):
        above, row = row, [(i, 0, 0, i)]
        for j, written in enumerate(hypothesis, start=1):
            wrong = int(said != written)
            total, s, n, d = above[j - 1]
            ways = [(total + wrong, s + wrong, n, d)]
            total, s, n, d = row[j - 1]
            ways.append((total + 1, s, n + 1, d))
            total, s, n, d = above[j]
            ways.append((total + 1, s, n, d + 1))
            row.append(min(ways))
    return row[-1][1:]""",
)
RATE = function(
    "error_rate(references, hypotheses, words=False)",
    """
    errors = length = 0
    for reference, hypothesis in zip(references, hypotheses):
        if words:
            reference, hypothesis = reference.split(), hypothesis.split()
        errors += sum(edit_distance(reference, hypothesis))
        length += len(reference)
    return errors / length""",
)


def distance(body: str) -> str:
    return function("edit_distance(reference, hypothesis)", body) + RATE


def rating(body: str) -> str:
    return DISTANCE + function("error_rate(references, hypotheses, words=False)", body)


WRONG_ANSWERS["4.12"] = [
    (
        "insertions and deletions swapped",
        DISTANCE.replace("row[-1][1:]", "(lambda t, s, n, d: (s, d, n))(*row[-1])") + RATE,
    ),
    (
        "the order of jiwer's names",
        DISTANCE.replace("row[-1][1:]", "(lambda t, s, n, d: (s, d, n))(*row[-1])[::-1]") + RATE,
    ),
    (
        "the total",
        DISTANCE.replace("row[-1][1:]", "row[-1][0]") + RATE.replace("sum(edit", "(edit"),
    ),
    (
        "four numbers",
        DISTANCE.replace("row[-1][1:]", "row[-1]")
        + RATE.replace(
            "sum(edit_distance(reference, hypothesis))", "edit_distance(reference, hypothesis)[0]"
        ),
    ),
    ("a list", DISTANCE.replace("row[-1][1:]", "list(row[-1][1:])") + RATE),
    ("a substitution counts two", DISTANCE.replace("total + wrong", "total + 2 * wrong") + RATE),
    (
        "no substitutions",
        DISTANCE.replace(
            "ways = [(total + wrong, s + wrong, n, d)]",
            "ways = [(total, s, n, d)] if not wrong else []",
        )
        + RATE,
    ),
    (
        "place by place",
        distance("""
        wrong = sum(a != b for a, b in zip(reference, hypothesis))
        more = len(hypothesis) - len(reference)
        return wrong, max(0, more), max(0, -more)"""),
    ),
    (
        "swapped letters are one error",
        distance("""
        n, m = len(reference), len(hypothesis)
        table = [[(0, 0, 0, 0)] * (m + 1) for _ in range(n + 1)]
        for i in range(n + 1):
            for j in range(m + 1):
                ways = [(0, 0, 0, 0)] if i == j == 0 else []
                if j:
                    t, s, a, d = table[i][j - 1]
                    ways.append((t + 1, s, a + 1, d))
                if i:
                    t, s, a, d = table[i - 1][j]
                    ways.append((t + 1, s, a, d + 1))
                if i and j:
                    t, s, a, d = table[i - 1][j - 1]
                    wrong = int(reference[i - 1] != hypothesis[j - 1])
                    ways.append((t + wrong, s + wrong, a, d))
                if i > 1 and j > 1 and reference[i - 2 : i] == hypothesis[j - 2 : j][::-1]:
                    t, s, a, d = table[i - 2][j - 2]
                    ways.append((t + 1, s + 1, a, d))
                table[i][j] = min(ways)
        return table[n][m][1:]"""),
    ),
    ("the first row is zero", DISTANCE.replace("(j, 0, j, 0)", "(0, 0, 0, 0)") + RATE),
    ("the first column is zero", DISTANCE.replace("[(i, 0, 0, i)]", "[(0, 0, 0, 0)]") + RATE),
    (
        "compares the wrong letters",
        distance("""
        row = [(j, 0, j, 0) for j in range(len(hypothesis) + 1)]
        for i in range(1, len(reference) + 1):
            above, row = row, [(i, 0, 0, i)]
            for j in range(1, len(hypothesis) + 1):
                wrong = int(reference[i - 1] != hypothesis[max(0, j - 2)])
                total, s, n, d = above[j - 1]
                ways = [(total + wrong, s + wrong, n, d)]
                total, s, n, d = row[j - 1]
                ways.append((total + 1, s, n + 1, d))
                total, s, n, d = above[j]
                ways.append((total + 1, s, n, d + 1))
                row.append(min(ways))
        return row[-1][1:]"""),
    ),
    (
        "greedy",
        distance("""
        s = n = d = i = j = 0
        while i < len(reference) and j < len(hypothesis):
            if reference[i] == hypothesis[j]:
                i, j = i + 1, j + 1
            elif hypothesis[j] in reference[i:]:
                d, i = d + 1, i + 1
            else:
                n, j = n + 1, j + 1
        return s, n + len(hypothesis) - j, d + len(reference) - i"""),
    ),
    (
        "the words as letters",
        DISTANCE.replace(
            "    row = [",
            '    reference, hypothesis = "".join(reference), "".join(hypothesis)\n    row = [',
        )
        + RATE,
    ),
    (
        "a set of letters",
        distance("""
        missing, more = set(reference) - set(hypothesis), set(hypothesis) - set(reference)
        both = min(len(missing), len(more))
        return both, len(more) - both, len(missing) - both"""),
    ),
    (
        "counts of letters",
        distance("""
        missing = sum((Counter(reference) - Counter(hypothesis)).values())
        more = sum((Counter(hypothesis) - Counter(reference)).values())
        both = min(missing, more)
        return both, more - both, missing - both"""),
    ),
    (
        "only the total is right",
        distance("""
        row = list(range(len(hypothesis) + 1))
        for i, said in enumerate(reference, start=1):
            above, row = row, [i]
            for j, written in enumerate(hypothesis, start=1):
                row.append(min(above[j - 1] + (said != written), row[-1] + 1, above[j] + 1))
        more = len(hypothesis) - len(reference)
        return row[-1] - abs(more), max(0, more), max(0, -more)"""),
    ),
    (
        "a recursion without memory",
        distance("""
        if not len(reference) or not len(hypothesis):
            return 0, len(hypothesis), len(reference)
        wrong = int(reference[0] != hypothesis[0])
        s, n, d = edit_distance(reference[1:], hypothesis[1:])
        ways = [(s + wrong, n, d)]
        s, n, d = edit_distance(reference, hypothesis[1:])
        ways.append((s, n + 1, d))
        s, n, d = edit_distance(reference[1:], hypothesis)
        ways.append((s, n, d + 1))
        return min(ways, key=sum)"""),
    ),
    ("floats", DISTANCE.replace("int(said != written)", "float(said != written)") + RATE),
    (
        "the mean of the rates",
        rating("""
        rates = []
        for reference, hypothesis in zip(references, hypotheses):
            if words:
                reference, hypothesis = reference.split(), hypothesis.split()
            rates.append(sum(edit_distance(reference, hypothesis)) / len(reference))
        return sum(rates) / len(rates)"""),
    ),
    ("divided by the hypotheses", DISTANCE + RATE.replace("len(reference)", "len(hypothesis)")),
    (
        "divided by the longer",
        DISTANCE + RATE.replace("len(reference)", "max(len(reference), len(hypothesis))"),
    ),
    ("divided by the sentences", DISTANCE + RATE.replace("+= len(reference)", "+= 1")),
    (
        "WER on characters",
        DISTANCE + RATE.replace("if words:", "if False:"),
    ),
    ("words unless told otherwise", DISTANCE + RATE.replace("words=False", "words=True")),
    ("always words", DISTANCE + RATE.replace("if words:", "if True:")),
    ("words the wrong way round", DISTANCE + RATE.replace("if words:", "if not words:")),
    (
        "word errors over characters",
        rating("""
        errors = length = 0
        for reference, hypothesis in zip(references, hypotheses):
            length += len(reference)
            if words:
                reference, hypothesis = reference.split(), hypothesis.split()
            errors += sum(edit_distance(reference, hypothesis))
        return errors / length"""),
    ),
    (
        "without the spaces",
        DISTANCE
        + RATE.replace(
            "        errors += sum",
            "        if not words:\n"
            '            reference = reference.replace(" ", "")\n'
            '            hypothesis = hypothesis.replace(" ", "")\n'
            "        errors += sum",
        ),
    ),
    ("at most 1", DISTANCE + RATE.replace("errors / length", "min(1.0, errors / length)")),
    ("accuracy", DISTANCE + RATE.replace("errors / length", "1 - errors / length")),
    ("per cent", DISTANCE + RATE.replace("errors / length", "100 * errors / length")),
    ("the number of errors", DISTANCE + RATE.replace("errors / length", "errors")),
    (
        "substitutions only",
        DISTANCE
        + RATE.replace(
            "sum(edit_distance(reference, hypothesis))", ("edit_distance(reference, hypothesis)[0]")
        ),
    ),
    (
        "the share of wrong sentences",
        rating("""
        wrong = sum(a != b for a, b in zip(references, hypotheses))
        return wrong / len(references)"""),
    ),
    (
        "all sentences run together",
        rating("""
        reference, hypothesis = "".join(references), "".join(hypotheses)
        if words:
            reference, hypothesis = reference.split(), hypothesis.split()
        return sum(edit_distance(reference, hypothesis)) / len(reference)"""),
    ),
]

RIGHT_ANSWERS["4.12"] = [
    (
        "a table, and the way back",
        distance("""
            n, m = len(reference), len(hypothesis)
            table = np.zeros((n + 1, m + 1), dtype=int)
            table[:, 0], table[0] = np.arange(n + 1), np.arange(m + 1)
            for i in range(1, n + 1):
                for j in range(1, m + 1):
                    wrong = reference[i - 1] != hypothesis[j - 1]
                    table[i, j] = min(
                        table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + wrong
                    )
            s = a = d = 0
            while n or m:
                if m and table[n, m] == table[n, m - 1] + 1:
                    a, m = a + 1, m - 1
                elif n and table[n, m] == table[n - 1, m] + 1:
                    d, n = d + 1, n - 1
                else:
                    s += int(table[n, m] != table[n - 1, m - 1])
                    n, m = n - 1, m - 1
            return s, a, d"""),
    ),
    (
        "a recursion with a memory, and joined lists",
        function(
            "edit_distance(reference, hypothesis)",
            """
            import functools

            @functools.lru_cache(None)
            def best(i, j):
                if i == 0 or j == 0:
                    return 0, j, i
                s, n, d = best(i - 1, j - 1)
                ways = [(s + (reference[i - 1] != hypothesis[j - 1]), n, d)]
                s, n, d = best(i, j - 1)
                ways.append((s, n + 1, d))
                s, n, d = best(i - 1, j)
                return min(*ways, (s, n, d + 1), key=sum)

            return best(len(reference), len(hypothesis))""",
        )
        + function(
            "error_rate(references, hypotheses, words=False)",
            """
            split = str.split if words else list
            pairs = [(split(r), split(h)) for r, h in zip(references, hypotheses)]
            return sum(sum(edit_distance(*p)) for p in pairs) / sum(len(r) for r, _ in pairs)""",
        ),
    ),
]


# ---------------------------------------------------------------- 4.13 - Greedy decoding


def decoding(body: str) -> str:
    return function("greedy(log_probs, lengths)", body)


GREEDY = decoding("""
    paths = log_probs.argmax(dim=2).tolist()
    return [collapse(path[:length]) for path, length in zip(paths, lengths.tolist())]""")

WRONG_ANSWERS["4.13"] = [
    ("with the padding", GREEDY.replace("path[:length]", "path")),
    ("one frame more", GREEDY.replace("path[:length]", "path[: length + 1]")),
    ("one frame fewer", GREEDY.replace("path[:length]", "path[: max(0, length - 1)]")),
    ("the lengths of the first", GREEDY.replace("path[:length]", "path[: int(lengths[0])]")),
    ("does not collapse", GREEDY.replace("collapse(path[:length])", "path[:length]")),
    (
        "keeps blanks",
        GREEDY.replace(
            "collapse(path[:length])", "[s for s, _ in itertools.groupby(path[:length])]"
        ),
    ),
    ("keeps repeats", GREEDY.replace("collapse(path[:length])", "[s for s in path[:length] if s]")),
    (
        "blanks first",
        GREEDY.replace("collapse(path[:length])", "collapse([s for s in path[:length] if s])"),
    ),
    ("over the frames", GREEDY.replace("dim=2", "dim=1")),
    ("over the batch", GREEDY.replace("dim=2", "dim=0")),
    ("the least probable", GREEDY.replace("argmax", "argmin")),
    ("tensors", GREEDY.replace("collapse(path[:length])", "torch.tensor(collapse(path[:length]))")),
    (
        "collapses tensors",
        GREEDY.replace(".argmax(dim=2).tolist()", ".argmax(dim=2)").replace(
            "collapse(path[:length])", "collapse(list(path[:length]))"
        ),
    ),
    (
        "cuts after the collapse",
        GREEDY.replace("collapse(path[:length])", "collapse(path)[:length]"),
    ),
    ("the padding counts as blank at the front", GREEDY.replace("path[:length]", "path[-length:]")),
    (
        "one list",
        decoding("""
        paths = log_probs.argmax(dim=2).tolist()
        return [s for p, n in zip(paths, lengths.tolist()) for s in collapse(p[:n])]"""),
    ),
    (
        "the first clip",
        decoding("return collapse(log_probs[0].argmax(dim=1).tolist()[: int(lengths[0])])"),
    ),
    (
        "the best score of all",
        decoding("""
        clips = [clip[:n].sum(dim=0) for clip, n in zip(log_probs, lengths)]
        return [[int(clip.argmax())] for clip in clips]"""),
    ),
    (
        "without the blank",
        GREEDY.replace("log_probs.argmax(dim=2)", "(1 + log_probs[..., 1:].argmax(dim=2))"),
    ),
    (
        "writes blanks into the padding",
        decoding("""
            for clip, length in zip(log_probs, lengths):
                clip[length:] = -9.0
                clip[length:, 0] = 0.0
            return [collapse(path) for path in log_probs.argmax(dim=2).tolist()]"""),
    ),
]

RIGHT_ANSWERS["4.13"] = [
    (
        "a loop in plain Python",
        decoding("""
            texts = []
            for row, frames in enumerate(lengths):
                text, before = [], 0
                for t in range(int(frames)):
                    best = int(log_probs[row, t].argmax())
                    if best not in (0, before):
                        text.append(best)
                    before = best
                texts.append(text)
            return texts"""),
    ),
    (
        "padding becomes blank",
        decoding("""
            best = log_probs.max(dim=-1).indices
            best = best * (torch.arange(best.shape[1]) < lengths[:, None])
            return [collapse(path) for path in best.tolist()]"""),
    ),
]


# ---------------------------------------------------------------- 4.14 - Prefix beam search


def beaming(body: str) -> str:
    return function("beam_search(log_probs, width, score=None)", body)


BEAM = beaming("""
    never = -math.inf
    beam = {(): (0.0, never)}
    for frame in log_probs.tolist():
        new = defaultdict(lambda: [never, never])
        for text, (blank, letter) in beam.items():
            both = np.logaddexp(blank, letter)
            stay = new[text]
            stay[0] = np.logaddexp(stay[0], both + frame[0])
            for symbol in range(1, len(frame)):
                start = both
                if text and symbol == text[-1]:
                    stay[1] = np.logaddexp(stay[1], letter + frame[symbol])
                    start = blank
                bonus = score(text, symbol) if score else 0.0
                longer = new[(*text, symbol)]
                longer[1] = np.logaddexp(longer[1], start + frame[symbol] + bonus)
        best = sorted(new.items(), key=lambda item: np.logaddexp(*item[1]), reverse=True)
        beam = dict(best[:width])
    return [(text, float(np.logaddexp(*ends))) for text, ends in beam.items()]""")
GOES_ON = "stay[1] = np.logaddexp(stay[1], letter + frame[symbol])"
ANEW = "                    start = blank\n"
RANK = "np.logaddexp(*item[1])"
PAIRS = "[(text, float(np.logaddexp(*ends))) for text, ends in beam.items()]"

WRONG_ANSWERS["4.14"] = [
    ("takes the best way, not the sum", BEAM.replace("np.logaddexp(", "max(")),
    (
        "adds logarithms",
        BEAM.replace("stay[0] = np.logaddexp(stay[0], ", "stay[0] = (").replace(
            "longer[1] = np.logaddexp(longer[1], ", "longer[1] = ("
        ),
    ),
    (
        "overwrites what is there",
        BEAM.replace(
            "longer[1] = np.logaddexp(longer[1], start + frame[symbol] + bonus)",
            "longer[1] = start + frame[symbol] + bonus",
        ).replace(
            "stay[1] = np.logaddexp(stay[1], letter + frame[symbol])",
            "stay[1] = letter + frame[symbol]",
        ),
    ),
    (
        "does not merge texts",
        beaming("""
            beam = [((), 0.0, 0)]
            for frame in log_probs.tolist():
                new = []
                for text, value, last in beam:
                    for symbol, p in enumerate(frame):
                        grows = symbol not in (0, last)
                        bonus = score(text, symbol) if score and grows else 0.0
                        longer = (*text, symbol) if grows else text
                        new.append((longer, value + p + bonus, symbol))
                beam = sorted(new, key=lambda item: item[1], reverse=True)[:width]
            return [(text, value) for text, value, _ in beam]"""),
    ),
    (
        "merges at the end",
        beaming("""
            beam = [((), 0.0, 0)]
            for frame in log_probs.tolist():
                new = []
                for text, value, last in beam:
                    for symbol, p in enumerate(frame):
                        grows = symbol not in (0, last)
                        bonus = score(text, symbol) if score and grows else 0.0
                        longer = (*text, symbol) if grows else text
                        new.append((longer, value + p + bonus, symbol))
                beam = sorted(new, key=lambda item: item[1], reverse=True)[:width]
            totals = {}
            for text, value, _ in beam:
                totals[text] = float(np.logaddexp(totals.get(text, -np.inf), value))
            return sorted(totals.items(), key=lambda item: item[1], reverse=True)"""),
    ),
    (
        "one number for each text",
        beaming("""
            beam = {(): 0.0}
            for frame in log_probs.tolist():
                new = defaultdict(lambda: -math.inf)
                for text, value in beam.items():
                    for symbol, p in enumerate(frame):
                        longer, bonus = text, 0.0
                        if symbol and (not text or symbol != text[-1]):
                            longer = (*text, symbol)
                            bonus = score(text, symbol) if score else 0.0
                        new[longer] = float(np.logaddexp(new[longer], value + p + bonus))
                best = sorted(new.items(), key=lambda item: item[1], reverse=True)
                beam = dict(best[:width])
            return list(beam.items())"""),
    ),
    ("a repeat always appends, too", BEAM.replace(ANEW, "")),
    ("a repeat appends behind the letter", BEAM.replace(ANEW, ANEW.replace("blank", "letter"))),
    ("a repeat never appends", BEAM.replace(ANEW, "                    continue\n")),
    ("a repeat does not go on", BEAM.replace(f"                    {GOES_ON}\n", "")),
    (
        "a repeat goes on from both",
        BEAM.replace("letter + frame[symbol])", "both + frame[symbol])"),
    ),
    (
        "a repeat goes on behind a blank",
        BEAM.replace("letter + frame[symbol])", "blank + frame[symbol])"),
    ),
    ("a blank follows blanks only", BEAM.replace("both + frame[0]", "blank + frame[0]")),
    ("a blank follows letters only", BEAM.replace("both + frame[0]", "letter + frame[0]")),
    (
        "a repeat is marked as a blank",
        BEAM.replace(
            "stay[1] = np.logaddexp(stay[1], letter", "stay[0] = np.logaddexp(stay[0], letter"
        ),
    ),
    (
        "starts in a letter",
        BEAM.replace("(0.0, never)}", "(never, 0.0)}").replace(
            "if text and symbol == text[-1]", "if symbol == (text or (1,))[-1]"
        ),
    ),
    ("starts with both", BEAM.replace("(0.0, never)}", "(0.0, 0.0)}")),
    (
        "the score counts for a repeat",
        BEAM.replace(
            "letter + frame[symbol])",
            "letter + frame[symbol] + (score(text, symbol) if score else 0))",
        ),
    ),
    ("the score is forgotten", BEAM.replace("score(text, symbol) if score else 0.0", "0.0")),
    (
        "the score of the longer text",
        BEAM.replace("score(text, symbol) if", "score((*text, symbol), symbol) if"),
    ),
    ("the score is taken away", BEAM.replace("+ bonus)", "- bonus)")),
    ("the score of a list", BEAM.replace("score(text, symbol)", "score(list(text), symbol)")),
    (
        "the score of the blank",
        BEAM.replace(
            "stay[0] = np.logaddexp(stay[0], both + frame[0])",
            "stay[0] = np.logaddexp(stay[0], both + frame[0] + (score(text, 0) if score else 0))",
        ),
    ),
    (
        "the score at the end only",
        BEAM.replace("score(text, symbol) if score else 0.0", "0.0").replace(
            f"return {PAIRS}",
            f"""result = {PAIRS}
    if score:
        result = [(t, v + sum(score(t[:i], s) for i, s in enumerate(t))) for t, v in result]
    return sorted(result, key=lambda item: -item[1])""",
        ),
    ),
    (
        "the score in each frame",
        BEAM.replace(
            "stay[0] = np.logaddexp(stay[0], both + frame[0])",
            "more = score(text[:-1], text[-1]) if score and text else 0.0\n"
            "            stay[0] = np.logaddexp(stay[0], both + frame[0] + more)",
        ),
    ),
    (
        "worst first",
        BEAM.replace(
            "        beam = dict(best[:width])", ("        beam = dict(best[:width][::-1])")
        ),
    ),
    ("keeps the worst", BEAM.replace(", reverse=True)", ")")),
    (
        "not sorted",
        BEAM.replace("best = sorted(new.items(),", "best = list(new.items()); sorted([],"),
    ),
    ("ranked by the letter alone", BEAM.replace(RANK, "item[1][1]")),
    ("ranked by the blank alone", BEAM.replace(RANK, "item[1][0]")),
    ("ranked by the larger", BEAM.replace(RANK, "max(item[1])")),
    ("all texts", BEAM.replace("best[:width]", "best")),
    ("the best alone", BEAM.replace(f"return {PAIRS}", f"return {PAIRS}[:1]")),
    ("texts alone", BEAM.replace(f"return {PAIRS}", "return list(beam)")),
    ("a dictionary", BEAM.replace(f"return {PAIRS}", f"return dict({PAIRS})")),
    ("probabilities", BEAM.replace("float(np.logaddexp(*ends))", "math.exp(np.logaddexp(*ends))")),
    (
        "minus the log scores",
        BEAM.replace("float(np.logaddexp(*ends))", "-float(np.logaddexp(*ends))"),
    ),
    ("both numbers", BEAM.replace("float(np.logaddexp(*ends))", "tuple(ends)")),
    ("only the letter's number", BEAM.replace("float(np.logaddexp(*ends))", "float(ends[1])")),
    ("lists as texts", BEAM.replace("(text, float(", "(list(text), float(")),
    (
        "greedy",
        beaming("""
        path = [max(range(len(frame)), key=frame.__getitem__) for frame in log_probs.tolist()]
        best = sum(max(frame) for frame in log_probs.tolist())
        return [(tuple(collapse(path)), float(best))]"""),
    ),
    (
        "log 0 by hand",
        BEAM.replace("np.logaddexp(", "add(").replace(
            "    never = -math.inf\n",
            "    never = -math.inf\n\n    def add(a, b):\n        most = max(a, b)\n"
            "        return most + math.log(math.exp(a - most) + math.exp(b - most))\n\n",
        ),
    ),
    ("blanks in the texts", BEAM.replace("range(1, len(frame))", "range(len(frame))")),
    (
        "the last symbol is missing",
        BEAM.replace("range(1, len(frame))", "range(1, len(frame) - 1)"),
    ),
    (
        "no text for no frames",
        BEAM.replace(
            "    never = -math.inf\n",
            "    if len(log_probs) == 0:\n        return []\n    never = -math.inf\n",
        ),
    ),
    (
        "changes the numbers of the first symbol",
        BEAM.replace("log_probs.tolist()", "log_probs.clamp_(max=-1e-3).exp_().log().tolist()"),
    ),
]

RIGHT_ANSWERS["4.14"] = [
    (
        "probabilities in a first pass, ways in lists",
        beaming("""
            def total(values):
                most = max(values, default=-math.inf)
                if most == -math.inf:
                    return most
                return most + math.log(sum(math.exp(v - most) for v in values))

            beam = [((), 0.0, -math.inf)]
            for frame in log_probs.double().tolist():
                ways = {}
                for text, blank, letter in beam:
                    for symbol, p in enumerate(frame):
                        here = ways.setdefault(text, ([], []))
                        if symbol == 0:
                            here[0].extend([blank + p, letter + p])
                            continue
                        repeats = text[-1:] == (symbol,)
                        if repeats:
                            here[1].append(letter + p)
                        start = [blank] if repeats else [blank, letter]
                        more = score(text, symbol) if score is not None else 0
                        longer = ways.setdefault(text + (symbol,), ([], []))
                        longer[1].extend(value + p + more for value in start)
                new = [(text, total(a), total(b)) for text, (a, b) in ways.items()]
                new = [item for item in new if total(item[1:]) > -math.inf]
                beam = sorted(new, key=lambda item: total(item[1:]), reverse=True)[:width]
            return [(text, total([blank, letter])) for text, blank, letter in beam]"""),
    ),
    (
        "torch's numbers",
        beaming("""
            minus = torch.tensor(-math.inf, dtype=torch.float64)
            beam = {(): (torch.zeros((), dtype=torch.float64), minus)}
            for frame in log_probs.double():
                new = defaultdict(lambda: (minus, minus))
                for text, (b, n) in beam.items():
                    for symbol in range(frame.shape[0]):
                        p = frame[symbol]
                        if symbol == 0:
                            old = new[text]
                            new[text] = (torch.logaddexp(old[0], torch.logaddexp(b, n) + p), old[1])
                        elif text and text[-1] == symbol:
                            old = new[text]
                            new[text] = (old[0], torch.logaddexp(old[1], n + p))
                            old = new[text + (symbol,)]
                            bonus = score(text, symbol) if score else 0
                            new[text + (symbol,)] = (old[0], torch.logaddexp(old[1], b + p + bonus))
                        else:
                            old = new[text + (symbol,)]
                            way = torch.logaddexp(b, n) + p + (score(text, symbol) if score else 0)
                            new[text + (symbol,)] = (old[0], torch.logaddexp(old[1], way))
                kept = sorted(new, key=lambda t: float(torch.logaddexp(*new[t])))[::-1][:width]
                beam = {text: new[text] for text in kept}
            return [(text, torch.logaddexp(*pair).item()) for text, pair in beam.items()]"""),
    ),
]


# ---------------------------------------------------------------- 4.15 - An n-gram model


GRAMS = """
class NGram:
    def __init__(self, order, symbols, weight=1.0):
        self.order, self.symbols, self.weight = order, symbols, weight
        self.counts, self.totals = Counter(), Counter()

    def fit(self, sentences):
        for sentence in sentences:
            tokens = [0] * (self.order - 1) + sentence
            for end in range(self.order - 1, len(tokens)):
                for length in range(self.order):
                    history = tuple(tokens[end - length : end])
                    self.counts[history, tokens[end]] += 1
                    self.totals[history] += 1

    def probability(self, history, symbol):
        known = (0,) * (self.order - 1) + tuple(history)
        p = 1 / (self.symbols - 1)
        for length in range(self.order):
            h = known[len(known) - length :]
            p = (self.counts[h, symbol] + self.weight * p) / (self.totals[h] + self.weight)
        return p
"""
MIX = "p = (self.counts[h, symbol] + self.weight * p) / (self.totals[h] + self.weight)"
START = "tokens = [0] * (self.order - 1) + sentence"

WRONG_ANSWERS["4.15"] = [
    (
        "no back-off",
        GRAMS.replace(
            "for length in range(self.order):\n            h =",
            ("for length in [self.order - 1]:\n            h ="),
        ),
    ),
    ("uniform over the blank, too", GRAMS.replace("1 / (self.symbols - 1)", "1 / self.symbols")),
    ("p_0 is 1", GRAMS.replace("1 / (self.symbols - 1)", "1.0")),
    ("p_0 is 0", GRAMS.replace("1 / (self.symbols - 1)", "0.0")),
    (
        "sentences without a start",
        GRAMS.replace(START, "tokens = list(sentence)")
        .replace("range(self.order - 1, len(tokens))", "range(len(tokens))")
        .replace(
            "for length in range(self.order):\n                    hist",
            ("for length in range(min(end + 1, self.order)):\n                    hist"),
        ),
    ),
    (
        "short histories stay short",
        GRAMS.replace("(0,) * (self.order - 1) + tuple(history)", "tuple(history)").replace(
            "            h = known",
            "            if length > len(known):\n                break\n            h = known",
        ),
    ),
    (
        "one zero in front",
        GRAMS.replace(START, "tokens = [0] + sentence")
        .replace("range(self.order - 1, len(tokens))", "range(1, len(tokens))")
        .replace(
            "for length in range(self.order):\n                    hist",
            ("for length in range(min(end + 1, self.order)):\n                    hist"),
        ),
    ),
    (
        "sentences run on",
        GRAMS.replace(
            "for sentence in sentences:\n",
            "for sentence in [[token for sentence in sentences for token in sentence]]:\n",
        ),
    ),
    (
        "counts ends of sentences",
        GRAMS.replace("                    self.totals[history] += 1\n", "").replace(
            "            for end in range(self.order - 1, len(tokens)):\n",
            "            for end in range(self.order - 1, len(tokens) + 1):\n"
            "                for length in range(self.order):\n"
            "                    self.totals[tuple(tokens[end - length : end])] += 1\n"
            "            for end in range(self.order - 1, len(tokens)):\n",
        ),
    ),
    (
        "the front of a long history",
        GRAMS.replace("known[len(known) - length :]", "known[:length]").replace(
            "(0,) * (self.order - 1) + tuple(history)",
            "((0,) * max(0, self.order - 1 - len(history)) + tuple(history))[: self.order - 1]",
        ),
    ),
    (
        "the wrong end of a history",
        GRAMS.replace("known[len(known) - length :]", ("known[-(self.order - 1) :][:length]")),
    ),
    ("-0 takes all", GRAMS.replace("known[len(known) - length :]", "known[-length:]")),
    (
        "order symbols of history",
        GRAMS.replace("range(self.order)", "range(self.order + 1)")
        .replace("(self.order - 1)", "self.order")
        .replace("range(self.order - 1, ", "range(self.order, "),
    ),
    (
        "one order short",
        GRAMS.replace(
            "range(self.order):\n            h", "range(max(1, self.order - 1)):\n            h"
        ),
    ),
    (
        "no weight",
        GRAMS.replace(
            MIX, ("p = self.counts[h, symbol] / self.totals[h] if self.totals[h] else p")
        ),
    ),
    ("the weight is always 1", GRAMS.replace("order, symbols, weight\n", "order, symbols, 1.0\n")),
    (
        "the weight below is missing",
        GRAMS.replace("(self.totals[h] + self.weight)", "max(1, self.totals[h])"),
    ),
    ("the weight above is missing", GRAMS.replace("+ self.weight * p)", "+ p)")),
    (
        "the weight for each symbol",
        GRAMS.replace(
            "(self.totals[h] + self.weight)", "(self.totals[h] + self.weight * (self.symbols - 1))"
        ),
    ),
    (
        "add one",
        GRAMS.replace(
            MIX,
            (
                "p = (self.counts[h, symbol] + self.weight) / "
                "(self.totals[h] + self.weight * (self.symbols - 1))"
            ),
        ),
    ),
    (
        "only for what is new",
        GRAMS.replace(
            MIX, "p = self.counts[h, symbol] / self.totals[h] if self.counts[h, symbol] else p"
        ),
    ),
    ("logarithm", GRAMS.replace("return p", "return math.log(p)")),
    ("minus the logarithm", GRAMS.replace("return p", "return -math.log(p)")),
    (
        "the longest history first",
        GRAMS.replace(
            "for length in range(self.order):\n            h",
            "for length in reversed(range(self.order)):\n            h",
        ),
    ),
    (
        "counts shared by all models",
        GRAMS.replace("        self.counts, self.totals = Counter(), Counter()\n", "").replace(
            "    def __init__", "    counts, totals = Counter(), Counter()\n\n    def __init__"
        ),
    ),
    (
        "adds zeros to the sentences",
        GRAMS.replace(START, "tokens = sentence\n            tokens[:0] = [0] * (self.order - 1)"),
    ),
    (
        "forgets the sentences before",
        GRAMS.replace(
            "        for sentence in sentences:\n",
            "        for sentence in sentences:\n"
            "            self.counts, self.totals = Counter(), Counter()\n",
        ),
    ),
    (
        "an end symbol",
        GRAMS.replace("* (self.order - 1) + sentence", "* (self.order - 1) + sentence + [0]"),
    ),
    (
        "sets of n-grams",
        GRAMS.replace(
            "+= 1\n                    self.totals[history] += 1",
            (
                "= 1\n                    self.totals[history] = "
                "len({s for h, s in self.counts if h == history})"
            ),
        ),
    ),
    ("a tensor", GRAMS.replace("return p", "return torch.tensor(p)")),
    (
        "history and symbol swapped",
        GRAMS.replace("probability(self, history, symbol)", ("probability(self, symbol, history)")),
    ),
]

RIGHT_ANSWERS["4.15"] = [
    (
        "a recursion, and text that is counted anew",
        """
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
        return self._mixed(history, symbol, self.order)

    def _mixed(self, h, symbol, k):
        if k == 0:
            return self.base
        same = [gram[-1] for gram in self.grams if gram[self.order - k : -1] == h]
        below = self._mixed(h[1:], symbol, k - 1)
        return (same.count(symbol) + self.weight * below) / (len(same) + self.weight)
""",
    ),
    (
        "a dictionary of dictionaries",
        """
class NGram:
    def __init__(self, order, symbols, weight=1.0):
        self.order, self.symbols, self.weight = order, symbols, weight
        self.after = defaultdict(lambda: np.zeros(symbols))

    def fit(self, sentences):
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
        return float(p[symbol])
""",
    ),
]
