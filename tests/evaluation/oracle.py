"""Every figure of the evaluation, written a second time: loops over pixels and classes of the raw maps, no confusion matrix."""

import math

IGNORED = 255


def argmax(values, among):
    """The first of the best, None where there is none to choose from."""
    best = None
    for index in among:
        if best is None or values[index] > values[best]:
            best = index
    return best


def logit(score):
    score = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(score / (1 - score))


def pixels_of(images, seen, constant=None, among=None):
    """(truth, choice) of every counted pixel. ``among`` says, for a true class, which names compete."""
    pairs = []
    for truth, scores in images:
        for y in range(truth.shape[0]):
            for x in range(truth.shape[1]):
                true = int(truth[y, x])
                if true == IGNORED:
                    continue
                values = [float(score) for score in scores[:, y, x]]
                if constant is not None:
                    values = [logit(value) - (constant if i < len(seen) and seen[i] else 0.0) for i, value in enumerate(values)]
                pairs.append((true, argmax(values, range(len(values)) if among is None else among(true))))
    return pairs


def class_figures(pairs, label):
    """Pixels in common, in the truth, in the prediction."""
    common = sum(1 for true, chosen in pairs if true == label and chosen == label)
    return common, sum(1 for true, _ in pairs if true == label), sum(1 for _, chosen in pairs if chosen == label)


def miou(pairs, labels, over):
    values = []
    for label in labels:
        common, true, predicted = class_figures(pairs, label)
        if true or (over == "union" and predicted):
            values.append(100 * common / (true + predicted - common))
    return sum(values) / len(values) if values else math.nan


def harmonic(first, second):
    if math.isnan(first) or math.isnan(second):
        return math.nan
    return 0.0 if first == 0 or second == 0 else 2 / (1 / first + 1 / second)


def kappa(pairs):
    """Agreement beyond that of two raters who draw from their own frequencies, in exact arithmetic."""
    from fractions import Fraction

    if not pairs:
        return math.nan
    size = len(pairs)
    labels = {true for true, _ in pairs} | {chosen for _, chosen in pairs}
    agree = Fraction(sum(true == chosen for true, chosen in pairs), size)
    chance = sum(
        Fraction(sum(true == label for true, _ in pairs), size) * Fraction(sum(chosen == label for _, chosen in pairs), size)
        for label in labels
    )
    return math.nan if chance == 1 else float(100 * (agree - chance) / (1 - chance))


def boundary(mask, width):
    """The mask's pixels from which a step of at most ``width`` rows and columns leaves it; outside of the image is outside."""
    height, length = len(mask), len(mask[0])
    found = set()
    for y in range(height):
        for x in range(length):
            if mask[y][x]:
                around = [(y + dy, x + dx) for dy in range(-width, width + 1) for dx in range(-width, width + 1)]
                if any(not (0 <= v < height and 0 <= u < length and mask[v][u]) for v, u in around):
                    found.add((y, x))
    return found


def boundary_iou(images, label, ratio):
    common = union = present = 0
    for truth, scores in images:
        height, length = truth.shape
        width = max(round(ratio * math.hypot(height, length)), 1)
        true = [[int(truth[y, x]) == label for x in range(length)] for y in range(height)]
        chosen = [
            [int(truth[y, x]) != IGNORED and argmax(scores[:, y, x], range(len(scores))) == label for x in range(length)]
            for y in range(height)
        ]
        first, second = boundary(true, width), boundary(chosen, width)
        common += len(first & second)
        union += len(first | second)
        present += sum(map(sum, true))
    return 100 * common / union if present else math.nan


def mean(values):
    values = [value for value in values if not math.isnan(value)]
    return sum(values) / len(values) if values else math.nan


def summary(images, seen, *, over, constant, ratio, background, background_class):
    """The figures by name. ``background``: the scores' last channel is one; ``background_class``: index of one, or None."""
    labels = list(range(len(seen)))
    seen_labels, unseen_labels = [i for i in labels if seen[i]], [i for i in labels if not seen[i]]
    pairs = pixels_of(images, seen)
    figures = {"mIoU": miou(pairs, labels, over)}
    other = {"present": ("mIoU-0.6", "union"), "union": ("mIoU-present", "present")}[over]
    figures[other[0]] = miou(pairs, labels, other[1])
    if unseen_labels:
        split(figures, pairs, "", seen_labels, unseen_labels, over)
    if seen_labels and unseen_labels:
        own = pixels_of(images, seen, among=lambda true: seen_labels if seen[true] else unseen_labels)
        figures["s-only-mIoU"] = miou([pair for pair in own if seen[pair[0]]], seen_labels, over)
        figures["u-only-mIoU"] = miou([pair for pair in own if not seen[pair[0]]], unseen_labels, over)
        if constant:
            moved = pixels_of(images, seen, constant)
            figures["calibrated-mIoU"] = miou(moved, labels, over)
            split(figures, moved, "calibrated-", seen_labels, unseen_labels, over)
    if background and pairs:
        without(figures, pixels_of(images, seen, among=lambda _: labels), "background", labels, over)
    elif background_class is not None:
        without(figures, pairs, "background", [i for i in labels if i != background_class], over)
    size = len(pairs)
    counts = {label: class_figures(pairs, label) for label in labels}
    present = [label for label in labels if counts[label][1]]
    figures["pACC"] = 100 * sum(true == chosen for true, chosen in pairs) / size if size else math.nan
    figures["mACC"] = mean([100 * counts[i][0] / counts[i][1] for i in present])
    figures["fwIoU"] = (
        sum(counts[i][1] / size * 100 * counts[i][0] / (counts[i][1] + counts[i][2] - counts[i][0]) for i in present)
        if size
        else math.nan
    )
    figures["mPrecision"] = mean([100 * counts[i][0] / counts[i][2] if counts[i][2] else 0.0 for i in present])
    figures["mF1"] = mean([100 * 2 * counts[i][0] / (counts[i][1] + counts[i][2]) for i in present])
    figures["F1-of-means"] = harmonic(figures["mPrecision"], figures["mACC"])
    figures["Kappa"] = kappa(pairs)
    if ratio:
        figures["bIoU"] = mean([boundary_iou(images, label, ratio) for label in labels])
    return figures


def without(figures, pairs, rest, labels, over):
    """Figures of the classes ``labels``, what is left over not among them."""
    figures[f"mIoU-without-{rest}"] = miou(pairs, labels, over)
    own = [true == chosen for true, chosen in pairs if true in labels]
    figures[f"pACC-without-{rest}"] = 100 * sum(own) / len(own) if own else math.nan


def of_class(pairs, label):
    """A class's IoU, user's and producer's accuracy, F1; NaN where it has no such figure."""
    common, true, predicted = class_figures(pairs, label)
    if not true:
        return dict.fromkeys(("IoU", "UA", "PA", "F1"), math.nan)
    users = 100 * common / predicted if predicted else math.nan
    producers = 100 * common / true
    return {
        "IoU": 100 * common / (true + predicted - common),
        "UA": users,
        "PA": producers,
        "F1": harmonic(users, producers) if predicted else 0.0,
    }


def spelt(word):
    return " ".join(word.lower().split())


def trained_as(words, trained):
    """How a class of these words (its name first) stood in training, whose classes are such lists too: (match, name, word)."""
    for word in words:
        for place in ("name", "synonym"):
            for other in trained:
                for candidate in other[:1] if place == "name" else other[1:]:
                    if spelt(candidate) == spelt(word):
                        return "name" if spelt(other[0]) == spelt(words[0]) else "synonym", other[0], candidate
    return None, None, None


def base_novel(images, seen, tested, trained, over):
    """The figures of base and novel classes by all words, then by names alone, without those that stand already."""
    matches = [trained_as(words, trained)[0] for words in tested]
    pairs = pixels_of(images, seen)
    figures, standing = {}, [[bool(flag) for flag in seen]]
    for prefix, base in (("", [match is not None for match in matches]), ("named-", [match == "name" for match in matches])):
        if False in base and base not in standing:
            means = [miou(pairs, [i for i, flag in enumerate(base) if flag is wanted], over) for wanted in (True, False)]
            figures |= {f"{prefix}base-mIoU": means[0], f"{prefix}novel-mIoU": means[1]}
            figures[f"{prefix}base-novel-h-mIoU"] = harmonic(*means)
        standing.append(base)
    return figures


def split(figures, pairs, prefix, seen_labels, unseen_labels, over):
    means = miou(pairs, seen_labels, over), miou(pairs, unseen_labels, over)
    figures[f"{prefix}s-mIoU"], figures[f"{prefix}u-mIoU"] = means
    figures[f"{prefix}h-mIoU"] = harmonic(*means)
