"""A real Prometheus, which takes remote writes and scrapes, and answers queries; and its promtool.

with Prometheus(folder, "new", scrape=["127.0.0.1:9464"]) as prometheus:
    ...                                         # POST to prometheus.write_url, or wait for scrapes
    prometheus.query('evergauge_up{host="a"}')  # [Series(labels={…}, samples=((1700000000.0, 1.0),), histograms=())]
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from harness.sinks.program import SinkProgram, ask, get, sink_folder
from harness.waiting import DEADLINE_SECONDS

# "old" is Debian 12's, which knows remote write 1.0 alone; "new" knows 2.0 and OTLP too.
Version = Literal["old", "new"]
COMPONENTS: Mapping[Version, str] = {"old": "prometheus", "new": "prometheus-new"}


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: times in seconds since 1970 with values, in order.

    A histogram is as the interface gives it: `count` and `sum` as text, `buckets` as [which bounds belong, lower, upper, count].
    """

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]
    histograms: tuple[tuple[float, Mapping[str, Any]], ...]


class Refused(AssertionError):
    """Prometheus could not answer a query, and says why."""


class Prometheus(SinkProgram):
    """Use it as a context. Native histograms are on; what it had acknowledged is there after a SIGKILL too.

    `out_of_order_window` is how much older than the newest sample of a series another one may be (`30m`; 0 refuses all that are
    older). Each of `scrape` is HOST:PORT, asked for /metrics every `scrape_interval`, as job `test`.
    """

    def __init__(
        self,
        folder: Path,
        version: Version = "new",
        *,
        out_of_order_window: str = "0s",
        scrape: Sequence[str] = (),
        scrape_interval: str = "1s",
    ) -> None:
        self.component = COMPONENTS[version]
        super().__init__(folder)
        self._version = version
        self._out_of_order_window = out_of_order_window
        self._scrape = list(scrape)
        self._scrape_interval = scrape_interval
        self.port = self.take_port()
        self.promtool = Promtool(version)

    @property
    def url(self) -> str:
        """Its root, without a slash at the end."""
        return f"http://{self.address}:{self.port}"

    @property
    def write_url(self) -> str:
        """Where remote writes go."""
        return f"{self.url}/api/v1/write"

    @property
    def otlp_url(self) -> str:
        """Where metrics go as OTLP over HTTP; the new version only."""
        return f"{self.url}/api/v1/otlp/v1/metrics"

    def command(self) -> Sequence[str | Path]:
        """The configuration, which is JSON and so YAML, is written at each start."""
        path = self.folder / "prometheus.yaml"
        path.write_text(json.dumps(self._configuration(), indent=1))
        words: list[str | Path] = [
            self.programs / "prometheus",
            f"--config.file={path}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            # Tests write samples of any time.
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={self.address}:{self.port}",
            "--web.enable-remote-write-receiver",
            "--web.enable-lifecycle",
        ]
        if self._version == "new":
            # Without the second word the first scrape comes after 5 s, as it does with the old version, which does not know it.
            return [*words, "--web.enable-otlp-receiver", "--scrape.discovery-reload-interval=100ms"]
        return [*words, "--enable-feature=native-histograms"]

    def is_ready(self) -> bool:
        """What was written before has been read again, too."""
        return get(self.port, "/-/ready", address=self.address)[0] == 200

    def query(self, expression: str, at: float | None = None) -> list[Series]:
        """What an expression is at a time, by default now. *Raises:* Refused."""
        found = self._ask("query", {"query": expression} | ({} if at is None else {"time": str(at)}))
        match found["resultType"]:
            case "scalar":
                return [_series({"value": found["result"]})]
            case _:
                return [_series(each) for each in found["result"]]

    def query_range(self, expression: str, start: float, end: float, step_seconds: float) -> list[Series]:
        """What an expression is from a time to another in steps. *Raises:* Refused."""
        words = {"query": expression, "start": str(start), "end": str(end), "step": str(step_seconds)}
        return [_series(each) for each in self._ask("query_range", words)["result"]]

    def series(self, match: str) -> list[dict[str, str]]:
        """The labels of all series of any time that a selector matches. *Raises:* Refused."""
        found: list[dict[str, str]] = self._ask("series", {"match[]": match})
        return found

    def samples(self, match: str) -> list[Series]:
        """What is stored for each series of a selector, up to now: samples at their own times, stale markers left out."""
        return self.query(f"{match}[100y]")

    def metadata(self) -> dict[str, list[dict[str, str]]]:
        """Type, unit and help of each metric that was scraped, by its name."""
        found: dict[str, list[dict[str, str]]] = self._ask("metadata", {})
        return found

    def _ask(self, operation: str, words: Mapping[str, str]) -> Any:
        # As a body it would need a type; a query fits into a line.
        status, body = ask(self.port, "GET", f"/api/v1/{operation}?{urlencode(words)}", address=self.address)
        answer = json.loads(body)
        if answer["status"] != "success":
            raise Refused(f"{status} {answer['errorType']}: {answer['error']}")
        return answer["data"]

    def _configuration(self) -> dict[str, Any]:
        scrape: dict[str, Any] = {
            "job_name": "test",
            "scrape_interval": self._scrape_interval,
            "scrape_timeout": self._scrape_interval,
            "static_configs": [{"targets": self._scrape}],
        }
        if self._version == "new":
            scrape["scrape_native_histograms"] = True
        return {
            "scrape_configs": [scrape] if self._scrape else [],
            "storage": {"tsdb": {"out_of_order_time_window": self._out_of_order_window}},
        }


def _series(found: Mapping[str, Any]) -> Series:
    values = found.get("values", [found["value"]] if "value" in found else [])
    histograms = found.get("histograms", [found["histogram"]] if "histogram" in found else [])
    return Series(
        labels=found.get("metric", {}),
        samples=tuple((float(at), float(value)) for at, value in values),
        histograms=tuple((float(at), value) for at, value in histograms),
    )


class Promtool:
    """The checker that comes with each version. Needs no Prometheus that runs."""

    def __init__(self, version: Version = "new") -> None:
        self._program = sink_folder(COMPONENTS[version]) / "promtool"

    def check_metrics(self, text: str) -> tuple[int, str]:
        """What it says of a page of metrics: 0 and nothing, 1 where it cannot be read, 3 where it breaks a habit."""
        return self._run("check", "metrics", given=text)

    def check_rules(self, *files: Path) -> tuple[int, str]:
        """Whether files of rules are right; 0, and what it found."""
        return self._run("check", "rules", *map(str, files))

    def test_rules(self, folder: Path) -> tuple[int, str]:
        """Run every file `*test.yaml` or `*test.yml` of a folder, at least one; 0 where all alerts are as it says there."""
        files = sorted(path for path in folder.iterdir() if path.name.endswith(("test.yaml", "test.yml")))
        assert files, f"no *test.yaml in {folder}"
        return self._run("test", "rules", *map(str, files))

    def _run(self, *words: str, given: str = "") -> tuple[int, str]:
        ended = subprocess.run(
            [self._program, *words], input=given, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )
        return ended.returncode, ended.stdout + ended.stderr
