"""Compares two of h2spec's reports: nothing may fail in the first that passes in the second.

    compare.py OURS.xml OTHERS.xml
"""
import sys
import xml.etree.ElementTree as ET


def read_report(path):
    """Whether it passed, by section and title; None where it was skipped."""
    results = {}
    for case in ET.parse(path).iter('testcase'):
        name = f"{case.get('package')} {case.get('classname')}"
        while name in results:
            name += ', again'
        if case.find('skipped') is not None:
            results[name] = None
        else:
            results[name] = case.find('failure') is None and case.find('error') is None
    return results


def describe(name, results):
    values = list(results.values())
    return f'{name}: {values.count(True)} of {len(values)} pass, {values.count(False)} fail'


def main():
    ours, others = (read_report(path) for path in sys.argv[1:])
    for name, passed in sorted(ours.items()):
        if passed is False:
            print(f'pyenvd fails {name}; nghttpd {"passes" if others.get(name) else "too"}')
    print(describe('pyenvd', ours))
    print(describe('nghttpd', others))
    worse = [name for name, passed in others.items() if passed and not ours.get(name)]
    sys.exit(bool(worse) or not ours or ours.keys() != others.keys())


if __name__ == '__main__':
    main()
