#!/usr/bin/env python3
"""usage: pip-reads.py ORIGINAL COPY
Whether pip's own reader finds the same in both requirements files, and in what they include:
requirements, constraints, their options, indexes and the rest. Says what differs, and fails.
pip is the one that can be imported, else the one that ensurepip brings along."""
import glob
import os
import sys

try:
    import pip  # noqa: F401
except ImportError:
    import ensurepip
    folders = [os.path.join(os.path.dirname(ensurepip.__file__), '_bundled'),
               '/usr/share/python-wheels']
    sys.path[:0] = [wheel for folder in folders
                    for wheel in glob.glob(os.path.join(folder, 'pip-*.whl'))]

from optparse import Values
from pip._internal.index.collector import LinkCollector
from pip._internal.index.package_finder import PackageFinder
from pip._internal.models.search_scope import SearchScope
from pip._internal.models.selection_prefs import SelectionPreferences
from pip._internal.network.session import PipSession
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements


def what_pip_reads(path):
    """All of it, as something that can be compared."""
    session = PipSession()
    scope = SearchScope.create(find_links=[], index_urls=['https://default/'], no_index=False)
    finder = PackageFinder.create(link_collector=LinkCollector(session, scope),
                                  selection_prefs=SelectionPreferences(allow_yanked=True))
    options = Values({'require_hashes': False, 'features_enabled': [], 'format_control': None})
    found = []
    for line in parse_requirements(path, session, finder, options):
        requirement = install_req_from_parsed_requirement(line)
        found.append((line.constraint, line.is_editable, str(requirement.req),
                      requirement.link and requirement.link.url, str(requirement.markers),
                      sorted(requirement.extras), sorted((line.options or {}).items())))
    found.append((finder.search_scope.index_urls, finder.search_scope.find_links,
                  finder.search_scope.no_index, finder.allow_all_prereleases,
                  finder.prefer_binary, str(finder.format_control), options.require_hashes,
                  options.features_enabled, session.pip_trusted_origins))
    return found


def main():
    original, copy = map(what_pip_reads, sys.argv[1:])
    for one, other in zip(original, copy):
        if one != other:
            print(f'{sys.argv[1]}: {one}\n{sys.argv[2]}: {other}')
    return original != copy


if __name__ == '__main__':
    sys.exit(main())
