"""Beam's own messages, from the apache-beam package, without Beam.

Importing apache_beam would start all of it, and ask for all that it depends on: here the
package is only the place where its messages are.
"""
import importlib.util
import sys
import types

package = types.ModuleType('apache_beam')
package.__path__ = importlib.util.find_spec('apache_beam').submodule_search_locations
sys.modules['apache_beam'] = package

# pylint: disable=wrong-import-position
from apache_beam.portability.api.org.apache.beam.model.fn_execution.v1 import (
    beam_fn_api_pb2 as workers)
from apache_beam.portability.api.org.apache.beam.model.job_management.v1 import (
    beam_artifact_api_pb2 as artifacts)
from apache_beam.portability.api.org.apache.beam.model.pipeline.v1 import (
    beam_runner_api_pb2 as runner)
