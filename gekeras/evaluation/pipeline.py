"""`gekeras.evaluation.evaluate`: from a folder of pictures to a table of scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import config, data, files
from ..config import VolumeOptions
from ..files import PathLike
from ..networks import ModelOptions
from ..restore import effects
from . import sets as set_distances
from . import tables
from .measures import Measures, check_place

_PLAIN = ("ConvAE", "AEGAN", "bicubic", "TV", "NLM", "Wiener", "Richardson-Lucy", "biharmonic", "input")  # solve nothing
_PIXELS = ("invertGAN", "CSGM")  # compare pixels alone
BATCH = 16  # pictures that noise and masks are drawn for together, unless another number is named


def evaluate(
    pictures: PathLike,
    model: str | ModelOptions,
    output: PathLike,
    *,
    count: int | None = None,
    methods: tuple[str, ...] = (),
    bits: tuple[int, ...] = (),
    batch: int | None = None,
    cut: VolumeOptions = VolumeOptions(),  # noqa: B008 (frozen)
    fidelity: str = "fast",
    changes: Mapping[str, Any] | None = None,
    lpips: PathLike | None = None,
    sets: bool = False,
    inception: PathLike | None = None,
    identity: PathLike | None = None,
    identity_threshold: float | None = None,
    keep: bool = False,
    record: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> list[dict[str, Any]]:
    """Score GE and its baselines on pictures: what `gekeras eval` does. A stopped evaluation goes on where it was.

    Args:
        pictures: a folder, tar, TFRecord or volume of clean pictures, which are degraded and restored.
        model: a task of the default preset, as "superres", or which networks and task.
        output: stem of `.jsonl` (a line an image and method), `.csv` and `.md` (the table).
        count: use the first so many pictures.
        methods: those to run; all that suit the task by default.
        bits: reconstruct: also from codes of so many bits a number.
        batch: pictures degraded and restored together; None: degraded by 16, restored as the memory holds.
        cut: how volumes become pictures; its levels are those of gray picture files, too.
        fidelity, changes: as `restore.files`.
        lpips: a file of LPIPS' weights as `perceptual.read` takes it; measures LPIPS, too.
        sets: measure the sliced Wasserstein distance between all restored and all clean pictures; the restored ones are kept
            in STEM.restored, so that a stopped evaluation goes on.
        inception: FID's network as `perceptual.inception_file.read` takes it; measures FID, KID, precision and recall, too,
            and what `sets` does.
        identity: a face recognizer as `perceptual.identity.read` takes it; measures the cosine between what it makes of the
            restored and of the clean face, and for how many that reaches a threshold.
        identity_threshold: that cosine; None: 0.363, SFace's as published.
        keep: keep the restored pictures in STEM.restored, which `report` shows.
        record: store the table in the preset's preset.json.
        tell: called with lines for the user: files that are left out, pictures that are all but black.
        progress: called with (rows done, rows in all, what remains as text).

    Returns:
        The table: a row a method with its name, n, and mean and standard deviation of MSE, PSNR and SSIM, and of LPIPS
            (`lpips`) and identity (`identity`, `same_person`) where they are asked for; `swd`, `fid`, `kid`, `kid_error`,
            `precision` and `recall` as `sets.between` gives them.

    Raises:
        ValueError: an unknown preset, task, method or option, pictures that are none, an output as `tables.places` refuses
            it or of another evaluation, bits for another task than reconstruct, an option that no method looks at, a file
            that is not what it is named for, pictures that LPIPS, a recognizer or a distance cannot compare, fewer than 4
            for distances between sets, a threshold without a recognizer, ONNX without its package, or a record of something
            that is not the preset's own.

    Example:
        >>> import gekeras
        >>> gekeras.evaluation.evaluate("photos/", "superres", "scores/superres", count=8)  # doctest: +SKIP
    """
    model = (ModelOptions(model) if isinstance(model, str) else model).loaded()
    preset, pictures = model.load_preset(), Path(pictures)
    _check(model, bits, record)
    _check_effect(methods, bits, fidelity, changes or {})
    measures = Measures(lpips, sets, inception, identity, identity_threshold, keep)
    lines, csv, markdown = tables.places(output)
    if measures.of_sets or keep:
        check_place(lines)
    read = measures.read()
    recorded = preset if record else None
    if recorded is not None:
        files.check_writable(recorded.folder / "preset.json")
    items = data.entries(pictures, options=cut)[:count]

    from ..generative_encoder import GenerativeEncoder  # TensorFlow, which takes seconds
    from . import scoring

    network = GenerativeEncoder.from_options(model)
    meters = read.meters(network.image_shape, len(items))
    options = network.options(fidelity, **(changes or {}))
    network.check(options)

    def ready():
        of_sets = set_distances.note(len(items), measures.inception is not None) if measures.of_sets else ""
        for line in (*data.notes(pictures, items=items), network.note(fidelity, **(changes or {})), of_sets):
            if line:
                tell(line)

    source = data.Source(items, *network.image_shape[1:])
    rows = scoring.score(
        network,
        source,
        options,
        lines,
        names=methods,
        batch_size=batch or BATCH,
        at_once=batch,
        preset=model.generators_preset(),
        bits=bits,
        meters=meters,
        about=_circumstances(model, preset, pictures, cut),
        ready=ready,
        progress=progress,
    )
    table = tables.summary(rows, measures.threshold)
    if meters.sets and (kept := scoring.kept_beside(lines, source, meters)):
        names = [row["method"] for row in table]
        found = set_distances.by_method(kept, scoring.rows_of(lines), names, source, meters.inception)
        table = [{**row, **found[row["method"]]} for row in table]
    tables.write(csv, markdown, table)
    if recorded is not None:
        recorded.record_scores(model.task, table, f"{pictures.name}, first {len(items)} pictures", config.to_dict(options))
    return table


def _check(model: ModelOptions, bits: tuple[int, ...], record: bool) -> None:
    if bits and model.task != "reconstruct":
        raise ValueError(f"bits are for reconstruct, whose code is the compressed picture; the task is {model.task}")
    if record and (model.parameters or model.forward or model.custom.given()):
        raise ValueError(
            "a record keeps the scores of the preset's own task and networks; leave out parameters, forward and networks"
        )


def _check_effect(methods: tuple[str, ...], bits: tuple[int, ...], fidelity: str, changes: Mapping[str, Any]) -> None:
    """Raise ValueError for options that none of the methods looks at. The seed is the degradation's, too."""
    given, kinds = set(effects.given(fidelity, changes)) - {"seed"}, {name.partition(" ")[0] for name in methods}
    if "consistent" in given:
        raise ValueError("consistent would change nothing: an evaluation has GE both ways where that can be; leave it out")
    idle = set()
    if methods and kinds <= {*_PLAIN, *_PIXELS}:  # an unknown one is told later
        of_codes = {"code_weight", "pixel_weight", "decoder_weight", "layers", "layer_steps", "layer_rate", "layer_weight"}
        idle = given & of_codes if kinds & set(_PIXELS) else given
    if idle:
        raise ValueError(f"{', '.join(sorted(idle))} would change nothing: {', '.join(methods)} does not look at it")
    if unused := [count for count in bits if methods and not any(name.endswith(f" {count} bit") for name in methods)]:
        raise ValueError(f"bits would change nothing: name GE {unused[0]} bit or ConvAE {unused[0]} bit as a method, too")


def _circumstances(model: ModelOptions, preset: Any, pictures: Path, cut: VolumeOptions) -> dict[str, Any]:
    """What the scores depend on beside task and options: an evaluation goes on only where all of it is the same."""
    about: dict[str, Any] = {"preset": preset.name if preset else None, "data": str(pictures.resolve())}
    about |= {"checksums": preset.checksums_of(model.task)} if preset else {}
    about |= {"forward": model.forward} if model.forward else {}
    about |= {"cut": config.to_dict(cut)} if cut != VolumeOptions() else {}
    return about | ({"networks": model.custom.record()} if model.custom.given() else {})
