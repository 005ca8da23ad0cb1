"""Places, their options and files of credentials: what is accepted, and the sentence for what is not."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ConfigError
from agent.object.place import (
    CREDENTIAL_KEYS,
    ObjectPlace,
    PlaceOptions,
    Provider,
    check_options,
    parse_credentials,
    parse_place,
)


@pytest.mark.parametrize(
    ("url", "place", "shown"),
    [
        ("s3://bucket", ObjectPlace(Provider.S3, "bucket"), "s3://bucket"),
        ("s3://my.bucket-1/a/b=c/", ObjectPlace(Provider.S3, "my.bucket-1", "a/b=c"), "s3://my.bucket-1/a/b=c"),
        ("gs://b/x", ObjectPlace(Provider.GCS, "b", "x"), "gs://b/x"),
        ("az://container/x", ObjectPlace(Provider.AZURE, "container", "x"), "az://container/x"),
        ("file:///var/lake/", ObjectPlace(Provider.FOLDER, "/var/lake"), "file:///var/lake"),
    ],
)
def test_a_place_is_read_from_its_url(url: str, place: ObjectPlace, shown: str) -> None:
    """Provider, bucket and prefix."""
    assert parse_place(url) == place
    assert place.shown == shown


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "missing"),
        ("bucket/prefix", "no URL"),
        ("ftp://b", "ftp:// is not supported"),
        ("s3://", "names no bucket"),
        ("s3://-b", "names no bucket"),
        ("s3://key:secret@bucket/x", "credentials"),
        ("az://c/x?sig=secret", "credentials"),
        ("s3://b/x#y", "credentials"),
        ("s3://b/a//c", "other characters"),
        ("s3://b/../c", "other characters"),
        ("s3://b/a b", "other characters"),
        ("file://folder", "names no folder"),
        ("file:///", "names no folder"),
    ],
)
def test_a_url_that_is_no_place_gets_a_sentence_without_the_url(url: str, problem: str) -> None:
    """It may hold a secret."""
    with pytest.raises(ConfigError) as refused:
        parse_place(url)
    assert problem in refused.value.sentence
    assert "secret" not in refused.value.sentence


def test_credentials_are_lines_of_a_key_and_a_value() -> None:
    """Comments and empty lines are passed; a value may have `=` in it."""
    text = "# mine\n\n AWS_ACCESS_KEY_ID = a \naws_secret_access_key=b=c==\n"
    assert parse_credentials(text, Provider.S3) == {"aws_access_key_id": "a", "aws_secret_access_key": "b=c=="}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no credentials in it"),
        ("# only\n", "no credentials in it"),
        ("hunter2", "line 1"),
        ("AWS_ACCESS_KEY_ID=", "line 1"),
        ("AWS_ACCESS_KEY_ID=a\nAWS_ENDPOINT=hunter2", "line 2"),
        ("\n" * 65, "more than 64 lines"),
    ],
)
def test_a_file_that_holds_no_credentials_gets_a_sentence_without_its_text(text: str, problem: str) -> None:
    """With the number of the line."""
    with pytest.raises(ConfigError) as refused:
        parse_credentials(text, Provider.S3)
    assert problem in refused.value.sentence
    assert "hunter2" not in refused.value.sentence


@given(st.text(max_size=200), st.sampled_from([Provider.S3, Provider.GCS, Provider.AZURE]))
def test_any_text_gives_credentials_or_a_sentence(text: str, provider: Provider) -> None:
    """Never anything else."""
    try:
        found = parse_credentials(text, provider)
    except ConfigError:
        return
    assert {key.upper() for key in found} <= set(CREDENTIAL_KEYS[provider])


@given(st.text(max_size=60).map("s3://b/".__add__) | st.text(max_size=60))
def test_any_text_is_a_place_or_a_sentence(text: str) -> None:
    """What is accepted is shown as it was written, save slashes at its end."""
    try:
        place = parse_place(text)
    except ConfigError:
        return
    assert place.shown.rstrip("/") == text.rstrip("/") or place.provider is Provider.FOLDER


@pytest.mark.parametrize(
    ("url", "options", "problem"),
    [
        ("gs://b", PlaceOptions(endpoint="https://x"), "lake.endpoint: gs:// has no other endpoint"),
        ("s3://b", PlaceOptions(endpoint="http://x:9000"), "lake.allow_http = true"),
        ("s3://b", PlaceOptions(endpoint="nowhere"), "lake.endpoint: the"),
        ("az://c", PlaceOptions(region="x"), "lake.region: az:// has no region"),
        ("file:///x", PlaceOptions(credentials_file="/y"), "lake.credentials_file: a folder has none"),
        ("file:///x", PlaceOptions(ca_file="/y"), "lake.ca_file: a folder has none"),
    ],
)
def test_options_that_do_not_fit_a_place_are_named_as_their_setting(url: str, options: PlaceOptions, problem: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError) as refused:
        check_options(parse_place(url), msgspec.structs.replace(options, key="lake."))
    assert problem.partition(" the")[0] in refused.value.sentence


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://b", PlaceOptions()),
        ("s3://b", PlaceOptions(endpoint="http://x:9000", allow_http=True, region="eu-1")),
        ("az://c", PlaceOptions(endpoint="https://x", ca_file="/y", credentials_file="/z")),
        ("file:///x", PlaceOptions()),
    ],
)
def test_options_that_fit_a_place_pass(url: str, options: PlaceOptions) -> None:
    """Nothing is opened."""
    check_options(parse_place(url), options)
