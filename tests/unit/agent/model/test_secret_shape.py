"""Tokens, keys and passwords in URLs, known by their look."""

import pytest

from agent.model.secret import masked

S = "hunter2"
A, H = "Ab1" * 20, "0a" * 40
TOKENS = [
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    f"LTAI{A[:20]}",
    f"AIza{A[:35]}",
    f"GOCSPX-{A[:28]}",
    f"ya29.{A}",
    f"ghp_{A[:36]}",
    f"gho_{A[:36]}",
    f"ghs_{A[:36]}",
    f"github_pat_{A}",
    f"glpat-{A[:20]}",
    f"glrt-{A[:20]}",
    f"GR1348941{A[:20]}",
    f"sk-ant-api03-{A}",
    f"sk-proj-{A}",
    f"sk-{A[:48]}",
    f"pplx-{A[:48]}",
    f"gsk_{A[:52]}",
    f"hf_{A[:34]}",
    "xoxb-1234567890-abcdef",
    "xoxp-12345-67890-abc",
    "xapp-1-A0123-456-abc",
    f"sk_live_{A[:24]}",
    f"rk_test_{A[:24]}",
    f"whsec_{A[:32]}",
    f"npm_{A[:36]}",
    f"pypi-AgEIcHlwaS5vcmc{A}",
    f"rubygems_{H[:48]}",
    f"dop_v1_{H[:64]}",
    f"doo_v1_{H[:64]}",
    f"SG.{A[:22]}.{A[:43]}",
    f"key-{H[:32]}",
    f"SK{H[:32]}",
    f"xkeysib-{H[:64]}-{A[:16]}",
    f"hvs.{A}",
    f"{A[:14]}.atlasv1.{A}",
    f"dapi{H[:32]}",
    f"dckr_pat_{A[:27]}",
    f"ATATT3{A}",
    f"AKCp{A}",
    f"glsa_{A[:32]}_0a0a0a0a",
    f"glc_{A}",
    f"sntrys_{A}",
    f"NRAK-{A[:27].upper()}",
    f"shpat_{H[:32]}",
    f"lin_api_{A[:40]}",
    f"ntn_{A[:46]}",
    f"PMAK-{H[:24]}-{H[:34]}",
    f"pul-{H[:40]}",
    f"fm2_{A}",
    f"pscale_tkn_{A[:43]}",
    f"tskey-auth-{A[:30]}",
    f"AGE-SECRET-KEY-1{A[:58].upper()}",
    f"ops_eyJ{A}",
    "A3-ABCDEF-GHIJKL-MNOPQ-RSTUV-WXYZ0",
    f"sha256~{A[:43]}",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    f"123456789:AA{A[:33]}",
]


@pytest.mark.parametrize("around", ["{}", "x={}", "-H{}", "a,{},b", "'{}'", "https://{}@h/", '{{"a":"{}"}}'])
@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_known_by_its_look(token: str, around: str) -> None:
    """Wherever it stands, and wholly."""
    if around.startswith("-H") and token[0].isalnum():
        # Letters that are written together are one word.
        around = "-H={}"
    line = masked(f"run\0--x\0{around.format(token)}\0y".encode()).decode()
    assert token[-8:] not in line
    assert token[3:12] not in line
    assert line.startswith("run\0--x\0")
    assert line.endswith("\0y")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (f"postgres://u:pa/{S}@h/db", "postgres://u:***@h/db"),
        (f"postgres://u:pa?{S}#x@h/db", "postgres://u:***@h/db"),
        (f"postgres://u:a@b/{S}@h/db", "postgres://u:***@h/db"),
        (f"smtp://me@h.org:{S}@mail:587", "smtp://me@h.org:***@mail:587"),
        ("https://TOKEN@github.com/x", "https://***@github.com/x"),
        (f"git+https://{S}@github.com/x", "git+https://***@github.com/x"),
        (f"https://{S}:x-oauth-basic@github.com/x", "https://***@github.com/x"),
        (f"https://{S}:@h/x", "https://***@h/x"),
        (f"jdbc:oracle:thin:scott/{S}@//h:1521/x", "jdbc:oracle:thin:scott/***@//h:1521/x"),
        (f"root:{S}@tcp(h:3306)/db", "root:***@tcp(h:3306)/db"),
        ("https://hooks.slack.com/services/T0/B0/abcdef", "https://hooks.slack.com/services/***"),
        ("https://discord.com/api/webhooks/123/abcdef", "https://discord.com/api/webhooks/***"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{S}\n-----END RSA PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----***"),
        (f"http://a:{S}@h,http://b:{S}@i", "http://a:***@h,http://b:***@i"),
        (f"http://h:80/x,postgres://u:{S}@h/db,http://i", "http://h:80/x,postgres://u:***@h/db,http://i"),
    ],
)
def test_a_secret_in_an_address_is_masked(argument: str, expected: str) -> None:
    """Slashes, at signs and question marks may be part of a password."""
    assert masked(f"run\0{argument}\0x".encode()).decode() == f"run\0{expected}\0x"


def test_git_takes_tokens_for_users() -> None:
    """Any user before a host of `git clone https://…` may be one."""
    assert masked(b"git\0clone\0https://lettersonly@h/x") == b"git\0clone\0https://***@h/x"


@pytest.mark.parametrize(
    "line",
    [
        "vite http://localhost:8080/@vite/client",
        "npm i https://h:443/@scope/x",
        "curl http://[::1]:80/@x",
        "git clone git@github.com:x/y",
        "git clone ssh://git@github.com/x",
        "docker pull nginx:1.25@sha256:0123456789abcdef",
        "npm i npm:left@1.2.3",
        "mail me@h.org",
        "run skylight task-sk-1 hf_home npm_config_x sk-learn key-value",
        "psql postgres://me@h/db",
        "postgres://h:5432/db?user=a@b",
        "run eyJ",
        "gh pr list",
        "https://h/a@b",
    ],
)
def test_addresses_and_words_without_a_secret_stay(line: str) -> None:
    """A port, a path with an at sign, a user, a digest."""
    assert masked(line.replace(" ", "\0").encode()).decode() == line.replace(" ", "\0")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"curl Bearer {S} x", "curl Bearer *** x"),
        ("curl Basic dXNlcjpodW50ZXIy x", "curl Basic *** x"),
        ("curl Basic dXNlcjp4eA x", "curl Basic *** x"),
        ("run basic training x", "run basic training x"),
        ("run basic dXNlcnM x", "run basic dXNlcnM x"),
        ("run basic abcde x", "run basic abcde x"),
        ("run basic ... x", "run basic ... x"),
        ("run bearer --fast x", "run bearer --fast x"),
        (f"mysql -e CREATE USER u IDENTIFIED BY '{S}' x", "mysql -e CREATE USER u IDENTIFIED BY *** x"),
        (f"mysql -e ALTER USER u IDENTIFIED WITH sha2 BY '{S}'", "mysql -e ALTER USER u IDENTIFIED WITH sha2 BY ***"),
    ],
)
def test_a_secret_is_known_by_the_word_before_it(line: str, expected: str) -> None:
    """`Basic` is an ordinary word too, so that what follows must be `user:password` in base64."""
    assert masked(line.encode()).decode() == expected
