"""What is installed and whether pictures can be restored with it: versions, devices, presets; `gekeras doctor` prints it.

Whatever is broken is told, never raised. What takes long or can end a process, importing TensorFlow, is done in another one.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._version import __version__
from ..files import PathLike
from ..messages import plain
from . import presets

PROJECT = "gekeras"
# What solving needs, by the names of packages and of what they import as, TensorFlow last: it takes the longest.
NEEDED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "tifffile": "tifffile",
    "matplotlib": "matplotlib",
    "pyyaml": "yaml",
    "click": "click",
    "tensorflow": "tensorflow",
    "keras": "keras",
}
EXTRAS = {
    "serving": ("tensorflow-serving-api",),
    "serve": ("starlette", "uvicorn"),
    "beam": ("apache-beam", "google-crc32c"),
    "identity": ("onnxruntime",),
    "addons": ("tensorflow-addons",),
    "gan": ("tensorflow-gan", "tensorflow-probability", "tf-keras"),
}
CLASSIC = ("addons", "gan")  # which exist for TensorFlow 2.15 alone, and that for Python up to 3.11
SECONDS = 300
MARK = "gekeras doctor: "
PROBE = f"""
import sys
sys.path[:] = sys.argv[2:]
import importlib, json
def tell(**facts): print({MARK!r} + json.dumps(facts), flush=True)
for name in sys.argv[1].split(","):
    tell(importing=name)
    try:
        module = importlib.import_module(name)
        gpus = [g.name for g in module.config.list_physical_devices("GPU")] if name == "tensorflow" else None
        tell(imported=name, gpus=gpus)
    except BaseException as error:
        tell(failed=name, why=f"{{type(error).__name__}}: {{error}}")
"""


def examine(models: PathLike | None = None) -> dict[str, Any]:
    """All that `gekeras doctor` tells, as JSON has it.

    Args:
        models: folder of presets to look in first.

    Returns:
        gekeras, python, executable, line ("classic" or "current"); versions (package -> version or None); devices (cpus,
        gpus); presets (looked_in, found); extras (name -> packages, ready, possible, mend); notes (texts); problems (what,
        mend), empty if pictures can be restored.
    """
    wanted, versions = _wanted(), {name: _version(name) for name in NEEDED}
    gpus, import_faults = _imports(modules=list(NEEDED.values()))
    looked_in, found, preset_faults = _presets(models)
    unfit = _unfit(wanted)
    extras = {name: _extra(name, wanted) for name in EXTRAS}
    told = {package for extra in extras.values() for package in extra["packages"]} | set(NEEDED)
    notes = [problem["what"] for name, problem in unfit.items() if name not in told]
    if not wanted:
        notes.append("gekeras is not installed as a package here: which versions fit was not checked")
    if found and presets.DEFAULT not in [preset["name"] for preset in found]:
        notes.append(f"there is no {presets.DEFAULT}, which commands take where no preset is named")
    return {
        "gekeras": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "line": "classic" if _is_classic() else "current",
        "versions": versions,
        "devices": {"cpus": _cpus(), "gpus": gpus},
        "presets": {"looked_in": looked_in, "found": found},
        "extras": extras,
        "notes": notes,
        "problems": [*(unfit[name] for name in NEEDED if name in unfit), *import_faults, *preset_faults],
    }


def _problem(what: str, mend: str) -> dict[str, str]:
    return {"what": plain(what), "mend": mend}


def _is_classic() -> bool:
    return sys.version_info < (3, 12)


def _cpus() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ------------------------------------------------------------------------------------------------------------ versions


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except Exception:  # not installed, or its record is damaged
        return None


def _wanted() -> dict[str, Any]:
    """Package -> what gekeras, as it is installed, asks of it on this Python, its extras included; nothing if not known."""
    try:
        from packaging.requirements import Requirement  # comes with scikit-image

        every = [Requirement(text) for text in importlib.metadata.requires(PROJECT) or ()]
    except Exception:
        return {}
    tags = ("", *EXTRAS)
    fitting = (r for r in every if r.marker is None or any(r.marker.evaluate({"extra": tag}) for tag in tags))
    return {requirement.name.lower(): requirement for requirement in fitting}


def _asked(name: str, wanted: dict[str, Any]) -> str:
    return f"{name}{wanted[name].specifier}" if name in wanted else name


def _fits(name: str, wanted: dict[str, Any]) -> bool:
    version = _version(name)
    return version is not None and (name not in wanted or wanted[name].specifier.contains(version, prereleases=True))


def _pip(*arguments: str) -> str:
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def _unfit(wanted: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Package -> what is wrong with its version, of all that gekeras needs and of what it asks for beside its extras."""
    of_extras = {package for packages in EXTRAS.values() for package in packages}
    found = {}
    for name in [*NEEDED, *(name for name in wanted if name not in NEEDED and name not in of_extras)]:
        if not _fits(name, wanted):
            here, python = _version(name), ".".join(map(str, sys.version_info[:2]))
            state = f"{name} {here} is installed" if here else f"{name} is not installed"
            what = f"{state}; gekeras {__version__} with Python {python} needs {_asked(name, wanted)}"
            found[name] = _problem(what, _pip(_asked(name, wanted)))
    return found


def _extra(name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Versions of an extra's packages, whether they fit, and the command that installs what does not ("" for none)."""
    packages = {package: _version(package) for package in EXTRAS[name]}
    lacking = [package for package in packages if not _fits(package, wanted)]
    possible = _is_classic() or name not in CLASSIC
    mend = _pip(*(_asked(package, wanted) for package in lacking)) if lacking and possible else ""
    return {"packages": packages, "ready": not lacking, "possible": possible, "mend": mend}


# ------------------------------------------------------------------------------------------------------------- imports


def _imports(modules: list[str]) -> tuple[list[str], list[dict[str, str]]]:
    """GPUs that TensorFlow sees, and what is wrong with modules that do not import."""
    command = [sys.executable, "-c", PROBE, ",".join(modules), *sys.path]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        what = f"importing TensorFlow has not ended after {SECONDS} seconds"
        return [], [_problem(what, "try again; a network drive, or a scanner of files, may have made it slow")]
    except OSError as error:
        return [], [_problem(f"{sys.executable} does not start: {error}", "install Python anew")]
    facts = [json.loads(line[len(MARK) :]) for line in ended.stdout.splitlines() if line.startswith(MARK)]
    gpus: list[str] = next((fact["gpus"] for fact in facts if fact.get("imported") == "tensorflow"), [])
    failed = {fact["why"]: fact["failed"] for fact in reversed(facts) if "failed" in fact}  # the first of one reason
    faults = [_import_fault(module, why) for why, module in reversed(failed.items())]
    if ended.returncode and facts and "importing" in facts[-1]:
        faults.append(_import_fault(facts[-1]["importing"], _end(ended.returncode)))
    elif ended.returncode and not facts:
        faults.append(
            _problem(f"Python does not start: {_end(ended.returncode)}; {ended.stderr[-200:]}", "install Python anew")
        )
    return gpus, faults


def _end(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = ": this build needs instructions that the processor lacks" if name == "SIGILL" else ""
        return f"it ended Python by {name}{hint}"
    return f"it ended Python with code {code}"


def _import_fault(module: str, why: str) -> dict[str, str]:
    package = next((package for package, name in NEEDED.items() if name == module), module)
    return _problem(f"{package} does not import: {plain(why)[:300]}", _reinstall(package))


def _reinstall(package: str) -> str:
    return _pip("--force-reinstall", _asked(package, _wanted()))


# ------------------------------------------------------------------------------------------------------------- presets


def _presets(models: PathLike | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, str]]]:
    """Where they were looked for, what was found there, and what is wrong with it."""
    try:
        places = presets.places(models)
        folders = presets.available(models)
    except (presets.PresetError, OSError) as error:
        return [], [], [_problem(str(error), f"name a folder that holds presets by --models or ${presets.ENVIRONMENT}")]
    looked_in = [{"folder": str(place), "there": place.is_dir()} for place in places]
    if not folders:
        what = f"no preset is found; looked in {', '.join(map(str, places))}"
        return looked_in, [], [_problem(what, _restored(places[-1]))]
    found = [_of_preset(folder) for folder in folders.values()]
    faults = [_problem(f"preset {p['name']}: {p['fault']}", _restored(Path(p["folder"]))) for p in found if p["fault"]]
    return looked_in, found, faults


def _of_preset(folder: Path) -> dict[str, Any]:
    """Name, folder, tasks, how many files are as recorded, and what is wrong, "" if nothing is."""
    about = {"name": folder.name, "folder": str(folder), "tasks": [], "files": 0, "fault": ""}
    try:
        preset = presets.read(folder)
        damaged, missing = preset.damaged(), preset.missing()
    except (presets.PresetError, OSError, ValueError) as error:
        return {**about, "fault": plain(str(error))}
    whole = len(set(preset.info["checksums"]) - set(damaged))
    faults = [f"{name} ({what})" for name, what in damaged.items()] or [f"{name} (missing)" for name in missing]
    return {**about, "tasks": list(preset.tasks), "files": whole, "fault": _listed(faults)}


def _listed(faults: Iterable[str], most: int = 6) -> str:
    faults = list(faults)
    more = f", and {len(faults) - most} more" if len(faults) > most else ""
    return f"not as recorded: {', '.join(faults[:most])}{more}" if faults else ""


def _restored(folder: Path) -> str:
    """How the files of a preset, or all presets, come back: from git in a checkout, from the package where it is one's."""
    package = Path(__file__).resolve().parents[1]
    if folder.resolve().is_relative_to(package.parent / "saved_models") and (package.parent / ".git").exists():
        return shlex.join(["git", "-C", str(package.parent), "checkout", "--", str(folder.resolve())])
    own = any(folder.resolve().is_relative_to(place / "saved_models") for place in (package, package.parent))
    if own:
        return _pip("--force-reinstall", "--no-deps", _origin())
    return f"copy {folder} anew from where it came, or write it anew by gekeras export or import"


def _origin() -> str:
    """What this package was installed from, as pip records it."""
    try:
        record = importlib.metadata.distribution(PROJECT).read_text("direct_url.json")
        return str(json.loads(record or "")["url"])
    except Exception:  # from an index, or not by pip
        return f"{PROJECT}=={__version__}"
