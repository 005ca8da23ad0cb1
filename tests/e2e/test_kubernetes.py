"""The chart and the manifests, by a real helm and the schemas of Kubernetes: what they accept, refuse and give."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import agent
from agent.capability import GRANTED

CHECKOUT = Path(__file__).parents[2]
KUBERNETES = CHECKOUT / "scripts" / "kubernetes"
CHART = str(KUBERNETES / "chart")
HELM = str(CHECKOUT / "scripts" / "lab" / "helm")
SCHEMAS = str(CHECKOUT / "scripts" / "lab" / "kubernetes-schemas")
# The oldest that the chart takes (its kubeVersion), and the newest that the schemas have.
OLDEST, NEWEST = "1.30", "1.37"
# Every choice that adds or removes lines together with others; 72 combinations.
CHOICES = (
    ("mode=all", "mode=sample"),
    ("resctrl.enabled=false", "resctrl.enabled=true", "resctrl.enabled=true,resctrl.autoMountHost=true"),
    ("nri.enabled=false", "nri.enabled=true", "nri.enabled=true,nri.failIfUnavailable=true"),
    ("cri.enabled=false", "cri.enabled=true"),
    ("storage.volume=hostPath", "storage.volume=emptyDir"),
)
# What changes a line of its own.
ALONE = (
    "gateway.address=node,gateway.port=9999",
    "collector.verbose=true",
    "storage.quota=2GiB,storage.hostPath=/srv/gauges",
    "image.repository=registry.example.org/evergauge,image.tag=v7,imagePullSecrets[0].name=key",
    "priorityClassName=,seLinuxType=",
    "resctrl.enabled=true,resctrl.samplingInterval=250ms,resctrl.mountpoint=/srv/resctrl",
    "cri.enabled=true,cri.socketPath=/run/crio/crio.sock,nri.socketPath=/run/nri/other.sock",
    f"image.digest=sha256:{0:064}",
    "capabilities={SYS_PTRACE}",
    "capabilities=null",
    "serviceAccountName=gauges,extraEnv[0].name=EVERGAUGE_SAMPLER_PROCESS_INTERVAL,extraEnv[0].value=2s",
    "updateStrategy.type=OnDelete,updateStrategy.rollingUpdate=null",
    "hub.enabled=true",
    "hub.enabled=true,hub.invitationSecret=evergauge-invitation,hub.storage.claim=gauges,hub.service.type=NodePort,hub.name=central",
    "hub.invitationSecret=evergauge-invitation",
    "mode=sample,affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=1,"
    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].key=a,"
    "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].operator=Exists",
)
CONFIGURATION = '[sampler.process]\ninterval = "500ms"\n'

# The first test waits for helm too, which is built once on a machine.
pytestmark = pytest.mark.timeout(600)


def _run(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, input=given, capture_output=True, text=True, timeout=500, check=False, cwd=CHECKOUT)


def _rendered(*sets: str, values: str = "{}") -> str:
    words = [HELM, "template", "evergauge", CHART, "--namespace", "evergauge", "--values", "-"]
    ended = _run(*words, *(word for each in sets for word in ("--set", each)), given=values)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _refusal(*sets: str) -> str:
    ended = _run(HELM, "template", "evergauge", CHART, *(word for each in sets for word in ("--set", each)))
    assert (ended.returncode, ended.stdout) == (1, ""), ended.stdout
    return ended.stderr


def _documents(text: str) -> list[dict[str, Any]]:
    ended = _run(SCHEMAS, "json", given=text)
    assert ended.returncode == 0, ended.stderr
    documents: list[dict[str, Any]] = json.loads(ended.stdout)
    return documents


def _pod(*sets: str, values: str = "{}") -> dict[str, Any]:
    documents = _documents(_rendered(*sets, values=values))
    (workload,) = (each for each in documents if each["kind"] in ("DaemonSet", "Deployment"))
    pod: dict[str, Any] = workload["spec"]["template"]["spec"]
    return pod


def _environment(pod: dict[str, Any]) -> dict[str, str]:
    """The agent's variables; those that the cluster fills in have an address and a name of a node."""
    (container,) = pod["containers"]
    filled = {"spec.nodeName": "node-7", "status.hostIP": "192.0.2.7"}
    return {
        each["name"]: each["value"] if "value" in each else filled[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container["env"]
    }


def _workload(document: dict[str, Any]) -> bool:
    return document["kind"] in ("DaemonSet", "Deployment")


def test_every_choice_is_rendered_fits_the_schemas_and_is_understood_by_the_agent() -> None:
    """Of each combination of switches: Kubernetes takes the documents, and agentd the variables."""
    rendered = [_rendered(*sets) for sets in itertools.product(*CHOICES)] + [_rendered(sets) for sets in ALONE]
    rendered.append(_rendered(values=json.dumps({"config": CONFIGURATION, "podLabels": {"a": "b"}, "podAnnotations": {"c": "d"}})))
    assert len(set(rendered)) == len(rendered) > 72
    everything = "\n---\n".join(rendered)
    for version in (OLDEST, NEWEST):
        checked = _run(SCHEMAS, "check", version, given=everything)
        assert checked.returncode == 0, checked.stderr
    pods = [document["spec"]["template"]["spec"] for document in _documents(everything) if _workload(document)]
    for environment in {json.dumps(_environment(pod), sort_keys=True) for pod in pods}:
        _assert_understood(json.loads(environment))


def _assert_understood(environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", "from agent.daemon.main import main; main()", "--check-config"]
    ended = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, (environment, ended.stderr)
    for name, value in environment.items():
        assert value in ended.stdout, (name, value, ended.stdout)


def test_the_manifests_are_what_the_chart_gives() -> None:
    """For those without helm: the same lines, and both are made again when the chart changes."""
    checked = _run(str(KUBERNETES / "render"), "--check")
    assert checked.returncode == 0, checked.stderr
    for name in ("evergauge.yaml", "evergauge-resctrl.yaml"):
        text = (KUBERNETES / name).read_text()
        checked = _run(SCHEMAS, "check", NEWEST, given=text)
        assert checked.returncode == 0, checked.stderr
        assert [document["kind"] for document in _documents(text)] == ["Namespace", "DaemonSet"]


def test_a_manifest_that_kubernetes_would_not_take_is_found() -> None:
    """The judge itself: a word that no schema has, and a value of another type."""
    text = _rendered()
    for right, wrong in (("hostPID: true", "hostPid: true"), ("hostNetwork: true", "hostNetwork: maybe")):
        checked = _run(SCHEMAS, "check", NEWEST, given=text.replace(right, wrong))
        assert (checked.returncode, "DaemonSet evergauge: spec/template/spec" in checked.stderr) == (1, True), checked.stderr


def test_an_agent_has_the_least_that_works() -> None:
    """Nothing privileged, two capabilities, all folders of the node read-only but its own, no word to the cluster."""
    pod = _pod("cri.enabled=true")
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": [name.removeprefix("CAP_") for name in GRANTED]},
        "appArmorProfile": {"type": "Unconfined"},
    }
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"], pod["hostPID"]) == (False, False, True)
    assert "initContainers" not in pod
    of_the_node = {volume["name"] for volume in pod["volumes"] if "hostPath" in volume}
    writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert of_the_node == {"state", "cgroup", "nri", "cri"}
    assert of_the_node & writable == {"state"}
    fewer = _pod("capabilities={NET_ADMIN}"), _pod("capabilities=null")
    assert [pod["containers"][0]["securityContext"]["capabilities"] for pod in fewer] == [
        {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        {"drop": ["ALL"]},
    ]
    with_resctrl = _pod("resctrl.enabled=true")
    assert with_resctrl["containers"][0]["securityContext"] == container["securityContext"]
    assert "initContainers" not in with_resctrl


def test_only_mounting_resctrl_is_privileged_and_only_where_it_is_asked_for() -> None:
    """A container that ends before the agent starts; the agent beside it has no more than without it."""
    pod = _pod("resctrl.enabled=true", "resctrl.autoMountHost=true")
    (mount,) = pod["initContainers"]
    assert mount["securityContext"]["privileged"]
    assert mount["command"][0] == "nsenter"
    assert pod["containers"][0]["securityContext"] == _pod()["containers"][0]["securityContext"]


def test_a_configuration_is_a_file_that_the_agent_takes(tmp_path: Path) -> None:
    """Word for word, where agentd looks for it; another text is another pod, so that agents restart."""
    values = json.dumps({"config": CONFIGURATION})
    texts = _rendered(), _rendered(values=values)
    kinds = {document["kind"]: document for document in _documents(texts[1])}
    assert kinds["ConfigMap"]["data"] == {"agentd.toml": CONFIGURATION}
    assert {"name": "config", "mountPath": "/etc/evergauge", "readOnly": True} in _pod(values=values)["containers"][0][
        "volumeMounts"
    ]
    sums = {line for text in texts for line in text.splitlines() if "checksum/config" in line}
    assert len(sums) == 2


def test_a_hub_has_nothing_of_a_node_and_nodes_join_it_by_a_secret() -> None:
    """One pod without rights and without folders of the node, behind a Service; the agents get the invitation and a sink."""
    documents = {
        (each["kind"], each["metadata"]["name"]): each
        for each in _documents(_rendered("hub.enabled=true", "hub.invitationSecret=evergauge-invitation"))
    }
    hub = documents["Deployment", "evergauge-hub"]
    pod = hub["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["securityContext"]["runAsNonRoot"], "hostPID" in pod, "hostNetwork" in pod) == (True, False, False)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
    service = documents["Service", "evergauge-hub"]
    assert {port["port"] for port in service["spec"]["ports"]} == {9465, 9466}
    assert service["spec"]["selector"] == hub["spec"]["selector"]["matchLabels"]
    settings = documents["ConfigMap", "evergauge"]["data"]["agentd.toml"]
    assert 'invitation_file = "/etc/evergauge-hub/invitation"' in settings
    agents = documents["DaemonSet", "evergauge"]["spec"]["template"]["spec"]
    (secret,) = [volume for volume in agents["volumes"] if "secret" in volume]
    assert secret["secret"]["secretName"] == "evergauge-invitation"
    assert documents["DaemonSet", "evergauge"]["spec"]["selector"]["matchLabels"] != service["spec"]["selector"]


def test_a_sample_of_nodes_has_one_agent_each() -> None:
    """A Deployment of so many, which never puts two on one node."""
    (document,) = _documents(_rendered("mode=sample", "sampleSize=3"))
    assert (document["kind"], document["spec"]["replicas"], document["spec"]["strategy"]) == ("Deployment", 3, {"type": "Recreate"})
    (term,) = document["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == document["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        ("storage.type=s3", "storage.type: this version stores files on the node only"),
        ("storage.type=nfs", "/storage/type"),
        ("storage.prefix=mine-", "storage.prefix: this version names files by table and node"),
        ("resctrl.prefix=mine-", "resctrl.prefix: in this version"),
        ("nri.configure=true", "this chart never changes the container runtime"),
        ("nri.restart=true", "this chart never changes the container runtime"),
        ("nri.enabled=false,nri.failIfUnavailable=true", "nri.failIfUnavailable needs nri.enabled=true"),
        ("resctrl.autoMountHost=true", "resctrl.autoMountHost needs resctrl.enabled=true"),
        ("resctrl.enabled=true,resctrl.autoMountHost=true,resctrl.mountpoint=/x", "mounts on /sys/fs/resctrl"),
        ("resctrl.samplingInterval=soon", "/resctrl/samplingInterval"),
        ("resctrl.mountpoint=/a b", "/resctrl/mountpoint"),
        ("resctrl.enable=true", "additional properties 'enable' not allowed"),
        ("sampleSize=0", "/sampleSize"),
        ("gateway.port=80", "/gateway/port"),
        ("gateway.address=0.0.0.0", "/gateway/address"),
        ("storage.quota=lots", "/storage/quota"),
        ("resctrl.samplingInterval=10ms", "resctrl.samplingInterval: 10ms is not from 50ms to 10m"),
        ("resctrl.samplingInterval=10.5m", "resctrl.samplingInterval: 10.5m is not from 50ms to 10m"),
        ("nri.socketPath=/nri.sock", "that of /nri.sock is the whole node"),
        ("cri.socketPath=/cri.sock", "that of /cri.sock is the whole node"),
        ("storage.hostPath=/var/../etc", "storage.hostPath: Kubernetes takes no path with .."),
        ("image.tag=a b", "/image/tag"),
        ("image.digest=sha256:12", "/image/digest"),
        ("updateStrategy.rollingUpdate.maxSurge=1", "two agents of a node would want the same port and folder"),
        ("updateStrategy.rollingUpdate.maxSurge=25%", "two agents of a node would want the same port and folder"),
        ("updateStrategy.type=Recreate", "/updateStrategy/type"),
        ("mode=sample,affinity.podAntiAffinity.x=1", "with mode=sample the chart sets it"),
        ("podLabels.app\\.kubernetes\\.io/name=x", "podLabels: the chart finds its pods by app.kubernetes.io/name"),
        ("podAnnotations.checksum/config=x", "podAnnotations: checksum/config is the chart's own"),
        (
            "extraEnv[0].name=EVERGAUGE_LOG_LEVEL,extraEnv[0].value=x",
            "extraEnv: EVERGAUGE_LOG_LEVEL is set by a value of this chart",
        ),
        ("extraEnv[0].value=x", "/extraEnv/0"),
        ("capabilities={SYS_ADMIN}", "/capabilities/0"),
        ("nodeSelectors.a=b", "additional properties 'nodeSelectors' not allowed"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(sets: str, sentence: str) -> None:
    """By the schema where a value has no meaning, else by a word on what to do."""
    assert sentence in _refusal(sets)


def test_options_have_the_names_that_people_know_from_other_collectors() -> None:
    """Each is accepted under that name, and does what it says or is at its only value."""
    sets = (
        "resctrl.enabled=true,resctrl.samplingInterval=2s,resctrl.mountpoint=/srv/resctrl,resctrl.prefix=resctrl-occupancy-",
        "resctrl.autoMountHost=false,nri.configure=false,nri.restart=false,nri.failIfUnavailable=true",
        "storage.type=local,storage.prefix=,collector.verbose=true,mode=all,sampleSize=5",
    )
    told = _environment(_pod(*sets))
    assert told["EVERGAUGE_SAMPLER_RESCTRL_ENABLED"] == "true"
    assert told["EVERGAUGE_SAMPLER_RESCTRL_INTERVAL"] == "2s"
    assert told["EVERGAUGE_RESCTRL_MOUNT"] == "/srv/resctrl"
    assert told["EVERGAUGE_NRI_ENABLED"] == "true"
    assert told["EVERGAUGE_LOG_LEVEL"] == "debug"


def test_what_helm_says_at_the_end_is_what_to_do_next(tmp_path: Path) -> None:
    """Commands for this release, and what the chosen values leave out."""
    chart = shutil.copytree(CHART, tmp_path / "chart")
    # Only a cluster shows the notes; as a template they are rendered without one.
    notes = (chart / "templates" / "NOTES.txt").read_text()
    wrapped = '{{- define "notes" -}}' + notes + '{{- end -}}notes: {{ include "notes" . | quote }}'
    (chart / "templates" / "shown.yaml").write_text(wrapped)

    def told(*sets: str) -> str:
        words = [HELM, "template", "night", str(chart), "--namespace", "gauges", "--show-only", "templates/shown.yaml"]
        (document,) = _documents(_run(*words, *(word for each in sets for word in ("--set", each))).stdout)
        return str(document["notes"])

    plain = told()
    assert "kubectl --namespace gauges rollout status daemonset/night-evergauge" in plain
    assert "exec POD -- agentctl doctor" in plain
    assert "Cache and memory bandwidth are not measured" in plain
    assert "Pods have no names" not in plain
    other = told("mode=sample,resctrl.enabled=true,nri.enabled=false,storage.volume=emptyDir,gateway.address=node")
    assert "rollout status deployment/night-evergauge" in other
    for word in ("Pods have no names", "Data go with each pod", "http://NODE:9464/metrics"):
        assert word in other
    assert "Cache and memory bandwidth" not in other


def test_objects_are_labelled_as_kubernetes_recommends_and_selected_by_what_never_changes() -> None:
    """An upgrade changes the version and not the selector, which Kubernetes would refuse."""
    documents = _documents(_rendered(values=json.dumps({"config": CONFIGURATION})))
    for document in documents:
        labels = document["metadata"]["labels"]
        recommended = {"name", "instance", "version", "component", "managed-by"}
        assert {f"app.kubernetes.io/{name}" for name in recommended} | {"helm.sh/chart"} == set(labels)
    (workload,) = filter(_workload, documents)
    assert set(workload["spec"]["selector"]["matchLabels"]) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}


def test_an_older_kubernetes_is_refused() -> None:
    """It would drop the line on AppArmor without a word."""
    ended = _run(HELM, "template", "evergauge", CHART, "--kube-version", "1.29.0")
    assert (ended.returncode, "chart requires kubeVersion" in ended.stderr) == (1, True)


def test_the_chart_is_of_this_version_and_says_what_it_starts() -> None:
    """Its version is the agent's, helm's own judgement finds nothing, and two releases do not meet."""
    about = (KUBERNETES / "chart" / "Chart.yaml").read_text()
    assert f'version: {agent.__version__}\nappVersion: "{agent.__version__}"' in about
    linted = _run(HELM, "lint", "--strict", CHART)
    assert linted.returncode == 0, linted.stdout
    assert f'image: "localhost/evergauge:{agent.__version__}"' in _rendered()
    names = {
        _documents(_run(HELM, "template", name, CHART).stdout)[0]["metadata"]["name"]
        for name in ("evergauge", "night", "evergauge-b")
    }
    assert names == {"evergauge", "night-evergauge", "evergauge-b"}
