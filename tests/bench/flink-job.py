"""The Flink job of tests/bench/flink: numbers, through a function that needs numpy.

Each worker writes the time of its first record into a file of its own in the trace directory,
and stays with it as long as there is a file "hold" there.
"""
import os
import sys
import time

from pyflink.common import Types, WatermarkStrategy
from pyflink.datastream import MapFunction, StreamExecutionEnvironment
from pyflink.datastream.connectors.number_seq import NumberSequenceSource


class Work(MapFunction):
    def __init__(self, trace):
        self.trace = trace

    def open(self, runtime_context):
        import numpy
        self.numpy = numpy
        self.is_first = True

    def map(self, value):
        if self.is_first:
            self.is_first = False
            path = f'{self.trace}/new-{os.getpid()}'
            with open(path, 'w', encoding='utf-8') as file:
                file.write(str(time.time()))
            os.rename(path, f'{self.trace}/{os.getpid()}')
        while os.path.exists(f'{self.trace}/hold'):
            time.sleep(0.02)
        return int(self.numpy.square(value))


def main():
    trace, parallelism = sys.argv[1:]
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(int(parallelism))
    numbers = env.from_source(NumberSequenceSource(0, 99), WatermarkStrategy.no_watermarks(),
                              'numbers', Types.LONG())
    numbers.map(Work(trace), output_type=Types.LONG()).print()
    env.execute('bench')


if __name__ == '__main__':
    main()
