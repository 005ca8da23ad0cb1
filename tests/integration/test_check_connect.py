"""`agentd --check-config --connect` as a process: one line for each sink, nothing sent, nothing kept, no secret shown."""

from pathlib import Path

from harness.agent_process import run_agentd
from harness.sinks.http_answer import Answer, Request, status
from harness.sinks.http_sink import HttpSink

TOKEN = "glpat-never-shown"
ANSWERS = {
    "well": Answer(),
    "token": Answer(401, (("Content-Type", "text/plain"),), f"unknown: {TOKEN}".encode()),
    "page": Answer(200, (("Content-Type", "text/html"),), b"<html>"),
    "other": Answer(200, (("Content-Type", "text/plain"),), b"hello"),
    "busy": status(503, retry_after="600"),
}
SAID = {
    "well": "it can be reached",
    "token": "{}/token/v1/metrics does not take our credentials (401: unknown: …); look at the token, the password or the headers",
    "page": "{}/page/v1/metrics answered 200 with a page for people: this looks like a web page or proxy, not an OTLP receiver; "
    "look at the endpoint",
    "other": "it can be reached; {}/other/v1/metrics answered 200 in no form that OTLP has; look whether an OTLP receiver is there",
    "busy": "{}/busy/v1/metrics is busy or not ready (503); it asks us to wait 600 s",
}


def test_each_sink_is_tried_and_told(tmp_path: Path) -> None:
    """Exit code 69 as long as one cannot be reached."""
    (tmp_path / "token").write_text(TOKEN)

    def answered(request: Request) -> Answer:
        return ANSWERS[request.target.split("/")[1]]

    with HttpSink(answered) as receiver:

        def check(*names: str) -> tuple[int, str]:
            config = tmp_path / "agentd.toml"
            sections = (
                f'[sink."{name}"]\nkind = "otlp"\nendpoint = "{receiver.url}/{name}"\ntoken_file = "{tmp_path}/token"\n'
                for name in names
            )
            config.write_text("".join(sections))
            folders = ("--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path / "run"))
            done = run_agentd("--config", str(config), *folders, "--check-config", "--connect")
            return done.returncode, done.stdout + done.stderr

        code, said = check(*ANSWERS)
        assert code == 69
        for name, words in SAID.items():
            assert f"# {name}: {words.format(receiver.url.removeprefix('http://'))}\n" in said
        assert TOKEN not in said
        assert check("well", "other")[0] == 0
        assert all(request.content == b"" for request in receiver.requests)
    assert not (tmp_path / "state" / "sinks").exists()
