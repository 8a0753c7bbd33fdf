"""Restore the pictures of folders, tar shards and TFRecord shards by a pipeline of Apache Beam, on any of its runners.

    python docs/examples/beam_folder.py PLACE... --output FOLDER [--task superres] [--preset faces-64] [RUNNER'S OPTIONS]

FOLDER gets NAME.png and NAME.json of each picture; a second run goes on where the first one ended. The runner's options are
Beam's, as `--direct_num_workers 2 --direct_running_mode multi_processing`.
"""

import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from gekeras.beam import Pictures, Restore, counts
from gekeras.networks.presets import DEFAULT


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="+")
    parser.add_argument("--output", required=True)
    parser.add_argument("--task", default="superres")
    parser.add_argument("--preset", default=DEFAULT)
    parser.add_argument("--models")
    parser.add_argument("--fidelity", default="fast")
    parser.add_argument("--batch-size", type=int, default=8)
    ours, theirs = parser.parse_known_args()

    options = {"models": ours.models, "fidelity": ours.fidelity, "batch_size": ours.batch_size}
    pipeline = beam.Pipeline(options=PipelineOptions(theirs))
    found = pipeline | Pictures(*ours.places) | Restore(ours.task, ours.preset, output=ours.output, **options)
    found.refused | beam.Map(lambda refusal: print(": ".join(refusal)))
    result = pipeline.run()
    result.wait_until_finish()
    print("{restored} restored, {skipped} finished before, {refused} refused, {left_out} left out".format(**counts(result)))


if __name__ == "__main__":
    main()
