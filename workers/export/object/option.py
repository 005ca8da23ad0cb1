"""The settings of a sink of kind `object`, and the place that they name. PURE."""

from agent.model.timebase import S
from agent.object.place import ObjectPlace, PlaceOptions, check_options, parse_place
from agent.setting import AnySetting, Duration, Switch, Text
from workers.export.http_option import CA_FILE, CONNECT_TIMEOUT
from workers.export.sink import SinkValues

URL = Text("url", "", "where the files go: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER")
REGION = Text("region", "", "region of an S3 bucket; empty: that of AWS_REGION, or us-east-1")
ENDPOINT = Text("endpoint", "", "address of a server other than the provider's, such as http://127.0.0.1:9000; for s3:// and az://")
ALLOW_HTTP = Switch("allow_http", False, "whether an endpoint may be http://, where anybody on the way can read along")
CREDENTIALS_FILE = Text("credentials_file", "", "file of lines KEY=value, read again after each failure; empty: the environment")
# A file of 5 MiB in it needs 90 kB/s.
TIMEOUT = Duration("timeout", 60 * S, 1 * S, 600 * S, "how long one file may take, the answer included")

OPTIONS: tuple[AnySetting, ...] = (URL, REGION, ENDPOINT, ALLOW_HTTP, CREDENTIALS_FILE, TIMEOUT, CONNECT_TIMEOUT, CA_FILE)


def place_options(values: SinkValues) -> PlaceOptions:
    """What a section says of its place beside the URL."""
    return PlaceOptions(
        values.of(ENDPOINT), values.of(REGION), values.of(ALLOW_HTTP), values.of(CREDENTIALS_FILE), values.of(CA_FILE)
    )


def check_object(values: SinkValues) -> ObjectPlace:
    """The place of a section. *Raises:* ConfigError for settings that do not go together. No file is looked at."""
    place = parse_place(values.of(URL))
    check_options(place, place_options(values))
    return place
