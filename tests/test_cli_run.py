"""What training commands share: options from a file, from the run folder, and a schedule that is only measured."""

import json

import pytest
from click.testing import CliRunner

from gekeras.cli import cli
from gekeras.config import GANOptions, Stage
from gekeras.training import gan

SMALL = {"resolution": 8, "latent-size": 8, "fmap_base": 64, "fmap-max": 4, "loss": "nonsaturating", "batch": 8}
TYPED = [str(text) for name, value in SMALL.items() for text in (f"--{name.replace('_', '-')}", value)]


@pytest.fixture
def trained(monkeypatch):
    """What `gan.train` was called with: a list of (options, number of pictures, folder, keywords); nothing is trained."""
    calls = []

    def train(options, items, folder, **keywords):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "arguments.json").write_text(json.dumps(keywords["limits"].arguments))
        calls.append((options, len(items), folder, keywords))
        return 0

    monkeypatch.setattr(gan, "train", train)
    return calls


def run(*arguments):
    return CliRunner().invoke(cli, ["train", "gan", *map(str, arguments)], prog_name="gekeras")


def succeed(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output


def refused(*arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.output.splitlines()
    return line


def written(path, values):
    import yaml

    path.write_text(json.dumps(values) if path.suffix == ".json" else yaml.safe_dump(values))
    return path


@pytest.mark.parametrize("name", ["options.json", "options.yaml", "options.yml"])
def test_a_file_gives_what_typing_gives(tmp_path, pictures, trained, name):
    """By the options' names, with either dash; what repeats is a list, and a pair of numbers is text."""
    more = {"stage": ["4:0:16", "8:16:16"], "learning-rate-at": ["8:0.002"], "mirror": False, "pictures": [str(pictures)]}
    succeed("--config", written(tmp_path / name, {**SMALL, **more}), "--run", tmp_path / "run")
    lists = ["--stage", "4:0:16", "--stage", "8:16:16", "--learning-rate-at", "8:0.002", "--no-mirror"]
    succeed(pictures, *TYPED, *lists, "--run", tmp_path / "run")
    (filed, count, *_), (typed, other, *_) = trained
    assert filed == typed and count == other == 24
    assert filed.stages == (Stage(4, 0, 16), Stage(8, 16, 16)) and filed.learning_rates == ((8, 0.002),) and not filed.mirror


def test_a_file_may_name_the_other_side_of_a_switch_and_one_value_of_a_list(tmp_path, pictures, trained):
    for values in ({"no-mirror": True}, {"no_mirror": False}, {"mirror": False}):
        file = written(tmp_path / "options.json", {**SMALL, **values, "pictures": str(pictures), "batch-at": "8:4"})
        succeed("--config", file, "--run", tmp_path / "run")
    assert [call[0].mirror for call in trained] == [False, True, False]
    assert all(call[0].batch_sizes == ((8, 4),) and call[1] == 24 for call in trained)
    (tmp_path / "twice.json").write_text('{"seed": 1, "seed": 2}')
    assert "seed is there twice" in refused(pictures, "--config", tmp_path / "twice.json", "--run", tmp_path / "run")


def test_what_is_typed_wins_over_the_file(tmp_path, pictures, trained):
    file = written(tmp_path / "options.yaml", {**SMALL, "seed": 5, "average_decay": 0.9})
    succeed(pictures, "--config", file, "--run", tmp_path / "run", "--seed", 6)
    ((options, *_),) = trained
    assert (options.seed, options.average_decay, options.latent_size) == (6, 0.9, 8)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "cannot be read"),
        ("[1, 2]", "holds no options"),
        ("nonsense: 3", "gan has no option nonsense"),
        ("resume: true", "gan has no option resume"),
        ("config: other.yaml", "gan has no option config"),
        ("resolution: big", "'big' is not a valid integer"),
        ("seed: -4", "-4 is not in the range"),
        ("seed:", "seed needs a value, and has null"),
        ("no-mirror: 1", "no-mirror needs true or false, and has 1"),
        ("seed: 1\nseed: 2", "cannot be read: seed is there twice"),
        ("fmap-base: 64\nfmap_base: 32", "has --fmap-base twice"),
        ("mirror: true\nno-mirror: true", "has --mirror twice"),
        ("loss: hinge", "'hinge' is not one of"),
        ("stage: [8:16]", "a stage is RESOLUTION:FADE:STABLE"),
        ("a: !!python/object/apply:os.getcwd []", "cannot be read"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, pictures, trained, text, message):
    """As typed values are; nothing is trained and no folder made."""
    (tmp_path / "options.yaml").write_text(text)
    assert message in refused(pictures, "--config", tmp_path / "options.yaml", "--run", tmp_path / "run")
    assert not trained and not (tmp_path / "run").exists()


def test_a_file_that_is_not_there_is_refused(tmp_path, pictures, trained):
    assert "cannot be read" in refused(pictures, "--config", tmp_path / "none.json", "--run", tmp_path / "run")


def test_a_run_goes_on_by_its_name(tmp_path, pictures, trained, monkeypatch):
    """From any directory, with the pictures and options it had; what is typed beside wins, and is kept the next time."""
    monkeypatch.chdir(pictures.parent)
    succeed(pictures.name, *TYPED, "--run", tmp_path / "run", "--stage", "4:0:16", "--stage", "8:16:16", "--turn", "--quiet")
    monkeypatch.chdir(tmp_path)
    succeed("--run", "run", "--resume")
    succeed("--run", "run", "--resume", "--seed", 7, "--minutes", 3)
    succeed("--run", "run", "--resume")
    options = [call[0] for call in trained]
    assert options[1] == options[0] and options[2].seed == 7 and options[3] == options[2]
    assert [call[1] for call in trained] == [24] * 4
    limits = [call[3]["limits"] for call in trained]
    assert [one.quiet for one in limits] == [True, False, False, False]  # not a matter of the run
    assert [one.minutes for one in limits] == [0, 0, 3, 3]


def test_resume_needs_a_run_that_was_started(tmp_path, trained):
    assert "--resume needs --run" in refused("--resume")
    assert "has no arguments.json" in refused("--resume", "--run", tmp_path)
    (tmp_path / "arguments.json").write_text("{")
    assert "cannot be read" in refused("--resume", "--run", tmp_path)
    assert not trained


def test_pictures_are_needed(tmp_path, trained):
    assert "Missing argument" in refused("--run", tmp_path / "run", *TYPED)


def test_kimg_scales_the_original_s_schedule(tmp_path, pictures, trained):
    succeed(pictures, *TYPED, "--run", tmp_path / "run", "--kimg", 0.5)
    ((options, *_),) = trained
    assert options.stages == (Stage(4, 0, 500), Stage(8, 500, 500))
    assert GANOptions(resolution=8).stages == (Stage(4, 0, 600_000), Stage(8, 600_000, 600_000))
    both = refused(pictures, *TYPED, "--run", tmp_path / "run", "--kimg", 1, "--stage", "8:0:16")
    assert "leave out --stage" in both


@pytest.mark.parametrize("option", ["--batch-at", "--learning-rate-at"])
def test_a_value_at_a_resolution_is_a_pair(tmp_path, pictures, trained, option):
    for text in ("8", "8:", "x:1", "8:1:2"):
        assert "expected RESOLUTION:VALUE" in refused(pictures, *TYPED, "--run", tmp_path / "run", option, text)


def test_a_dry_run_prints_the_schedule_and_writes_nothing(tmp_path, pictures, trained):
    stages = ["--stage", "4:0:16000", "--stage", "8:8000:24000", "--batch-at", "8:4"]
    result = run(pictures, *TYPED, *stages, "--run", tmp_path / "run", "--dry-run")
    assert result.exit_code == 0, result.output
    header, four, eight, total = result.output.splitlines()
    assert header.split()[:5] == ["resolution", "fade", "stable", "batch", "rate"]
    assert four.split()[:5] == ["4", "0", "16,000", "8", "0.001"]
    assert eight.split()[:5] == ["8", "8,000", "24,000", "4", "0.001"]
    assert float(eight.split()[5]) > 0
    assert total.startswith("48,000 images in all: about ") and total.endswith(" on this machine")
    assert not trained and not (tmp_path / "run").exists()


def test_pairs_in_yaml_need_no_quotes(tmp_path, pictures, trained):
    """YAML 1.1 reads 8:16 as 496, a number of base 60."""
    text = "\n".join(f"{name}: {value}" for name, value in SMALL.items())
    path = tmp_path / "options.yaml"
    path.write_text(
        f"{text}\nbatch-at: [8:16]\nlearning-rate-at: [8:0.002]\nstage: [4:0:16, 8:16:16]\npictures: [{pictures}]\n"
    )
    succeed("--config", path, "--run", tmp_path / "run")
    options = trained[0][0]
    assert options.batch_sizes == ((8, 16),) and options.learning_rates == ((8, 0.002),)
    assert options.stages == (Stage(4, 0, 16), Stage(8, 16, 16))


def test_a_file_s_pictures_are_found_from_anywhere(tmp_path, pictures, trained, monkeypatch):
    monkeypatch.chdir(pictures.parent)
    path = written(tmp_path / "options.json", {**SMALL, "pictures": [pictures.name]})
    succeed("--config", path, "--run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    succeed("--run", tmp_path / "run", "--resume")
    assert trained[0][1] == trained[1][1] > 0


@pytest.mark.parametrize("resolution", [0, 2, 12, 2048])
def test_a_resolution_that_is_none(tmp_path, pictures, trained, resolution):
    assert "power of two from 4 to 1024" in refused(pictures, "--run", tmp_path / "run", "--resolution", resolution)


def test_a_folder_that_cannot_be_made_is_told(tmp_path, pictures):
    """By one line that names it, not by a traceback."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "gan", str(pictures), *TYPED, "--run", str(tmp_path / ("x" * 300))], prog_name="gekeras")
    assert stopped.value.code == 2
