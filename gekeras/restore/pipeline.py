"""`gekeras.restore.files`: from picture files to restored files.

Everything that can be refused is refused before anything is solved, and nothing is written before everything is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..config import PictureOptions
from ..files import PathLike
from ..networks import ModelOptions
from . import effects, paths


@dataclass(frozen=True, eq=False)
class Result:
    """One input restored and written.

    Attributes:
        path: of the picture; its record lies beside it, as .json.
        image: the picture `[h, w, c]` in [-1, 1], before it was rounded to 8 bits.
        record: options, seed, versions, loss, steps, seconds, scores where the truth is known.
    """

    path: Path
    image: np.ndarray
    record: dict[str, Any]

    def summary(self) -> str:
        """`out.png: loss 1.2 after 100 steps, 8.1 s, MSE 0.04, PSNR 19.4 dB, SSIM 0.62 (bicubic: 0.03, 20.8 dB, 0.65)`."""
        record = self.record
        outcome = f"loss {record['loss']:.3f} after {record['steps']} steps" if record["method"] == "GE" else "decoder alone"
        text = f"{self.path}: {outcome}, {record['seconds']:.1f} s"
        if found := record.get("uncertainty"):
            text += f", confidence {found['confidence']:.2f} from {found['samples']} samples"
        for name, form in (
            ("metrics", ", MSE {mse:.4f}, PSNR {psnr:.2f} dB, SSIM {ssim:.3f}"),
            ("bicubic", " (bicubic: {mse:.4f}, {psnr:.2f} dB, {ssim:.3f})"),
            ("observation", " (observation: {mse:.4f}, {psnr:.2f} dB, {ssim:.3f})"),
        ):
            text += form.format(**record[name]) if name in record else ""
        return text


def files(
    inputs: Sequence[PathLike],
    model: str | ModelOptions,
    *,
    pictures: PictureOptions = PictureOptions(),  # noqa: B008 (frozen)
    outputs: paths.Outputs = paths.Outputs(),  # noqa: B008 (frozen)
    fidelity: str = "fast",
    changes: Mapping[str, Any] | None = None,
    preview: bool = False,
    samples: int | None = None,
    batch: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> list[Result]:
    """Restore picture files: what `gekeras solve` does. Several are solved together.

    Args:
        inputs: picture files.
        model: a task of the default preset, as "superres", or which networks and task.
        pictures: how the files are cut, degraded and compared.
        outputs: where results go.
        fidelity, changes: name of a set of solve options, and fields of `SolveOptions` over it; None changes nothing.
        preview: the autoencoder's own picture, at once, without solving.
        samples: solves of each input for its uncertainty; None: one, and nothing is said of it.
        batch: pieces at once; None: what the memory holds.
        tell: called with lines for the user: what was cut from a file, how many pieces are solved at once.
        progress: called with (steps done, steps in all, mean objective).

    Returns:
        A result for each input, in their order; none for a photograph that `pictures.skip_faceless` left out.

    Raises:
        ValueError: an unknown preset, task or option, an input or a place as `paths.plan` refuses it, a picture as
            `pictures.observations.observe` does, or options that contradict each other.

    Example:
        >>> import gekeras
        >>> gekeras.restore.files(["small.png"], "superres", fidelity="best")  # doctest: +SKIP
    """
    if isinstance(inputs, str) or not inputs:
        raise ValueError(f"inputs must be one picture file or more, in a list; received {inputs!r}")
    model = (ModelOptions(model) if isinstance(model, str) else model).loaded()
    effects.check_call(model, outputs, fidelity, changes or {}, preview=preview, samples=samples)
    sources = [Path(path) for path in inputs]
    places = paths.plan(sources, pictures, outputs, several=samples is not None)
    effects.check_sizes(sources, model, pictures)

    from . import job  # TensorFlow, which takes seconds

    restored = job.restore(
        sources,
        places,
        model,
        pictures,
        fidelity,
        changes or {},
        preview=preview,
        samples=samples,
        batch=batch,
        tell=tell,
        progress=progress,
    )
    return [Result(path, each.image, record) for path, each, record in restored]
