{{/* Settings of the agent: each variable is a line of `agentd --help`. */}}
{{- define "evergauge.environment" -}}
- name: EVERGAUGE_HOST_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: EVERGAUGE_STATE_DIR
  value: /var/lib/evergauge
- name: EVERGAUGE_RUNTIME_DIR
  value: /run/evergauge
- name: EVERGAUGE_KERNEL_CGROUP_ROOT
  value: /host/sys/fs/cgroup
- name: EVERGAUGE_LOG_FORMAT
  value: json
- name: EVERGAUGE_LOG_LEVEL
  value: {{ ternary "debug" "info" .Values.collector.verbose }}
- name: EVERGAUGE_GATEWAY_ADDRESS
  {{- if eq .Values.gateway.address "node" }}
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
  {{- else }}
  value: {{ .Values.gateway.address | quote }}
  {{- end }}
- name: EVERGAUGE_GATEWAY_PORT
  value: {{ .Values.gateway.port | quote }}
{{- if ne .Values.gateway.address "127.0.0.1" }}
# The page is for the node itself: beyond it, it needs a token and TLS, or a proxy (docs/pages.md), by extraEnv.
- name: EVERGAUGE_GATEWAY_PAGE
  value: "false"
{{- end }}
- name: EVERGAUGE_WRITER_STORAGE_QUOTA
  value: {{ .Values.storage.quota | quote }}
- name: EVERGAUGE_SAMPLER_RESCTRL_ENABLED
  value: {{ .Values.resctrl.enabled | quote }}
{{- if .Values.resctrl.enabled }}
- name: EVERGAUGE_SAMPLER_RESCTRL_INTERVAL
  value: {{ .Values.resctrl.samplingInterval | quote }}
- name: EVERGAUGE_RESCTRL_MOUNT
  value: {{ .Values.resctrl.mountpoint }}
{{- end }}
- name: EVERGAUGE_NRI_ENABLED
  value: {{ ternary (ternary "true" "auto" .Values.nri.failIfUnavailable) "false" .Values.nri.enabled | quote }}
{{- if .Values.nri.enabled }}
- name: EVERGAUGE_NRI_SOCKET_PATH
  value: /host/nri/{{ base .Values.nri.socketPath }}
{{- end }}
- name: EVERGAUGE_CRI_ENABLED
  value: {{ ternary "auto" "false" .Values.cri.enabled | quote }}
{{- if .Values.cri.enabled }}
- name: EVERGAUGE_CRI_SOCKET_PATH
  value: /host/cri/{{ base .Values.cri.socketPath }}
{{- end }}
{{- end -}}

{{- define "evergauge.mounts" -}}
- name: state
  mountPath: /var/lib/evergauge
- name: run
  mountPath: /run/evergauge
- name: tmp
  mountPath: /tmp
- name: cgroup
  mountPath: /host/sys/fs/cgroup
  # Read for the pods of the node; nothing in it is changed. On hosts with cgroup v1 every controller is a mount of its own.
  readOnly: true
  recursiveReadOnly: IfPossible
{{- if .Values.resctrl.enabled }}
- name: resctrl
  mountPath: {{ .Values.resctrl.mountpoint }}
  # Mounted again on the node, it is mounted again here.
  mountPropagation: HostToContainer
{{- end }}
{{- if .Values.nri.enabled }}
# The folder, since a runtime that restarts makes its socket again. Connecting needs no right to write.
- name: nri
  mountPath: /host/nri
  readOnly: true
{{- end }}
{{- if .Values.cri.enabled }}
- name: cri
  mountPath: /host/cri
  readOnly: true
{{- end }}
{{- if include "evergauge.config" . }}
- name: config
  mountPath: /etc/evergauge
  readOnly: true
{{- end }}
{{- if .Values.hub.invitationSecret }}
- name: invitation
  mountPath: /etc/evergauge-hub
  readOnly: true
{{- end }}
{{- end -}}

{{- define "evergauge.volumes" -}}
- name: state
  {{- if eq .Values.storage.volume "hostPath" }}
  hostPath:
    path: {{ .Values.storage.hostPath }}
    type: DirectoryOrCreate
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: run
  emptyDir:
    medium: Memory
    sizeLimit: 16Mi
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
- name: cgroup
  hostPath:
    path: /sys/fs/cgroup
    type: Directory
{{- if .Values.resctrl.enabled }}
- name: resctrl
  hostPath:
    path: {{ .Values.resctrl.mountpoint }}
    # A node without resctrl has none: the pod waits there, and its events say so.
    type: Directory
{{- end }}
{{- if .Values.nri.enabled }}
- name: nri
  hostPath:
    path: {{ dir .Values.nri.socketPath }}
    # Made empty where the runtime has no NRI, so that the agent starts and reports it.
    type: DirectoryOrCreate
{{- end }}
{{- if .Values.cri.enabled }}
- name: cri
  hostPath:
    path: {{ dir .Values.cri.socketPath }}
    type: Directory
{{- end }}
{{- if include "evergauge.config" . }}
- name: config
  configMap:
    name: {{ include "evergauge.name" . }}
{{- end }}
{{- if .Values.hub.invitationSecret }}
- name: invitation
  secret:
    secretName: {{ .Values.hub.invitationSecret }}
    # An agent starts without it, and joins once it is there.
    optional: true
    defaultMode: 0400
{{- end }}
{{- end -}}
