"""usage: pipeline.py --output DIRECTORY --count N --trace DIRECTORY OPTION...

A Beam pipeline. What it does with a number needs a package, a file of an archive and a Python
file. The options are Beam's.
"""
import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions


class Tell(beam.DoFn):
    def __init__(self, trace):
        self.trace = trace

    def process(self, number):
        """Leaves a trace, and waits as long as it is told to. What it needs it imports itself:
        neither pool gives workers the main module."""
        import json
        import os
        import pathlib
        import time

        import numpy
        import words

        pathlib.Path(self.trace, str(os.getpid())).touch()
        while pathlib.Path(self.trace, 'hold').exists():
            time.sleep(0.01)
        weights = json.loads(pathlib.Path('model/weights.json').read_text(encoding='utf-8'))
        value = numpy.dot(weights, [number, number ** 2, 1])
        yield number % 3, f'{number} {value} {words.spell(number)}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--output', required=True)
    parser.add_argument('--count', type=int, required=True)
    parser.add_argument('--trace', required=True)
    own, options = parser.parse_known_args()
    with beam.Pipeline(options=PipelineOptions(options)) as pipeline:
        _ = (pipeline
             | beam.Create(range(own.count))
             | beam.ParDo(Tell(own.trace))
             | beam.GroupByKey()
             | beam.FlatMap(lambda pair: sorted(pair[1]))
             | beam.io.WriteToText(f'{own.output}/part'))


if __name__ == '__main__':
    main()
