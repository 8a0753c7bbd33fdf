"""Options of commands are the fields of options dataclasses: their defaults, bounds, choices and words are said once."""

import inspect
import json
import shutil
from pathlib import Path
from unittest.mock import ANY

import click
import pytest
from click.testing import CliRunner

from gekeras import config, operators
from gekeras.cli import cli
from gekeras.cli.options import FILE, OUTPUT, SOLVER, TASKS, Grouped, option_of
from gekeras.networks import presets

SOLVING = ["solve", "eval", "decode"]
TRAINING = {
    "gan": config.GANOptions,
    "began": config.BEGANOptions,
    "autoencoder": config.AutoencoderOptions,
    "starter": config.StarterOptions,
    "aegan": config.AEGANOptions,
}


def parameters(*path):
    command = cli
    for name in path:
        command = command.commands[name]
    return {parameter.name: parameter for parameter in command.params}


@pytest.mark.parametrize("name", SOLVING)
def test_a_solve_s_options_leave_the_fidelity_to_decide(name):
    known, settings = parameters(name), config.settings(config.SolveOptions)
    assert set(SOLVER) <= set(known)
    for field in SOLVER:
        assert known[field].default is None and known[field].help == settings[field].help
    assert set(settings) - set(known) == {"learning_rate", "patience"}  # in Python only


IN_PYTHON_ONLY = {
    "gan": {"beta_1", "beta_2", "gradient_penalty", "penalty_target", "drift", "r1_every"},
    "began": {"beta_1", "beta_2"},
    "autoencoder": set(),
    "starter": set(),
    "aegan": {"beta_1", "beta_2", "r1_every", "validate_every"},
}


@pytest.mark.parametrize("kind, options", TRAINING.items())
def test_a_training_s_options_are_those_of_its_dataclass(kind, options):
    known, defaults, settings = parameters("train", kind), options(), config.settings(options)
    assert set(settings) - set(known) == IN_PYTHON_ONLY[kind]
    for name in set(settings) & set(known):
        assert known[name].multiple or known[name].default == getattr(defaults, name), name
        assert known[name].help == settings[name].help or name == "stages", name  # the command has --kimg to mention


@pytest.mark.parametrize("name", ["solve", "eval"])
def test_every_option_has_its_heading(name):
    command = cli.commands[name]
    assert isinstance(command, Grouped)
    listed = [name for names in command.groups.values() for name in names]
    options = [p.name for p in command.params if isinstance(p, click.Option)]
    assert sorted(listed) == sorted(options)
    text = command.get_help(click.Context(command))
    assert text.index("Everyday:") < text.index("Networks of one's own:") < text.index("Solver:") < text.index("--help")


@pytest.mark.parametrize(
    "cls, name, text",
    [
        (config.GANOptions, "channels", "2"),
        (config.GANOptions, "average_decay", "1.5"),
        (config.BEGANOptions, "average_decay", "1"),
        (config.BEGANOptions, "learning_rate", "0"),
        (config.SolveOptions, "steps", "-1"),
        (config.SolveOptions, "prior", "l1"),
        (config.VolumeOptions, "axes", "0,x"),
    ],
)
def test_what_a_field_refuses_its_option_refuses(cls, name, text):
    command = click.Command("command", params=[])
    option_of(cls, name)(command)
    with pytest.raises(click.BadParameter):
        command.make_context("command", [f"--{name.replace('_', '-')}", text])


def refused(*arguments):
    """The one line on stderr of a command that must not be run."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="gekeras")
    assert result.exit_code == 2 and len(result.output.splitlines()) == 1, result.output
    return result.output


def test_a_missing_or_unknown_task_lists_the_tasks():
    known = "reconstruct, denoise, inpaint, deblur, superres"
    assert tuple(known.split(", ")) == TASKS == tuple(operators.TASKS)
    for command in (["solve", "a.png"], ["eval"], ["train", "autoencoder", "a"], ["train", "starter", "a"]):
        assert f"Missing option '--task'. It is one of {known}, or a task of one's own" in refused(*command)
    run = ["train", "autoencoder", "a", "--run", "r", "--generator", "g", "--task", "superes"]
    assert f"unknown task 'superes'; tasks are {known}, or one's own with --operator" in refused(*run)


def test_paths_that_are_something_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "--there").touch()
    options = [click.Option(["--run"], type=FILE), click.Option(["--output"], type=OUTPUT)]
    command = click.Command("command", params=[*options, click.Argument(["a"], type=FILE)])
    for arguments in (["--run", "--resume"], ["--run", "-"], ["--output", "-q"], ["--run", ""], [""]):
        with pytest.raises(
            click.BadParameter, match=r"looks like an option; write \./-|a path is needed|nothing is read from stdin"
        ):
            command.make_context("command", [*arguments, "a"])
    values = command.make_context("command", ["--run", "--there", "--output", "new.folder/", "--", "-a.png"]).params
    assert values == {"run": Path("--there"), "output": "new.folder/", "a": Path("-a.png")}


def make_preset(folder, **values):
    folder.mkdir(parents=True)
    info = {"resolution": 8, "channels": 3, "latent_size": 4, "tasks": {}, "checksums": {}, **values}
    (folder / "preset.json").write_text(json.dumps(info))
    return folder


def test_a_folder_of_presets_is_looked_into(tmp_path):
    """Before anything else: neither a folder that is none nor one without the default preset is passed over."""
    solve = ["solve", "a.png", "--task", "superres", "--models"]
    others = (["presets", "--models"], ["demo", "--models"], ["encode", "a.png", "-o", "b.npz", "--models"])
    make_preset(tmp_path / "own" / "mine")
    (tmp_path / "empty").mkdir()
    for name, says in (("gone", "no such folder"), ("empty", "no preset in"), ("own/mine", "is a preset itself")):
        for command in (solve, *others):
            line = refused(*command, tmp_path / name)
            assert line.startswith("gekeras: Invalid value for '--models': ") and says in line and name in line
        assert says in refused(*solve, tmp_path / name, "--preset", tmp_path / "own" / "mine")
    assert f"own has no {presets.DEFAULT}, the default; name one with --preset: mine" in refused(*solve, tmp_path / "own")
    assert "preset 'mine' has no task 'superres'" in refused(*solve, tmp_path / "own", "--preset", "mine")


def test_the_list_of_presets(tmp_path, monkeypatch):
    """Good ones on stdout whatever their neighbors are like; the others are told."""
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click before 8.2

    def run(*arguments):
        result = CliRunner(**apart).invoke(cli, ["presets", "--models", str(tmp_path), *arguments], prog_name="gekeras")
        return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()

    monkeypatch.setattr(presets, "_PACKAGE", tmp_path / "nowhere" / "gekeras")
    good = make_preset(tmp_path / "good", tasks={"superres": {}})
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "preset.json").write_text("{")
    make_preset(tmp_path / "odd", resolution="64")
    make_preset(tmp_path / "bare", description="a generator to come")
    assert run() == (2, ["bare: 8x8x3, a generator to come", "  no tasks yet", "good: 8x8x3", ANY], [ANY])
    for part in ("generator", "encoder-superres", "decoder-superres"):
        (good / part / "1").mkdir(parents=True)
        (good / part / "1" / "saved_model.pb").write_bytes(b"abc")
    code, out, err = run()
    assert code == 0 and out[2:] == ["good: 8x8x3", "  superres: no scores yet; no starter"]
    assert [line.split(": ")[1] for line in err] == ["bare", "damaged", "odd"]
    assert err[0].endswith("bare lacks generator") and "cannot be read" in err[1] and "resolution must be" in err[2]
    for name in ("damaged", "odd", "bare"):
        shutil.rmtree(tmp_path / name)
    code, out, err = run("--verify")
    assert code == 2 and err[0].startswith(
        f"gekeras: good: damaged in {good}: decoder-superres/1/saved_model.pb (not recorded), "
    )
    sums = {file.relative_to(good).as_posix(): presets.checksum(file) for file in presets.files_of_parts(good)}
    info = json.loads((good / "preset.json").read_text())
    (good / "preset.json").write_text(json.dumps({**info, "checksums": sums}))
    assert run("--verify") == (
        0,
        ["good: 8x8x3", "  superres: no scores yet; no starter", "  all 3 files are as recorded"],
        [],
    )
    (good / "generator" / "1" / "saved_model.pb").write_bytes(b"abd")
    assert run("--verify")[2] == [f"gekeras: good: damaged in {good}: generator/1/saved_model.pb (changed)"]
    assert run() == (0, out, [])


def test_a_preset_is_not_written_over_something_else(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"precious")
    (tmp_path / "about.json").write_text('{"tasks": {}}')
    for command in (["export", "photo.png", "--gan", "run"], ["import", "a.pth", "photo.png"]):
        arguments = [tmp_path / argument if "." in argument else argument for argument in command]
        assert "photo.png is not a folder" in refused(*arguments)
        arguments = [tmp_path / "new" if argument == "photo.png" else argument for argument in command]
        assert "about.json says tasks, which the parts" in refused(*arguments, "--about", tmp_path / "about.json")
        assert "none.json: cannot be read" in refused(*arguments, "--about", tmp_path / "none.json")
    assert (tmp_path / "photo.png").read_bytes() == b"precious"
    twice = ["--starter", "runs/a", "--starter", "runs/b", "--starter", "runs/a"]
    assert "--starter runs/a is given twice" in refused("export", tmp_path / "new", *twice)


def test_options_of_pictures_need_pictures():
    start = ["train", "starter", "--task", "superres", "--run", "r", "--generator", "g", "--autoencoder", "a"]
    line = refused(*start, "--memory", "--no-mirror", "--validation", 256, "--crop", 8)
    assert "without PICTURES all codes are of generated ones; leave out --memory, --validation, --mirror, --crop" in line


def test_an_estimate_is_of_one_device(tmp_path):
    line = refused("train", "gan", tmp_path, "--run", tmp_path / "run", "--dry-run", "--distribute", "mirrored")
    assert "--dry-run measures one device; leave out --distribute" in line
