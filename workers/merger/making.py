"""A merger's parts from settings: for the worker, and for the program that runs one alone."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from agent.config import Config
from agent.lake.clickhouse_server import ClickHouseAccess, ClickHouseServer
from agent.lake.known_columns import KnownColumns
from agent.lake.log import LakeLog
from agent.lake.mark_cache import MarkCache
from agent.lake.mark_form import lake_id
from agent.lake.opening import open_lake
from agent.lake.setup import LakeSetup, lake_setup
from agent.lake_setting import LAKE_URL, ClickHousePlace
from agent.merger_setting import (
    MARKS_PASSWORD_FILE,
    MARKS_REDIS,
    MERGER_BROKERS,
    MERGER_CA_FILE,
    MERGER_CERT_FILE,
    MERGER_COMMIT_BYTES,
    MERGER_GROUP,
    MERGER_INTERVAL,
    MERGER_KEY_FILE,
    MERGER_PASSWORD_FILE,
    MERGER_PASSWORD_VARIABLE,
    MERGER_SASL_MECHANISM,
    MERGER_SECURITY,
    MERGER_SESSION,
    MERGER_TLS_VERIFY,
    MERGER_TOPIC_PREFIX,
    MERGER_USER,
)
from agent.model.errors import ConfigError
from agent.model.table import Table
from agent.secret_text import text_of
from workers.framework.vital_thread import end_process
from workers.merger.clickhouse_store import ClickHouseStore
from workers.merger.core import MergerTerms
from workers.merger.effect import TopicPartition
from workers.merger.engine import EngineParts
from workers.merger.files_store import FilesStore
from workers.merger.kafka_reader import KafkaReader, ReaderSetup
from workers.merger.store import MergerStore

# An insert must not be under way when its tokens are forgotten.
_CLICKHOUSE_TIMEOUT_NS = 30_000_000_000


class MergerPlace(Struct, frozen=True):
    """Who the merger is: `member` in the group (empty: a new one at each start), `by` in the store."""

    member: str
    by: str


def engine_parts(
    config: Config,
    place: MergerPlace,
    tables: Sequence[Table],
    variables: Mapping[str, str] | None = None,
    *,
    on_bug: Callable[[], None] = end_process,
) -> EngineParts:
    """What the settings ask for. `variables`: the environment. *Raises:* ConfigError for settings that do not go together."""
    variables = os.environ if variables is None else variables
    setup = lake_setup(config)
    if setup is None:
        raise ConfigError(LAKE_URL.key, "it is not set", "name the fleet's store, such as file:///srv/lake or s3://BUCKET/PREFIX")
    reader = reader_setup(config, place.member, variables)
    known = KnownColumns(tables)
    interval_ns, commit_bytes = config.of(MERGER_INTERVAL), config.of(MERGER_COMMIT_BYTES)

    def open_reader(on_assigned: Callable[[Iterable[TopicPartition]], None], on_revoked: Callable[[], None]) -> KafkaReader:
        return KafkaReader(reader, on_assigned, on_revoked)

    return EngineParts(
        terms=MergerTerms(interval_ns, commit_bytes, 2 * commit_bytes),
        known=known,
        open_reader=open_reader,
        open_store=lambda: store_of(setup, place.by, tables, known, variables),
        topic_prefix=reader.topic_prefix,
        marks=mark_cache(config),
        on_bug=on_bug,
    )


def store_of(setup: LakeSetup, by: str, tables: Sequence[Table], known: KnownColumns, variables: Mapping[str, str]) -> MergerStore:
    """The store at a place, which is not looked at yet. *Raises:* ConfigError."""
    if isinstance(setup.place, ClickHousePlace):
        options = setup.options
        timeout_ns = min(setup.timeout_ns, _CLICKHOUSE_TIMEOUT_NS)
        access = ClickHouseAccess(
            setup.place, timeout_ns, setup.connect_timeout_ns, options.credentials_file, options.ca_file, variables
        )
        return ClickHouseStore(ClickHouseServer(access), tables, known, by)
    bucket = open_lake(setup, variables)
    return FilesStore(bucket, LakeLog(bucket, by), known)


def mark_cache(config: Config, url: str = "") -> MarkCache | None:
    """The cache of marks of a lake. `url`: another lake than that of the settings. *Absent:* None: there is no cache."""
    address = config.of(MARKS_REDIS)
    if not address:
        return None
    path = config.of(MARKS_PASSWORD_FILE)

    def password() -> str | None:
        return text_of(path, MARKS_PASSWORD_FILE.key).strip() if path else None

    return MarkCache(address, lake_id(url or config.of(LAKE_URL)), password=password)


def reader_setup(config: Config, member: str, variables: Mapping[str, str]) -> ReaderSetup:
    """How the brokers are reached. *Raises:* ConfigError."""
    brokers = config.of(MERGER_BROKERS)
    if not brokers:
        raise ConfigError(MERGER_BROKERS.key, "it is not set", "name the brokers of the topics, HOST:PORT")
    _check_security(config)
    return ReaderSetup(
        brokers=brokers,
        group=config.of(MERGER_GROUP),
        topic_prefix=config.of(MERGER_TOPIC_PREFIX),
        member=member,
        session_ns=config.of(MERGER_SESSION),
        security=config.of(MERGER_SECURITY),
        ca_file=config.of(MERGER_CA_FILE),
        cert_file=config.of(MERGER_CERT_FILE),
        key_file=config.of(MERGER_KEY_FILE),
        is_verified=config.of(MERGER_TLS_VERIFY),
        sasl_mechanism=config.of(MERGER_SASL_MECHANISM),
        user=config.of(MERGER_USER),
        password_file=config.of(MERGER_PASSWORD_FILE),
        password_variable=config.of(MERGER_PASSWORD_VARIABLE),
        variables=variables,
    )


def _check_security(config: Config) -> None:
    """*Raises:* ConfigError for settings that say two things."""
    security = config.of(MERGER_SECURITY)
    has_user, has_tls = security.startswith("sasl"), security.endswith("ssl")
    of_users = [each.key for each in (MERGER_USER, MERGER_PASSWORD_FILE, MERGER_PASSWORD_VARIABLE) if config.of(each)]
    of_tls = [each.key for each in (MERGER_CA_FILE, MERGER_CERT_FILE, MERGER_KEY_FILE) if config.of(each)]
    if not has_user and of_users:
        raise ConfigError(of_users[0], f"merger.security is {security}, which has no users", "write sasl_ssl, or sasl_plaintext")
    if has_user and not config.of(MERGER_USER):
        raise ConfigError(MERGER_USER.key, f"merger.security is {security}", "name a user")
    if has_user and len(of_users) != 2:
        raise ConfigError(MERGER_PASSWORD_FILE.key, "the password is in one file or one variable", "set one of the two")
    if not has_tls and of_tls:
        raise ConfigError(of_tls[0], f"merger.security is {security}, which has no certificates", "write ssl or sasl_ssl")
    if config.of(MERGER_KEY_FILE) and not config.of(MERGER_CERT_FILE):
        raise ConfigError(MERGER_KEY_FILE.key, "a key without a certificate", "set merger.cert_file too")
