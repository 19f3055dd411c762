"""The figures of a run as tables in Markdown, and figures of two runs beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ovrs.benchmark.report import Figures
from ovrs.modeling.stages import REST, STAGES

# What tells settings apart beside the system, and how it is written where all have it in common.
_KEYS: dict[str, Callable[[Any], str]] = {
    "mode": "{}".format,
    "form": "{} form".format,
    "precision": "{}".format,
    "size": "{0} x {0} pixels".format,
    "batch": "{} at a time".format,
    "rotations": lambda turns: "rotations as configured" if turns is None else f"{turns} rotations",
    "classes": "{} classes".format,
    "threads": lambda threads: f"{threads} threads" if threads else "",
}
_NONE = "-"


def tables(results: Sequence[Figures]) -> str:
    """What each setting costs, and where its time goes."""
    keys = [name for name in _KEYS if len({each["setting"][name] for each in results}) > 1]
    common = [_KEYS[name](results[0]["setting"][name]) for name in _KEYS if name not in keys]
    parts = [", ".join(words for words in common if words), *_ceilings(results), "", _costs(results, keys)]
    if any("seconds" in each for each in results):
        parts += ["", "Seconds by stages, and in brackets the share of the ceiling of products:", "", _stages(results, keys)]
    else:
        parts += ["", "GFLOPs by stages, of products alone:", "", _products(results, keys)]
    return "\n".join(parts)


def _ceilings(results: Sequence[Figures]) -> list[str]:
    """One line on what the machine did at most, in the mean over groups."""
    timed = [each for each in results if "ceilings" in each]
    if not timed:
        return []
    words = []
    for precision in dict.fromkeys(each["setting"]["precision"] for each in timed):
        flops = [each["ceilings"]["flops"]["median"] for each in timed if each["setting"]["precision"] == precision]
        words.append(f"{sum(flops) / len(flops) / 1e9:.0f} GFLOP/s in {precision}")
    copied = [each["ceilings"]["copy"]["median"] for each in timed]
    return [f"Ceilings: a product of matrices {', '.join(words)}; a copy {sum(copied) / len(copied) / 1e9:.1f} GB/s"]


def _costs(results: Sequence[Figures], keys: Sequence[str]) -> str:
    header = ["parameters", "of them text", "trained", "GFLOPs", "seconds", "to plain", "to the first", "to its encoders"]
    header += ["head a class", "ceiling", "peak memory"]
    rows = [[*_key(each, keys), *_cost(each)] for each in results]
    return _markdown([*_names(keys), *header], rows)


def _cost(figures: Figures) -> list[str]:
    parameters = [f"{figures['parameters'][name] / 1e6:.2f} M" for name in ("all", "text", "trained")]
    operations = figures.get("operations", sum(figures["products"].values()))
    memory = figures["peak_gib"] if figures["peak_gpu_gib"] is None else figures["peak_gpu_gib"]
    seconds = [_spread(figures.get(name), 3 if name == "seconds" else 2) for name in ("to_plain", "to_first", "to_encoders")]
    whole, a_class, share = _NONE, _NONE, _NONE
    if "seconds" in figures:
        whole = _spread(figures["seconds"]["whole"], 3)
        a_class = _NONE if figures["head_a_class"] is None else f"{figures['head_a_class'] * 1e3:.2f} ms"
        share = _percent(figures["share_of_products"].get("whole"))
    return [*parameters, f"{operations / 1e9:.1f}", whole, *seconds, a_class, share, f"{memory:.2f} GiB"]


def _stages(results: Sequence[Figures], keys: Sequence[str]) -> str:
    timed = [each for each in results if "seconds" in each]
    met = {stage for each in timed for stage, taken in each["seconds"].items() if taken["most"]}
    stages = [stage for stage in (*STAGES, REST) if stage in met]
    rows = []
    for each in timed:
        cells = [_stage(each, stage) for stage in stages]
        once = _NONE if each["text_once"] is None else f"{each['text_once']:.3f}"
        rows.append([*_key(each, keys), *cells, once, f"{each['files']:.3f}"])
    header = [*_names(keys), *(stage.replace("_", " ") for stage in stages), "text, once", "files, an image"]
    return _markdown(header, rows)


def _products(results: Sequence[Figures], keys: Sequence[str]) -> str:
    stages = [stage for stage in (*STAGES, REST) if any(each["products"].get(stage) for each in results)]
    rows = [[*_key(each, keys), *(f"{each['products'].get(stage, 0) / 1e9:.1f}" for stage in stages)] for each in results]
    return _markdown([*_names(keys), *(stage.replace("_", " ") for stage in stages)], rows)


def _stage(figures: Figures, stage: str) -> str:
    seconds, share = figures["seconds"].get(stage), figures["share_of_products"].get(stage)
    if seconds is None:
        return _NONE
    return f"{seconds['median']:.3f}" + ("" if share is None else f" ({_percent(share)})")


def compared(new: Mapping[str, Any], old: Mapping[str, Any], key: Callable[[Figures], tuple[Any, ...]]) -> str:
    """How long each setting and stage of a run took in multiples of an earlier run's.

    The ratio is that of the medians; in brackets that of the fastest to the slowest round, and the reverse. Computers differ
    from day to day, which the ratio of ceilings shows: above 1 the machine can do more than it could.
    """
    before = {key(each): each for each in old["results"] if "seconds" in each}
    pairs = [(each, before.pop(key(each), None)) for each in new["results"] if "seconds" in each]
    both = [(each, other) for each, other in pairs if other is not None]
    alone = [f"only in the new run: {describe(each)}" for each, other in pairs if other is None]
    alone += [f"only in the old run: {describe(other)}" for other in before.values()]
    if not both:
        return "\n".join(["no setting is in both runs", *alone])
    keys = [name for name in _KEYS if len({each["setting"][name] for each, _ in both}) > 1]
    met = {stage for each, other in both for stage in each["seconds"] if _ratio(each, other, stage) is not None}
    stages = [stage for stage in ("whole", *STAGES, REST) if stage in met]
    rows = []
    for each, other in both:
        ratios = [_spread(_ratio(each, other, stage), 2) for stage in stages]
        memory = f"{each['peak_gib'] / other['peak_gib']:.2f}"
        machine = [f"{each['ceilings'][of]['median'] / other['ceilings'][of]['median']:.2f}" for of in ("flops", "copy")]
        rows.append([*_key(each, keys), *ratios, memory, *machine])
    header = [*_names(keys), *(stage.replace("_", " ") for stage in stages), "peak memory", "ceiling of products", "of a copy"]
    return "\n".join(
        [f"New to old ({old['machine']['date']}, {old['machine']['processor']}):", "", _markdown(header, rows), *alone]
    )


def _ratio(new: Figures, old: Figures, stage: str) -> dict[str, float] | None:
    own, other = new["seconds"].get(stage), old["seconds"].get(stage)
    if not own or not other or not (own["least"] and other["least"]):
        return None
    return {
        "median": own["median"] / other["median"],
        "least": own["least"] / other["most"],
        "most": own["most"] / other["least"],
    }


def describe(figures: Figures) -> str:
    """A setting in words."""
    setting = figures["setting"]
    return ", ".join(words for words in [name_of(setting), *(_KEYS[name](setting[name]) for name in _KEYS)] if words)


def name_of(setting: Mapping[str, Any]) -> str:
    """A system's configuration as it is called in tables."""
    return str(setting["config_file"]).removeprefix("configs/").removesuffix(".yaml")


def _names(keys: Sequence[str]) -> list[str]:
    return ["system", *keys]


def _key(figures: Figures, keys: Sequence[str]) -> list[str]:
    values = (figures["setting"][name] for name in keys)
    return [name_of(figures["setting"]), *("as configured" if value is None else str(value) for value in values)]


def _spread(values: Mapping[str, float] | None, digits: int) -> str:
    if values is None:
        return _NONE
    median, least, most = (f"{values[name]:.{digits}f}" for name in ("median", "least", "most"))
    return f"{median} ({least} to {most})"


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{share:.0%}"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
