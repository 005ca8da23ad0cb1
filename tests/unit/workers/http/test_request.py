"""One bounded request in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.http.request import BODY_BYTES_MAX, HEAD_BYTES_MAX, HttpRequest, Refusal, parse_request
from workers.http.response import refusal_response

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


def get(path: str, accept: str, host: str | None, authority: str | None = None, **more: Any) -> HttpRequest:
    """A request with these fields."""
    return HttpRequest(more.pop("method", "GET"), path, accept, host, (host or "") if authority is None else authority, **more)


@pytest.mark.parametrize(
    ("head", "request_"),
    [
        (CAPTURED["curl"], get("/ready", "*/*", "localhost", "localhost:9464")),
        (CAPTURED["kubelet"], get("/live", "*/*", "10.0.0.1", "10.0.0.1:9464")),
        (CAPTURED["wget"], get("/live", "", "127.0.0.1", "127.0.0.1:9464", method="HEAD")),
        (b"GET / HTTP/1.0\n\n", get("/", "", None)),
        (b"GET / HTTP/1.0\nHost: A\n\n", get("/", "", "a")),
        (b"\r\nGET /live?probe=1 HTTP/1.1\r\nHost: a\r\n\r\n", get("/live", "", "a", query={"probe": ["1"]})),
        (b"GET http://node:9464/live HTTP/1.1\r\nHost: other\r\n\r\n", get("/live", "", "node", "node:9464")),
        (b"GET HTTPS://Node:9464 HTTP/1.1\r\nHost:\r\n\r\n", get("/", "", "node", "node:9464")),
        (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", get("/", "", "")),
        (b"GET /a?x=1#y HTTP/1.1\r\nHost: a\r\n\r\n", get("/a", "", "a", query={"x": ["1"]})),
        (
            b"POST /ready HTTP/1.1\r\nhost: a\r\nContent-Length: 3\r\n\r\nabcd",
            get("/ready", "", "a", method="POST", content=b"abc"),
        ),
        (b"POST /ready HTTP/1.1\r\nhost: a\r\n\r\nabcd", get("/ready", "", "a", method="POST")),
        (b"\r\nPUT / HTTP/1.1\nhost: a\ncontent-length: 1\n\nz", get("/", "", "a", method="PUT", content=b"z")),
        (b"GET / HTTP/1.1\r\nhost: a\r\nContent-Length: 99999\r\n\r\n", get("/", "", "a")),
        (
            b"GET /a HTTP/1.1\r\nHOST:a \r\nACCEPT: text/plain\r\naccept:\ta/b\r\n\r\n",
            get("/a", "text/plain,a/b", "a"),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nLast-Event-ID: e-1\r\nAuthorization: Bearer x\r\nOrigin: http://a\r\n"
            b'Sec-Fetch-Site: same-origin\r\nIf-None-Match: "1"\r\nIf-None-Match: "2"\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n',
            get(
                "/",
                "",
                "a",
                last_event_id="e-1",
                authorization="Bearer x",
                origin="http://a",
                fetch_site="same-origin",
                if_none_match='"1","2"',
                cookie="a=1; b=2",
            ),
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nOrigin: http://b\r\n\r\n",
            get("/", "", "a", origin="http://a, http://b"),
        ),
    ],
)
def test_a_whole_head_is_a_request(head: bytes, request_: HttpRequest) -> None:
    """The path apart from its query, all Accept fields, whatever line ends; the body of methods that have one."""
    assert parse_request(head) == request_


def test_a_body_is_waited_for() -> None:
    """Every prefix; its bytes may be any."""
    whole = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n\r\n\x00\xffGE"
    for length in range(len(whole)):
        assert parse_request(whole[:length]) is None
    assert parse_request(whole) == get("/x", "", "a", method="POST", content=b"\r\n\x00\xffGE")


def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    """Before it comes."""
    head = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n"
    found = parse_request(head.format(BODY_BYTES_MAX).encode() + b"x" * BODY_BYTES_MAX)
    assert isinstance(found, HttpRequest)
    assert len(found.content) == BODY_BYTES_MAX
    refused = parse_request(head.format(BODY_BYTES_MAX + 1).encode())
    assert isinstance(refused, Refusal)
    assert refused.status == 413


def test_a_parameter_that_is_given_once_has_its_last_value() -> None:
    """Or what stands for it."""
    request = HttpRequest("GET", "/", query={"a": ["1", "2"], "b": [""]})
    assert [request.parameter("a"), request.parameter("b", "x"), request.parameter("c"), request.parameter("c", "x")] == [
        "2",
        "",
        "",
        "x",
    ]


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
        (b"GET /?a=% HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /?a=%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 400),
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
    assert parse_request(fitting) == get("/", "", "a")
    assert isinstance(parse_request(begin + b"x" + fitting[len(begin) :]), Refusal)
