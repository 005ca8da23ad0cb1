"""Opens the bucket or folder of a lake."""

from collections.abc import Mapping
from importlib.util import find_spec

from agent.lake.bucket import Bucket
from agent.lake.folder_bucket import FolderBucket
from agent.lake.obstore_bucket import ObstoreBucket
from agent.lake.patient_bucket import PatientBucket
from agent.lake.setup import LakeSetup, files_of
from agent.object.access import ObjectAccess
from agent.object.place import ObjectPlace, Provider


def open_lake(setup: LakeSetup | None, variables: Mapping[str, str]) -> Bucket:
    """The files of a lake, which are not looked at yet; failures that pass are tried again. `variables`: the environment.

    *Raises:* ConfigError.
    """
    setup = files_of(setup, has_library=find_spec("obstore") is not None)
    assert isinstance(setup.place, ObjectPlace)
    if setup.place.provider is Provider.FOLDER:
        return PatientBucket(FolderBucket(setup.place.bucket))
    access = ObjectAccess(setup.place, setup.options, setup.timeout_ns, setup.connect_timeout_ns, variables)
    return PatientBucket(ObstoreBucket(access))
