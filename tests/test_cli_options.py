"""Options of commands are the fields of options dataclasses: their defaults, bounds, choices and words are said once."""

import click
import pytest

from gekeras import config
from gekeras.cli import cli
from gekeras.cli.options import SOLVER, Grouped, option_of

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
