"""The Flink job of these tests: numbers, through a Python function that needs an environment.

It needs numpy out of an archive, a model out of another (by a relative name), a Python file and
a package of a requirements file. The lines are written by Flink, when all went well; where
they were made, each worker writes into a file of the trace directory by itself: a line of JSON
for each record. Workers stop at their first records as long as there is a file "hold" in it.
"""
import argparse
import json
import os
import sys
import time

from pyflink.common import Encoder, Types, WatermarkStrategy
from pyflink.datastream import MapFunction, StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSink
from pyflink.datastream.connectors.number_seq import NumberSequenceSource


class Work(MapFunction):
    def __init__(self, trace):
        self.trace = trace

    def open(self, runtime_context):
        import greeting
        import numpy
        import words
        self.numpy = numpy
        self.words = words
        self.greeting = greeting
        with open('model/weights.json', encoding='utf-8') as file:
            self.weights = numpy.array(json.load(file))

    def tell(self, number):
        where = {'number': number, 'time': time.time(), 'pid': os.getpid(),
                 'executable': sys.executable, 'cwd': os.getcwd(), 'numpy': self.numpy.__file__,
                 'words': self.words.__file__, 'greeting': self.greeting.__file__}
        with open(f'{self.trace}/{os.getpid()}', 'a', encoding='utf-8') as file:
            file.write(json.dumps(where) + '\n')

    def map(self, value):
        self.tell(value)
        while os.path.exists(f'{self.trace}/hold'):
            time.sleep(0.02)
        score = int(self.numpy.dot(self.weights, [value, value * value, 1]))
        return f'{value} {score} {self.words.spell(value)} {self.greeting.VERSION}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--count', type=int)
    parser.add_argument('--trace')
    parser.add_argument('--output')
    arguments = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    # Each subtask has numbers of its own, and fails alone.
    numbers = env.from_source(NumberSequenceSource(0, arguments.count - 1),
                              WatermarkStrategy.no_watermarks(), 'numbers', Types.LONG())
    lines = numbers.map(Work(arguments.trace), output_type=Types.STRING())
    lines.sink_to(FileSink.for_row_format(arguments.output,
                                          Encoder.simple_string_encoder()).build())
    env.execute('pyenvd')


if __name__ == '__main__':
    main()
