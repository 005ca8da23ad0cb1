"""The kind of sink `object`: sealed Parquet files to S3, GCS, Azure or a folder."""

import os

from agent.model.errors import ConfigError
from agent.object.place import MISSING, Provider
from workers.export.http_option import CONNECT_TIMEOUT
from workers.export.object.option import ENDPOINT, OPTIONS, TIMEOUT, URL, check_object, place_options
from workers.export.sink import Sink, SinkContext, SinkKind, SinkValues


def _check(values: SinkValues) -> str:
    from importlib.util import find_spec

    try:
        place = check_object(values)
    except ConfigError as failure:
        return failure.sentence
    return MISSING if place.provider is not Provider.FOLDER and find_spec("obstore") is None else ""


def _open(context: SinkContext) -> Sink:
    from agent.object.access import ObjectAccess
    from workers.export.object.bucket_store import BucketStore
    from workers.export.object.folder_store import FolderStore
    from workers.export.object.sealed_file import SealedFiles
    from workers.export.object.sink import ObjectLayout, ObjectSink

    place = check_object(context.settings)
    is_folder = place.provider is Provider.FOLDER
    settings = context.settings
    access = ObjectAccess(place, place_options(settings), settings.of(TIMEOUT), settings.of(CONNECT_TIMEOUT), context.variables)
    store = FolderStore(place.bucket) if is_folder else BucketStore(access)
    # The sink's folder is <state>/sinks/NAME.
    state_dir = os.path.dirname(os.path.dirname(context.folder))
    files = SealedFiles(state_dir, os.path.join(context.folder, "made"), context.variables)
    return ObjectSink(store, files, ObjectLayout(place.prefix), context.tables)


SINK = SinkKind(
    name="object",
    about="sealed Parquet files to S3 and what speaks its protocol, Google Cloud Storage, Azure, or a folder",
    options=OPTIONS,
    identity=(URL, ENDPOINT),
    open=_open,
    is_ordered=True,
    by_segment=True,
    check=_check,
    preload=("workers.export.object.sink",),
)
