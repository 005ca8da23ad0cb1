{{/* What an accepted value cannot be in this version, each with a sentence that says what to do. */}}
{{- define "evergauge.refusals" -}}
{{- if ne .Values.storage.type "local" -}}
{{- fail "storage.type: this version stores files on the node only; set storage.type=local and fetch them from storage.hostPath" -}}
{{- end -}}
{{- if ne .Values.storage.prefix "" -}}
{{- fail "storage.prefix: this version names files by table and node; leave it empty" -}}
{{- end -}}
{{- if ne .Values.resctrl.prefix "resctrl-occupancy-" -}}
{{- fail "resctrl.prefix: in this version files with cache and bandwidth begin with resctrl-occupancy-; leave it as it is" -}}
{{- end -}}
{{- if or .Values.nri.configure .Values.nri.restart -}}
{{- fail "nri.configure and nri.restart: this chart never changes the container runtime; enable NRI on the nodes as docs/kubernetes.md says" -}}
{{- end -}}
{{- if and .Values.nri.failIfUnavailable (not .Values.nri.enabled) -}}
{{- fail "nri.failIfUnavailable needs nri.enabled=true" -}}
{{- end -}}
{{- if and .Values.resctrl.autoMountHost (not .Values.resctrl.enabled) -}}
{{- fail "resctrl.autoMountHost needs resctrl.enabled=true" -}}
{{- end -}}
{{- if and .Values.resctrl.autoMountHost (ne .Values.resctrl.mountpoint "/sys/fs/resctrl") -}}
{{- fail "resctrl.autoMountHost mounts on /sys/fs/resctrl, which the kernel makes; leave resctrl.mountpoint as it is" -}}
{{- end -}}
{{- if and .Values.resctrl.enabled (eq .Values.resctrl.mountpoint "/") -}}
{{- fail "resctrl.mountpoint: the folder of the node where resctrl is mounted, such as /sys/fs/resctrl" -}}
{{- end -}}
{{- include "evergauge.refuse.interval" .Values.resctrl.samplingInterval -}}
{{- range $name, $path := dict "nri.socketPath" .Values.nri.socketPath "cri.socketPath" .Values.cri.socketPath -}}
{{- if eq (dir $path) "/" -}}
{{- fail (printf "%s: the folder of the socket is mounted, and that of %s is the whole node" $name $path) -}}
{{- end -}}
{{- end -}}
{{- range $name, $path := dict "nri.socketPath" .Values.nri.socketPath "cri.socketPath" .Values.cri.socketPath "storage.hostPath" .Values.storage.hostPath "resctrl.mountpoint" .Values.resctrl.mountpoint -}}
{{- if has ".." (splitList "/" $path) -}}
{{- fail (printf "%s: Kubernetes takes no path with .." $name) -}}
{{- end -}}
{{- end -}}
{{- $surge := toString (dig "rollingUpdate" "maxSurge" "0" .Values.updateStrategy) -}}
{{- if not (has $surge (list "0" "0%")) -}}
{{- fail "updateStrategy.rollingUpdate.maxSurge: two agents of a node would want the same port and folder; leave it at 0" -}}
{{- end -}}
{{- if and (eq .Values.mode "sample") (hasKey .Values.affinity "podAntiAffinity") -}}
{{- fail "affinity.podAntiAffinity: with mode=sample the chart sets it, so that no node has two agents; use nodeAffinity or nodeSelector" -}}
{{- end -}}
{{- range $name, $value := .Values.podLabels -}}
{{- if has $name (list "app.kubernetes.io/name" "app.kubernetes.io/instance") -}}
{{- fail (printf "podLabels: the chart finds its pods by %s; choose another name" $name) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .Values.podAnnotations "checksum/config" -}}
{{- fail "podAnnotations: checksum/config is the chart's own; choose another name" -}}
{{- end -}}
{{- if and .Values.hub.invitationSecret (regexMatch "(?m)^\\s*\\[\\s*sink\\.\"?hub\"?\\s*\\]" .Values.config) -}}
{{- fail "hub.invitationSecret: the settings in config have a sink named hub already; name it otherwise" -}}
{{- end -}}
{{- $ours := list -}}
{{- range include "evergauge.environment" . | fromYamlArray -}}{{- $ours = append $ours .name -}}{{- end -}}
{{- range .Values.extraEnv -}}
{{- if has .name $ours -}}
{{- fail (printf "extraEnv: %s is set by a value of this chart; see docs/kubernetes.md" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The agent's own range, which no schema can say of a text with a unit. */}}
{{- define "evergauge.refuse.interval" -}}
{{- $scale := ternary 1.0 (ternary 60000.0 1000.0 (hasSuffix "m" .)) (hasSuffix "ms" .) -}}
{{- $ms := mulf (float64 (regexFind "^[0-9.]+" .)) $scale -}}
{{- if or (lt $ms 50.0) (gt $ms 600000.0) -}}
{{- fail (printf "resctrl.samplingInterval: %s is not from 50ms to 10m" .) -}}
{{- end -}}
{{- end -}}
