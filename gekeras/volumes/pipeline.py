"""`gekeras.volumes.restore`: from a volume's file to restored volumes, slice by slice, and to their comparison.

What can be refused is refused before anything is solved. Results grow in a folder beside the output and are put in their
places when all are whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files, plots
from ..config import VolumeOptions
from ..config.slices import AXES, SliceOptions
from ..files import PathLike
from ..networks import ModelOptions
from ..restore import effects, paths
from . import planes, voxels

SUFFIXES = (*voxels.SUFFIXES, ".npy")
_SOLVED = {"GE", "GE consistent", "GE z", "invertGAN", "CSGM"}  # the methods that look at options of a solve


@dataclass(frozen=True)
class Result:
    """A volume restored and written.

    Attributes:
        paths: method -> its volume; the first is the output, and its record lies beside it, as .json.
        record: options, seed, versions, loss, steps, seconds, and where the truth is known scores by method.
    """

    paths: dict[str, Path]
    record: dict[str, Any]

    def summary(self) -> str:
        """A line for what was written, and a table of scores if there are any."""
        from . import scores

        first, *others = self.paths.values()
        shape = "x".join(map(str, self.record["shape"]))
        text = f"{first}: {shape} voxels, {self.record['slices']} slices, {self.record['seconds']:.1f} s"
        text += f"; also {', '.join(map(str, others))}" if others else ""
        return f"{text}\n{scores.to_markdown(self.record['truth'], found)}" if (found := self.record["scores"]) else text


@dataclass(frozen=True)
class Cut:
    """Where a panel cuts the volumes: across which axis, and at which index; None in the middle."""

    axis: str
    index: int | None = None


def restore(
    volume: PathLike,
    model: str | ModelOptions,
    output: PathLike | None = None,
    *,
    options: SliceOptions = SliceOptions(),  # noqa: B008 (frozen)
    cut: VolumeOptions = VolumeOptions(),  # noqa: B008 (frozen)
    methods: Sequence[str] = (),
    fidelity: str = "fast",
    changes: Mapping[str, Any] | None = None,
    batch: int | None = None,
    panel: PathLike | None = None,
    panel_cut: Cut | None = None,
    tell: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> Result:
    """Restore a volume slice by slice: what `gekeras volume` does. A stopped run goes on where it was.

    Args:
        volume: a TIFF stack, .npy, .npy.xz or raw file of gray values `[z, y, x]`.
        model: a task of the default preset, as "superres", or which networks and task.
        output: a .tif, .tiff or .npy; None: `NAME.restored.tif` beside the input. The volumes of other methods than the
            first lie beside it, as `NAME.METHOD.tif`.
        options: how it is sliced, and what is measured.
        cut: shape and dtype of a raw file, and the gray levels of black and white.
        methods: as `evaluation.evaluate`; by default GE, as `restore.files` has it.
        fidelity, changes: as `restore.files`.
        batch: slices at once; None: 16, restored in smaller parts where the memory asks for it.
        panel: also a figure of a cut through all volumes (.png, .pdf, .svg).
        panel_cut: where; by default across the first axis that was not solved along, in the middle.
        tell: called with lines for the user.
        progress: called with (rounds done, rounds in all, what is done as text).

    Raises:
        ValueError: a file that is no volume, slices smaller than the model's pictures, an unknown preset, task, method or
            option, a place that cannot be written, an unfinished run of other settings, options that contradict each other.

    Example:
        >>> import gekeras
        >>> options = gekeras.config.SliceOptions(simulate=True)
        >>> gekeras.volumes.restore("rock.tif", "denoise", options=options)  # doctest: +SKIP
    """
    source, changes = Path(volume), dict(changes or {})
    model = (ModelOptions(model) if isinstance(model, str) else model).loaded()
    whole = planes.read(source, cut)
    _check_call(model, options, methods, fidelity, changes)
    places = _places(source, output, methods, options, panel)
    if panel_cut is not None and panel is None:
        raise ValueError("a cut is for a panel: name its file, too")
    if panel is not None:
        panel_cut = _checked_cut(panel_cut or Cut(options.across[0]), whole.values.shape)
    _check_size(source, whole, model, options)
    known = None if options.mask is None else planes.missing(options.mask, cut, whole.values.shape)

    from . import job  # TensorFlow, which takes seconds

    call = job.Call(source, model, places, options, cut, tuple(methods), fidelity, changes, batch, panel, panel_cut)
    return Result(*job.restore(call, whole, known, tell, progress))


def _check_call(model: ModelOptions, options: SliceOptions, methods: Sequence[str], fidelity: str, changes) -> None:
    """What the arguments tell by themselves."""
    if len(set(methods)) < len(methods):
        raise ValueError(f"a method is named twice: {', '.join(methods)}")
    given = [name for name in effects.given(fidelity, changes) if name != "seed"]
    if "consistent" in given and methods:
        raise ValueError("consistent would change nothing where methods are named: name GE, or GE consistent")
    if methods and given and not _SOLVED & set(methods):
        raise ValueError(f"{', '.join(given)} would change nothing: {', '.join(methods)} does not look at it")
    if options.warm_start and methods and not {"GE", "GE consistent"} & set(methods):
        raise ValueError(f"warm_start would change nothing: it is for GE, not for {', '.join(methods)}")
    if "size" in model.parameters and model.task == "superres":
        raise ValueError("size of superres is for pictures: slices are enlarged by the factor")
    scored = options.simulate or model.task == "reconstruct"
    idle = {"threshold": options.threshold is not None, "smallest_pore": options.smallest_pore != SliceOptions.smallest_pore}
    for name, is_given in idle.items():
        if is_given and not scored:
            raise ValueError(f"{name} would change nothing: there is no truth to compare with unless you simulate")
    if options.mask is not None and model.task != "inpaint":
        raise ValueError(f"a mask is for inpaint; the task is {model.task}")
    if model.task == "inpaint" and options.mask is None and not options.simulate:
        raise ValueError("inpaint needs to know what is missing: give a mask, or simulate")
    if options.simulate and model.task == "reconstruct":
        raise ValueError("simulate would change nothing: reconstruct degrades nothing, and is always compared; leave it out")


def _places(source: Path, output, methods: Sequence[str], options: SliceOptions, panel) -> list[Path]:
    """The output and where the other methods' volumes go, all of them found to be writable."""
    named = output is not None
    output = Path(output) if named else source.with_name(f"{_stem(source)}.restored.tif")
    if output.suffix.lower() not in SUFFIXES:
        raise files.FileError(output, f"unknown suffix: use one of {', '.join(SUFFIXES)}")
    stem = output.name[: -len(output.suffix)]
    others = [output.with_name(f"{stem}.{name.replace(' ', '-')}{output.suffix}") for name in methods[1:]]
    record = paths.record_path(output)
    results = [output, *others, record, *([Path(panel)] if panel else [])]
    paths.check_apart(results, [source, *([options.mask] if options.mask else [])])
    if panel:
        paths.check_apart([Path(panel)], results[:-1], "a result")
        plots.check_path(panel)
    paths.check_places(results)
    if record.exists() and not paths.is_record(record):
        raise files.FileError(record, "is no record of a restoration and would be replaced; move it, or name another output")
    for path in [*others, *([] if named else [output])]:  # whose names are made here
        if path.exists() and not record.exists():
            raise files.FileError(path, "would be replaced, and may be no result; move it, or name another output")
    return [output, *others]


def _stem(path: Path) -> str:
    return path.name[: -len(".npy.xz")] if path.name.lower().endswith(".npy.xz") else path.stem


def _checked_cut(cut: Cut, shape: tuple[int, ...]) -> Cut:
    """With an index. Raises ValueError for one that the volume has not."""
    if cut.axis not in AXES:
        raise ValueError(f"a cut is across one of {', '.join(AXES)}; received {cut.axis!r}")
    length = shape[AXES.index(cut.axis)]
    index = length // 2 if cut.index is None else cut.index
    if not 0 <= index < length:
        raise ValueError(
            f"a cut at {cut.axis}:{index} lies outside of the volume, whose {cut.axis} runs from 0 to {length - 1}"
        )
    return Cut(cut.axis, index)


def _check_size(source: Path, whole: planes.Volume, model: ModelOptions, options: SliceOptions) -> None:
    """Raise ValueError for slices that are smaller than the pictures of a preset, before TensorFlow is imported."""
    preset = model.generators_preset()
    if preset is None:
        return
    task = preset.tasks.get(model.task, {})
    factor = 1
    if model.task == "superres" and not options.simulate:
        factor = {**task, **model.parameters}.get("factor", 4)
    planes.check_slices(source, whole, options, preset.resolution // factor, preset.name)
