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
{{- end -}}
