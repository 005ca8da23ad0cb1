"""The settings of a fleet's store as a command gets them: from the environment, --set and --lake."""

from agent.cli.call import Call
from agent.cli.option import Option
from agent.model.errors import MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.config import Config
    from agent.lake.bucket import Bucket
    from agent.setting import AnySetting

LAKE_OPTIONS = (
    Option("--lake", "URL", "the store: file:///FOLDER, s3://BUCKET/PREFIX, … (else EVERGAUGE_LAKE_URL)"),
    Option("--set", "KEY=VALUE", "another setting, such as lake.endpoint=http://127.0.0.1:9000", many=True),
)


def lake_config(call: Call, more: "Sequence[AnySetting]" = ()) -> "Config":
    """The settings of the store and `more`. *Raises:* MisuseError, ConfigError."""
    from agent.config import parse_config
    from agent.lake_setting import LAKE_SETTINGS, LAKE_URL

    settings = {setting.key: setting for setting in (*LAKE_SETTINGS, *more)}
    flags: dict[str, str] = {}
    for word in call.texts("--set"):
        key, equals, value = word.partition("=")
        if not equals or key not in settings:
            raise MisuseError(
                "--set", f"{word!a} is no setting of the store", f"KEY=VALUE with one of {', '.join(sorted(settings))}"
            )
        flags[key] = value
    if (url := call.text("--lake")) is not None:
        flags[LAKE_URL.key] = url
    names = {setting.environment_name for setting in settings.values()} & call.environment.keys()
    environment = {name: call.environment[name] for name in names}
    return parse_config(tuple(settings.values()), environment=environment, flags=flags)


def open_bucket(call: Call, config: "Config") -> "Bucket":
    """The files of the store. *Raises:* ConfigError."""
    from agent.lake.opening import open_lake
    from agent.lake.setup import lake_setup

    return open_lake(lake_setup(config), call.environment)
