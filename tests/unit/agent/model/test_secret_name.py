"""Values behind secret names, in every form in which people write them."""

import pytest

from agent.model.secret import masked

S = "hunter2"


def shown(*arguments: str) -> str:
    return masked("\0".join(arguments).encode()).decode().replace("\0", " ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("sh", "-c", f"mysql --password {S} shop; ls"), "sh -c mysql --password *** shop; ls"),
        (("bash", "-lc", f"PASSWORD={S} run --fast"), "bash -lc PASSWORD=*** run --fast"),
        (("sh", "-c", f"run --password 'my {S}' --fast"), "sh -c run --password *** --fast"),
        (("sh", "-c", f'run --password "my \\" {S}" --fast'), "sh -c run --password *** --fast"),
        (("sh", "-c", f"run --password=a'b {S}'c --fast"), "sh -c run --password=*** --fast"),
        (("sh", "-c", f'run --password=a"b {S}'), "sh -c run --password=***"),
        (("sh", "-c", f"run --password 'my {S}"), "sh -c run --password ***"),
        (("sh", "-c", f"curl -H 'X-Api-Key: a {S}' http://x"), "sh -c curl -H 'X-Api-Key: ***' http://x"),
        (("sh", "-c", f'ssh h "run --password={S}" x'), 'sh -c ssh h "run --password=***" x'),
        (("sh", "-c", "run --password ; ls"), "sh -c run --password ; ls"),
    ],
)
def test_a_shell_s_script_is_read_as_words(arguments: tuple[str, ...], expected: str) -> None:
    """Quoted words are one value; what follows the value stays."""
    assert shown(*arguments) == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (f"run --password {S} --fast", "run --password *** --fast"),
        (f"run --password={S} --fast", "run --password=*** --fast"),
        (f"celery: worker password={S} up", "celery: worker password=*** up"),
        (f"curl -H X-Api-Key: {S} https://h", "curl -H X-Api-Key: *** https://h"),
        (f"curl -H Authorization: Bearer {S} https://h", "curl -H Authorization: Bearer *** https://h"),
        (f"curl -H Cookie: a={S}; b={S} -s", "curl -H Cookie: *** -s"),
        (f"PASSWORD={S} and more of it", "PASSWORD=***"),
    ],
)
def test_a_title_that_holds_the_whole_line_is_read_as_words(title: str, expected: str) -> None:
    """setproctitle: one argument, no NUL."""
    assert shown(title) == expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (f'{{"password": "{S}", "user": "me"}}', '{"password": ***, "user": "me"}'),
        (f'{{"password":"a \\" {S}","user":"me"}}', '{"password":***,"user":"me"}'),
        (f'{{\\"apiKey\\":\\"{S} x\\",\\"a\\":1}}', '{\\"apiKey\\":***,\\"a\\":1}'),
        (f"{{'token': '{S}'}}", "{'token': ***}"),
        (f'{{"token": {S}}}', '{"token": ***}'),
        (f'{{"auths": {{"h": {{"auth": "{"YWJj" * 5}"}}}}}}', '{"auths": {"h": {"auth": ***}}}'),
        (f'{{"password": "{S}', '{"password": ***'),
        (f"<password>{S}</password>", "<password>***</password>"),
        (f"https://s3/x?X-Amz-Date=1&X-Amz-Signature={S}&a=b", "https://s3/x?X-Amz-Date=1&X-Amz-Signature=***&a=b"),
        (f"https://blob/x?sv=1&sig={S}", "https://blob/x?sv=1&sig=***"),
        ("run --sig=INT", "run --sig=INT"),
        (f"user[password]={S}", "user[password]=***"),
        (f"server: {{token: {S}}}", "server: {token: ***}"),
        (f"Server=db;Uid=sa;Pwd={S};Encrypt=yes", "Server=db;Uid=sa;Pwd=***;Encrypt=yes"),
        (f"AccountName=x;AccountKey={S}==;EndpointSuffix=y", "AccountName=x;AccountKey=***;EndpointSuffix=y"),
        (f"--set=a.password={S},{S};{S},user=me", "--set=a.password=***,user=me"),
        (f"--from-literal=password={S},{S}", "--from-literal=password=***"),
        (f"https://h/?a=1&token={S}&page=2", "https://h/?a=1&token=***&page=2"),
        (f'{{"url":"https://h/?token={S}","b":"c"}}', '{"url":"https://h/?token=***","b":"c"}'),
        (f"host=h password='{S} x' user=me", "host=h password=*** user=me"),
        (f"CREATE USER x IDENTIFIED BY '{S} x' EXPIRE", "CREATE USER x IDENTIFIED BY *** EXPIRE"),
        (f"ALTER USER x WITH PASSWORD '{S} x'", "ALTER USER x WITH PASSWORD ***"),
        (f"SET PASSWORD = PASSWORD('{S}')", "SET PASSWORD = ***"),
    ],
)
def test_documents_and_settings_are_read_inside(argument: str, expected: str) -> None:
    """JSON, escaped JSON, YAML, XML, connection strings, queries, SQL."""
    assert shown("tool", "-d", argument) == f"tool -d {expected}"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "--password", f"-{S}", "x"), "run --password *** x"),
        (("run", "--bearer", S, "x"), "run --bearer *** x"),
        (("java", "-Dspring.datasource.password", S, "x"), "java -Dspring.datasource.password *** x"),
        (("java", f"-Dspring.datasource.password={S}", "-jar"), "java -Dspring.datasource.password=*** -jar"),
        (("wine", "x.exe", f"/password:{S} {S}", "/v:h"), "wine x.exe /password:*** /v:h"),
        ((f"/PASSWORD={S}", "x"), "/PASSWORD=*** x"),
        (("curl", "-H", f"X-Api-Key: {S} {S}", "h"), "curl -H X-Api-Key: *** h"),
        (("curl", f"-HX-Api-Key:{S}", "h"), "curl -HX-Api-Key:*** h"),
        (("curl", f"--header=Private-Token: {S} {S}", "h"), "curl --header=Private-Token: *** h"),
        (("x", "Authorization:", "Bearer", S, "h"), "x Authorization: Bearer *** h"),
        (("x", f"Authorization: Digest username=me, response={S}"), "x Authorization: Digest ***"),
        (("x", f"Cookie: a={S}; b={S}"), "x Cookie: ***"),
        (("x", "Basic", "bWU6aHVudGVyMg=="), "x Basic ***"),
        (("aws", "configure", "set", "aws_secret_access_key", S), "aws configure set aws_secret_access_key ***"),
        (("rails", f"SECRET_KEY_BASE={S}", f"PASSWORD2={S}"), "rails SECRET_KEY_BASE=*** PASSWORD2=***"),
        (("x", "--basic-auth", f"me:{S}"), "x --basic-auth ***"),
        (("x", "-" + "x" * 300 + "password", S), "x -" + "x" * 300 + "password ***"),
    ],
)
def test_the_value_of_a_secret_name_is_masked(arguments: tuple[str, ...], expected: str) -> None:
    """An option, a header, a setting; one argument or several."""
    assert shown(*arguments) == expected


@pytest.mark.parametrize(
    "line",
    [
        "run --token-file /x --password-file /y --secret-name z",
        "cp -p a b",
        "ssh -p 22 h",
        "passenger start",
        "mvn -DskipTests",
        "psql --no-password shop",
        "ansible-playbook --ask-become-pass play.yml",
        "serve --eos-token 2 --max-token 5",
        "sox --highpass 300 --bypass x",
        "run --key a",
        "docker run -v /h/secret:/c/secret:ro x",
        "docker run -v db-token:/c x",
        "env PWD=/srv OLDPWD=/ run",
        "apptainer exec --pwd=/srv x",
        "x --auth basic --tokens 5",
        "c++ token::x secret://vault/x",
        "curl --auth-type basic --x",
        "make basic training",
        "run --password",
        "run --password=",
        "run --password= x",
        "x monkey=1 author=me --keyfile=/x",
        "x --bearer --token --password --fast",
        "kubectl get secret shop",
        "npm run compass:build",
    ],
)
def test_what_only_looks_alike_stays(line: str) -> None:
    """A file of tokens is no token; a switch has no value."""
    assert shown(*line.split(" ")) == line
