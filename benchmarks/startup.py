"""Where the seconds until the first picture go: TensorFlow, the parts, compiling, and what is left once all is there.

    python benchmarks/startup.py --preset faces-64 --preset older/faces-64 --rounds 5

Each round is a process of its own, and presets take turns. The least of the rounds is shown, since what disturbs a process
only makes it slower.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import click

PHASES = ("import tensorflow", "import gekeras", "load the parts", "first solve", "second solve")


def once(preset: str, task: str) -> list[float]:
    """Seconds of each of `PHASES`, in this process."""
    marks = [time.perf_counter()]

    def done():
        marks.append(time.perf_counter())

    import tensorflow as tf

    done()
    import gekeras

    done()
    model = gekeras.GenerativeEncoder.from_preset(preset, task)
    done()
    observation = model.task.sample(tf.zeros((1, *model.shape)), (0, 0))[0].numpy()
    for _ in range(2):
        model.solve(observation)
        done()
    return [after - before for before, after in zip(marks, marks[1:])]


@click.command()
@click.option("--preset", "names", multiple=True, help="By default the one of the commands.")
@click.option("--task", default="superres", show_default=True, help="One without a mask.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--alone", is_flag=True, hidden=True)
def main(names, task, rounds, alone):
    if alone:
        click.echo(json.dumps(once(names[0], task)))
        return
    from gekeras.networks import presets  # not above: to import the package is one of the phases

    names = names or (presets.DEFAULT,)
    seconds = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            command = [sys.executable, __file__, "--preset", name, "--task", task, "--alone"]
            printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            seconds[name].append(json.loads(printed.splitlines()[-1]))
    click.echo(f"Seconds, task {task}, the least of {rounds} rounds.\n")
    click.echo("| preset | " + " | ".join(PHASES) + " |\n|---" + "|---" * len(PHASES) + "|")
    for name, rows in seconds.items():
        click.echo(f"| {name} | " + " | ".join(f"{min(column):.2f}" for column in zip(*rows)) + " |")


if __name__ == "__main__":
    main()
