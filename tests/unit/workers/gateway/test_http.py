"""A bounded request head in, one response out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.gateway.http import (
    HEAD_BYTES_MAX,
    HttpRequest,
    MetricsFormat,
    Refusal,
    parse_request,
    preferred_format,
    refusal_response,
    response,
)

# As sent by Prometheus 3.5, curl 8.5, a kubelet's probe and wget.
CAPTURED = {
    "prometheus": b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nUser-Agent: Prometheus/3.5.0\r\n"
    b"Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    b"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    b"text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n"
    b"Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n",
    "curl": b"GET /ready HTTP/1.1\r\nHost: localhost:9464\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    "kubelet": b"GET /live HTTP/1.1\r\nHost: 10.0.0.1:9464\r\nUser-Agent: kube-probe/1.31\r\n"
    b"Accept: */*\r\nConnection: close\r\n\r\n",
    "wget": b"HEAD /live HTTP/1.1\r\nHost: 127.0.0.1:9464\r\nUser-Agent: Wget\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize(
    ("head", "request_"),
    [
        (CAPTURED["curl"], HttpRequest("GET", "/ready", "*/*", "localhost")),
        (CAPTURED["kubelet"], HttpRequest("GET", "/live", "*/*", "10.0.0.1")),
        (CAPTURED["wget"], HttpRequest("HEAD", "/live", "", "127.0.0.1")),
        (b"GET / HTTP/1.0\n\n", HttpRequest("GET", "/", "", None)),
        (b"GET / HTTP/1.0\nHost: a\n\n", HttpRequest("GET", "/", "", "a")),
        (b"\r\nGET /live?probe=1 HTTP/1.1\r\nHost: a\r\n\r\n", HttpRequest("GET", "/live", "", "a")),
        (b"GET http://node:9464/live HTTP/1.1\r\nHost: other\r\n\r\n", HttpRequest("GET", "/live", "", "node")),
        (b"GET HTTPS://Node:9464 HTTP/1.1\r\nHost:\r\n\r\n", HttpRequest("GET", "/", "", "node")),
        (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", HttpRequest("GET", "/", "", "")),
        (b"POST /ready HTTP/1.1\r\nhost: a\r\nContent-Length: 3\r\n\r\nabc", HttpRequest("POST", "/ready", "", "a")),
        (
            b"GET /a HTTP/1.1\r\nHOST:a \r\nACCEPT: text/plain\r\naccept:\ta/b\r\n\r\n",
            HttpRequest("GET", "/a", "text/plain,a/b", "a"),
        ),
    ],
)
def test_a_whole_head_is_a_request(head: bytes, request_: HttpRequest) -> None:
    """Path without query, all Accept fields, whatever line ends; a body is not looked at."""
    assert parse_request(head) == request_


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/metrics", "/metrics"),
        ("/metrics/", "/metrics"),
        ("//metrics", "/metrics"),
        ("/metrics//?x=/", "/metrics"),
        ("http://a//metrics/?name[]=x", "/metrics"),
        ("/", "/"),
        ("//", "/"),
        ("/?x", "/"),
        ("*", "*"),
        ("/metrics/x", "/metrics/x"),
        ("/%6detrics", "/%6detrics"),
        ("/metrics/.", "/metrics/."),
    ],
)
def test_a_final_slash_and_doubled_ones_change_no_path(target: str, path: str) -> None:
    """People write the first, and proxies that join two paths make the second; nothing else is the same path."""
    found = parse_request(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert isinstance(found, HttpRequest)
    assert found.path == path


@pytest.mark.parametrize("head", CAPTURED.values(), ids=CAPTURED)
def test_a_beginning_of_a_head_waits_for_more(head: bytes) -> None:
    """Every prefix of what real clients send."""
    for length in range(len(head) - 2):
        assert parse_request(head[:length]) is None


@pytest.mark.parametrize("head", CAPTURED.values(), ids=CAPTURED)
def test_an_altered_head_is_a_request_or_refused_or_unfinished(head: bytes) -> None:
    """Every byte altered once; nothing is raised."""
    for place in range(len(head)):
        for value in (0, 10, 13, 32, 58, 127, 255, head[place] ^ 1):
            found = parse_request(head[:place] + bytes([value]) + head[place + 1 :])
            assert found is None or isinstance(found, HttpRequest | Refusal)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_refused_or_unfinished(received: bytes) -> None:
    """Noise raises nothing."""
    found = parse_request(received)
    assert found is None or isinstance(found, HttpRequest | Refusal)


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"get / HTTP/1.1\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1 x\r\n\r\n", 400),
        (b"GET / /x HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nName : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: user@localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost, evil\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost:80:80\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: loc\xe4lhost\r\n\r\n", 400),
        (b"GET http://user@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http://evil/ HTTP/1.1\r\nHost: local host\r\n\r\n", 400),
        (b"GET /" + b"a" * HEAD_BYTES_MAX, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 2000 + b"\r\n", 431),
        (b"\r\n" * HEAD_BYTES_MAX, 431),
    ],
)
def test_what_is_no_request_is_refused_in_one_sentence(received: bytes, status: int) -> None:
    """TLS and other protocols at the first byte, an endless head at the limit, the rest when the head has ended."""
    found = parse_request(received)
    assert isinstance(found, Refusal)
    assert found.status == status
    assert refusal_response(found).endswith(b"\r\n\r\n" + found.sentence.encode() + b"\n")


def test_a_head_at_the_limit_is_a_request_and_one_byte_more_is_not() -> None:
    """The limit is exact."""
    begin = b"GET / HTTP/1.1\r\nHost: a\r\nA: "
    fitting = begin + b"x" * (HEAD_BYTES_MAX - len(begin)) + b"\r\n\r\n"
    assert parse_request(fitting) == HttpRequest("GET", "/", "", "a")
    assert isinstance(parse_request(begin + b"x" + fitting[len(begin) :]), Refusal)


def test_a_response_is_whole_and_the_last() -> None:
    """Length, type, and the end of the connection; HEAD gets the same head without the body."""
    whole = response(200, b"alive\n")
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"Content-Length: 6", b"Connection: close", b"Content-Type: text/plain; charset=utf-8"} <= set(lines)
    assert body == b"alive\n"
    assert response(200, b"alive\n", with_body=False) == head + b"\r\n\r\n"


def test_a_refused_method_hears_which_are_not() -> None:
    """RFC 9110 asks for the Allow field."""
    assert b"\r\nAllow: GET, HEAD\r\n" in response(405, b"no\n")


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0", True),
        ("APPLICATION/OpenMetrics-Text;VERSION=1.0.0", True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.7", False),
        ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.5", True),
        ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        (",;,=;q=", False),
    ],
)
def test_openmetrics_is_given_to_who_prefers_it(accept: str, openmetrics: bool) -> None:
    """Everybody else gets the plain text format."""
    expected = MetricsFormat.OPENMETRICS if openmetrics else MetricsFormat.PLAIN
    assert preferred_format(accept) is expected


@given(st.text(max_size=60))
def test_any_accept_header_has_an_answer(accept: str) -> None:
    """Noise raises nothing."""
    assert isinstance(preferred_format(accept), MetricsFormat)


PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        (
            f"{PROTOBUF};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.2",
            MetricsFormat.PROTOBUF,
        ),
        (f"{PROTOBUF};q=0.4,application/openmetrics-text;version=1.0.0;q=0.5", MetricsFormat.OPENMETRICS),
        (PROTOBUF.replace("delimited", "text"), MetricsFormat.PLAIN),
        (PROTOBUF.replace("MetricFamily", "Other"), MetricsFormat.PLAIN),
        (PROTOBUF + ";q=0", MetricsFormat.PLAIN),
    ],
)
def test_protobuf_is_given_to_who_prefers_it(accept: str, found: MetricsFormat) -> None:
    """As Prometheus asks for it where it wants native histograms."""
    assert preferred_format(accept) is found
