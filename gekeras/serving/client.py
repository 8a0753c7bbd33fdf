"""A client of served solvers: pictures' files to a server, PNGs back, by gRPC or REST. No network is loaded here."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

from ..config import named_options
from ..files import PathLike
from ..networks import CustomNetworks, presets
from ..networks.custom import preset_defaults
from . import calls
from .calls import BROKEN, DENIED, LATE, MISSING, PORTS, REFUSED, UNAVAILABLE, Access, CallError

TASKS = ("reconstruct", "denoise", "inpaint", "deblur", "superres")  # operators.TASKS, without its TensorFlow
MASKED = ("inpaint",)  # of them
DEADLINE, RETRIES, BATCH = 60.0, 3, 16  # a server takes 16 at once, unless its batching parameters were edited
WAIT, LONGEST_WAIT = 0.25, 8.0  # seconds before the second try, and before any
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


class Reply(NamedTuple):
    """A picture as a server restored it: a PNG's bytes, the objective, and the evaluations that were done."""

    image_bytes: bytes
    loss: float
    steps: int


class ServerError(ValueError):
    """What a server did not do; the message is one line that says what to do.

    Attributes:
        replies: of each picture of the call: what came back before, or None.
    """

    def __init__(self, message: str, replies: Sequence[Reply | None] = ()):
        super().__init__(" ".join(message.split()))
        self.replies = tuple(replies)


def _way(access: Access, rest: bool) -> calls.Way:
    if rest:
        from .rest import REST

        return REST(access)
    from .grpc import GRPC

    return GRPC(access)


class Client:
    """Of a server that has the models of `gekeras export --serving`.

    Args:
        address: HOST:PORT, by default of gRPC, which needs `pip install 'gekeras[serving]'`. No proxy is used.
        preset: that the models were exported from.
        rest: use REST, which needs nothing else.
        deadline: seconds for each batch, with all its tries.
        retries: after the first try where the server is not available (UNAVAILABLE, 503, a refused connection), each after
            about twice the time of the one before.
        tls: use TLS: True with the certificates that this machine trusts, or a file of those to trust (PEM).
        key: sent as `x-api-key` with every call; without TLS it can be read on the way.
        batch: pictures of a call at most.

    Raises:
        ValueError: an argument that is none of these, or gRPC without its package.

    Example:
        >>> from pathlib import Path
        >>> with Client("localhost:8501", rest=True) as client:  # doctest: +SKIP
        ...     (reply,) = client.solve("superres", [Path("small.png").read_bytes()])
    """

    def __init__(
        self,
        address: str,
        *,
        preset: str = presets.DEFAULT,
        rest: bool = False,
        deadline: float = DEADLINE,
        retries: int = RETRIES,
        tls: bool | PathLike = False,
        key: str | None = None,
        batch: int = BATCH,
    ):
        where = calls.parse_address(address, "REST" if rest else "gRPC")
        _check_name("preset", preset)
        calls.check_key(key)
        if not 0 < deadline < float("inf"):
            raise ValueError(f"deadline must be above 0 seconds; received {deadline}")
        if retries < 0 or batch < 1:
            raise ValueError(f"retries must be 0 or more, batch 1 or more; received {retries} and {batch}")
        self.address, self.preset = where, preset
        self.deadline, self.retries, self.batch = deadline, retries, batch
        access = Access(where, tls if isinstance(tls, bool) else Path(tls), key)
        self.way = _way(access, rest)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connection."""
        self.way.close()

    def model(self, task: str) -> str:
        """The name of the model that solves a task."""
        return f"{self.preset}-solver-{task}"

    def solve(
        self,
        task: str,
        pictures: Sequence[bytes],
        *,
        masks: Sequence[bytes] | None = None,
        seed: int = 0,
        steps: int | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Reply]:
        """Have pictures restored. When the server refuses a batch, its pictures are sent again, each by itself.

        Args:
            task: as it was exported.
            pictures: the bytes of PNG or JPEG files, of the size that the model takes.
            masks: for inpaint, of each picture: the bytes of a PNG, white where pixels are missing.
            seed: of the random starts of each picture, as a solve of it alone has it.
            steps: evaluations for z; None for the preset's own number, if the preset is installed here.
            names: of the pictures in messages; by default picture 1, picture 2, ...

        Returns:
            A reply for each picture, in their order.

        Raises:
            ServerError: the server was not reached, did not answer in time, has no such model, or refused pictures: these
                are named, and `replies` has the others.
            ValueError: an argument that is none, or steps that only the server knows.
        """
        rows = self._rows(task, pictures, masks, seed, steps)
        names = list(names or (f"picture {k + 1}" for k in range(len(rows))))
        if len(names) != len(rows):
            raise ValueError(f"names must be of each picture; received {len(names)} for {len(rows)}")
        found: list[Reply | str] = []
        try:
            for first in range(0, len(rows), self.batch):
                for answer in self._answers(task, rows[first : first + self.batch]):
                    found.append(answer)
        except CallError as error:
            raise ServerError(self._told(error, task), _restored(found, len(rows))) from error
        refused = [(name, answer) for name, answer in zip(names, found) if isinstance(answer, str)]
        if refused:
            raise ServerError(f"{self.address} refused {_listed(refused)}", _restored(found, len(rows)))
        return [answer for answer in found if not isinstance(answer, str)]

    def preset_steps(self, task: str) -> int:
        """The preset's own number of evaluations for z, by its record here.

        Raises:
            ValueError: a preset that is not installed here, or has no such task.
        """
        try:
            preset = presets.load(self.preset)
            preset.task_parameters(task)
        except presets.PresetError as error:
            raise ValueError(f"give steps, since the preset here does not tell them ({error})") from error
        defaults = preset_defaults(preset, task, CustomNetworks())
        return named_options("fast", {}, defaults, aided=preset.has(f"starter-{task}")).steps

    def _rows(self, task: str, pictures, masks, seed: int, steps: int | None) -> list[dict]:
        """The inputs of each picture. Raises ValueError as `solve`."""
        _check_name("task", task)
        if isinstance(pictures, (bytes, str)) or not all(isinstance(data, bytes) for data in (*pictures, *(masks or ()))):
            raise ValueError("pictures, and masks, must be a list of the bytes of files")
        if task in TASKS and (masks is not None) != (task in MASKED):
            raise ValueError(f"masks are for {', '.join(MASKED)}, which needs them; the task is {task}")
        if masks is not None and len(masks) != len(pictures):
            raise ValueError(f"a mask for each picture is needed; received {len(masks)} for {len(pictures)}")
        steps = self.preset_steps(task) if steps is None else steps
        numbers = {"seed": _whole("seed", seed), "steps": _whole("steps", steps)}
        rows = [{"image_bytes": picture, **numbers} for picture in pictures]
        for row, mask in zip(rows, masks or ()):
            row["mask_bytes"] = mask
        return rows

    def _answers(self, task: str, rows: list[dict]) -> Iterator[Reply | str]:
        """The reply to each, or why it was refused."""
        try:
            yield from self._predicted(task, rows)
        except CallError as error:
            if error.kind != REFUSED:
                raise
            if len(rows) == 1:
                yield error.text
            else:
                for row in rows:
                    yield from self._answers(task, [row])

    def _predicted(self, task: str, rows: list[dict]) -> list[Reply]:
        """Of a batch. Raises CallError."""
        inputs = {name: [row[name] for row in rows] for name in rows[0]}
        outputs = self._tried(self.model(task), inputs)
        try:
            columns = [outputs[name] for name in Reply._fields]
            replies = [Reply(bytes(data), float(loss), int(steps)) for data, loss, steps in zip(*columns)]
        except (KeyError, TypeError, ValueError) as error:
            raise CallError(calls.OTHER, f"an answer without {', '.join(Reply._fields)}") from error
        if {len(column) for column in columns} != {len(rows)}:
            raise CallError(calls.OTHER, f"an answer of {len(replies)} pictures to a request of {len(rows)}")
        return replies

    def _tried(self, model: str, inputs: dict[str, list]) -> dict[str, list]:
        """The outputs, at the first try or a later one. Raises CallError."""
        end = time.monotonic() + self.deadline
        tries = 0
        while True:
            tries += 1
            try:
                return self.way.predict(model, inputs, max(end - time.monotonic(), 0.001))
            except CallError as error:
                # With jitter, so that many clients of a server that comes back do not all come at once.
                wait = min(WAIT * 2 ** (tries - 1), LONGEST_WAIT) * random.uniform(0.5, 1.5)
                if error.kind != UNAVAILABLE:
                    raise
                if tries > self.retries or time.monotonic() + wait >= end:
                    raise CallError(UNAVAILABLE, f"{error.text}; {tries} {'try' if tries == 1 else 'tries'}") from error
            time.sleep(wait)

    def _told(self, error: CallError, task: str) -> str:
        """What to do about it."""
        server, way = self.address, self.way.name
        if error.kind in (UNAVAILABLE, BROKEN):
            other = "REST" if way == "gRPC" else "gRPC"
            ports = f"{way}'s port is {PORTS[way]} by default, {other}'s {PORTS[other]}"
            return f"{server} is not available ({error.text}): is the server running there, with or without TLS? {ports}"
        if error.kind == LATE:
            return (
                f"{server} did not answer within {self.deadline:g} s: give a longer deadline, fewer steps or a smaller batch"
            )
        if error.kind == DENIED:
            return f"{server} does not let this client in ({error.text}): give its key, or another one"
        if error.kind == MISSING:
            return f"{server} has no model {self.model(task)} ({error.text}); {self._models_there()}"
        return f"{server} gave no result by {way}: {error.text}"

    def _models_there(self) -> str:
        """A server tells of no models but those that it is asked for."""
        try:
            there = [task for task in TASKS if self.way.serves(self.model(task), self.deadline)]
        except CallError:
            return "it does not say what it has"
        if there:
            return f"of {self.preset} it solves {', '.join(there)}"
        return f"it solves nothing of {self.preset}: name the preset that was exported, or export this one"


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise ValueError(f"the {what} of a server is a name of letters, digits, dots, _ and -; received {name!r}")


def _whole(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= value < 2**31:
        raise ValueError(f"{name} must be a whole number from 0 to {2**31 - 1:,}; received {value!r}")
    return int(value)


def _restored(found: Sequence[Reply | str], count: int) -> list[Reply | None]:
    replies = [answer if isinstance(answer, Reply) else None for answer in found]
    return replies + [None] * (count - len(replies))


def _listed(refused: Sequence[tuple[str, str]]) -> str:
    """`a.png, b.png (why); c.png (why)`."""
    reasons: dict[str, list[str]] = {}
    for name, why in refused:
        reasons.setdefault(why, []).append(name)
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
