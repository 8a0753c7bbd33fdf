"""One call's work, once its files and places have been checked: networks, blocks of slices, results, comparison."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..config import PictureOptions, SliceOptions, SolveOptions, VolumeOptions, to_dict
from ..evaluation.pipeline import BATCH
from ..generative_encoder import GenerativeEncoder
from ..networks import ModelOptions
from ..operators import Identity
from ..restore import effects, memory, paths, records
from . import blocks, figure, planes, scores, store, voxels
from .blocks import Slices
from .planes import Volume


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of `pipeline.restore`, checked."""

    source: Path
    networks: ModelOptions
    places: list[Path]
    options: SliceOptions
    cut: VolumeOptions
    methods: tuple[str, ...]
    fidelity: str
    changes: dict[str, Any]
    batch: int | None
    panel: Any
    panel_cut: Any


def restore(
    call: Call, whole: Volume, missing: np.ndarray | None, tell: Callable, progress: Callable
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Load, restore block by block, compare, write. The paths by method, and the record."""
    model = GenerativeEncoder.from_options(call.networks)
    options = model.options(call.fidelity, **call.changes)
    model.check(options)
    slices = _slices(call, model, options, whole, missing, tell)
    truth = slices.volume if call.options.simulate or isinstance(model.task.degrade, Identity) else None
    level = None if truth is None else scores.threshold(truth, call.options.threshold)
    if call.panel:
        figure.check(call.panel_cut, slices)
    names, table = _methods(call, model, options)
    with files.alone(call.places[0]):
        kept = store.Store(call.places[0], _key(call, model, options, table), _plan(call, slices, options))
        _restore_slices(kept, slices, table, options, tell, progress)
        volumes = {name: slices.volume.of(array) for name, array in kept.arrays.items()}
        found = _scores(truth, level, volumes, call.options, tell)
        if call.panel:
            figure.write(call.panel, call.panel_cut, slices, volumes, truth, level)
        record = _record(call, model, options, kept, slices, names, found)
        with files.together():
            for name, place in zip(names, call.places):
                store.write(place, kept.arrays[name], _grown(record["voxel"]))
            files.write_json(paths.record_path(call.places[0]), record)
        kept.remove()
    return dict(zip(names, call.places)), record


def _grown(voxel) -> voxels.Voxel | None:
    return None if voxel is None else tuple(voxel["size"])


def _slices(call: Call, model: GenerativeEncoder, options: SolveOptions, whole: Volume, missing, tell) -> Slices:
    """The part of the volume that is restored."""
    task, own = model.task, call.options
    size = model.image_shape[0]
    if not isinstance(task.factor, int):
        raise ValueError(f"task {task.name} enlarges by {task.factor}; slices are enlarged by whole numbers")
    pictures = PictureOptions(simulate=own.simulate, mask=own.mask)
    effects.check_parameters(task, call.networks, pictures, options)
    preset = call.networks.generators_preset()
    name = "the generator" if preset is None else preset.name
    side = size // (1 if own.simulate else task.factor)
    planes.check_slices(call.source, whole, own, side, name)
    window = whole.window(own.number, own, task.factor if own.simulate else 1)
    known = None if missing is None else whole.of(missing).window(own.number, own).values == 0
    sides = [n for k, n in enumerate(window.values.shape) if k != own.number]
    if window.values.shape != whole.values.shape:
        tell(f"{call.source.name}: {sides[0]}x{sides[1]} of each slice")
    if max(sides) > side:
        tell(f"{call.source.name}: slices of {sides[0]}x{sides[1]} in tiles of {side}x{side}")
    return Slices(model, window, own, options.seed, known, whole.values.shape)


def _methods(call: Call, model: GenerativeEncoder, options: SolveOptions) -> tuple[list[str], dict[str, Callable]]:
    """Names of the volumes that are written, and all that are made: where something was measured, that beside them."""
    names = list(call.methods or (blocks.GE[options.consistent],))
    seen = [] if isinstance(model.task.degrade, Identity) or "input" in names else ["input"]
    seen = seen if call.options.simulate or call.panel else []
    return names, blocks.of_names(model, options, call.networks.generators_preset(), [*names, *seen])


def _plan(call: Call, slices: Slices, options: SolveOptions) -> dict[str, int]:
    """Slices in a block, whole groups of a warm start, and tiles at once."""
    y, known, _, _ = slices.tiles([0])
    target = slices.model.target(y[:1], options, None if known is None else known[:1])
    at_once = memory.for_solve(slices.model, options, target, call.batch and call.batch * len(y)).size
    size, group = call.batch or BATCH, call.options.warm_start or 1
    return {"block": -(-size // group) * group, "at_once": at_once}


def _key(call: Call, model: GenerativeEncoder, options: SolveOptions, table: dict[str, Any]) -> dict[str, Any]:
    """All that the bytes of the results depend on, beside the plan."""
    own = [call.source, *([call.options.mask] if call.options.mask else [])]
    asked = _asked(call, model, options)
    kept = ("preset", "checksums", "networks", "task", "parameters", "forward", "options", "seed", "versions", "device")
    return {
        "inputs": [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in own],
        "cut": to_dict(call.cut),
        "slices": to_dict(replace(call.options, voxel=(), threshold=None, smallest_pore=1, mask=None)),
        "methods": list(table),
        **{name: asked.get(name) for name in kept},
    }


def _asked(call: Call, model: GenerativeEncoder, options: SolveOptions) -> dict[str, Any]:
    """As the records of pictures have it."""
    asked = records.asked(model, call.networks, PictureOptions(), call.fidelity, call.changes, options, options.seed)
    del asked["pictures"]
    return records.as_json(asked)


def _restore_slices(kept: store.Store, slices: Slices, table, options: SolveOptions, tell, progress) -> None:
    """Every slice that is not done yet, block by block."""
    axis, factor = slices.options.number, 1 if slices.options.simulate else slices.factor
    shape = tuple(n if k == axis else n * factor for k, n in enumerate(slices.volume.values.shape))
    kept.open(list(table), shape, slices.volume.dtype)
    total, size, done = shape[axis], kept.plan["block"], len(kept.slices)
    if done:
        tell(f"going on behind {done} of {total} slices")
    rounds = len(dict.fromkeys(table.values()))
    progress(done * rounds, total * rounds, "")
    for begin in range(done, total, size):
        indices, clock = range(begin, min(begin + size, total)), time.perf_counter()
        count, ticks = len(indices), itertools.count(1)

        def tick(name, begin=begin, count=count, ticks=ticks):
            progress(begin * rounds + next(ticks) * count, total * rounds, f", {name}")

        try:
            found, notes = blocks.restore(slices, indices, table, options, kept.plan["at_once"], tick)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(f"stopped behind {begin} of {total} slices; the same command goes on there") from stop
        for name, restored in found.items():
            np.moveaxis(kept.arrays[name], axis, 0)[begin : begin + count] = slices.volume.gray(restored)
        kept.commit(notes, time.perf_counter() - clock)


def _scores(
    truth: Volume | None, level: float | None, volumes: dict[str, Volume], options: SliceOptions, tell
) -> dict[str, Any]:
    """For the record: the threshold as a gray value, what the truth has, and the scores of each method."""
    if truth is None or level is None:
        return {"threshold": None, "truth": None, "scores": {}}
    room = int(memory.SHARE * memory.available())
    true = scores.of_truth(truth, level, options)
    found = {name: scores.of(true, truth, volume, level, options, room) for name, volume in volumes.items()}
    if any(each["pores"] is None for each in found.values()):
        tell(f"pores of the whole volumes are not counted: they do not fit in {room:,} bytes; those of the cuts are")
    side = -level if truth.negative else level
    return {"threshold": truth.low + (side + 1) / 2 * (truth.high - truth.low), "truth": true, "scores": found}


def _record(call: Call, model, options, kept: store.Store, slices: Slices, names: list[str], found) -> dict[str, Any]:
    """What the restoration is repeated by, and what came out."""
    axis, grown = call.options.number, 1 if call.options.simulate else model.task.factor
    read = voxels.given(call.options.voxel) or voxels.read(call.source)
    size = read and [side / (1 if k == axis else grown) for k, side in enumerate(read)]
    window, shape = slices.volume, kept.arrays[names[0]].shape
    solved = [note for note in kept.slices if note]
    return {
        "input": str(call.source),
        **_asked(call, model, options),
        "method": names[0],
        "methods": names,
        "volume": records.as_json(to_dict(call.options)),
        "cut": to_dict(call.cut),
        "levels": [window.low, window.high],
        "shape": list(shape),
        "dtype": str(kept.arrays[names[0]].dtype),
        "voxel": size and {"size": size, "unit": "um"},
        "slices": len(kept.slices),
        "block": kept.plan["block"],
        "batch": kept.plan["at_once"],
        "loss": float(np.mean([note["loss"] for note in solved])) if solved else None,
        "losses": [note["loss"] for note in solved],
        "steps": [note["steps"] for note in solved],
        "seconds": kept.seconds,
        **found,
    }
