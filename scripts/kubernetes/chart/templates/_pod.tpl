{{- define "evergauge.labels" -}}
app.kubernetes.io/name: evergauge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* For people and tools; never a selector, which cannot change. */}}
{{- define "evergauge.about" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: agent
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "evergauge.name" -}}
{{- if contains "evergauge" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}-evergauge{{ end -}}
{{- end -}}

{{- define "evergauge.image" -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end -}}

{{/* The settings file of the agents: what the values say, and the hub that they report to. */}}
{{- define "evergauge.config" -}}
{{- .Values.config -}}
{{- if .Values.hub.invitationSecret }}

# The hub: the invitation is of a Secret.
[sink."hub"]
kind = "hub"
invitation_file = "/etc/evergauge-hub/invitation"
{{ end -}}
{{- end -}}

{{/* The pod of an agent, the same in every mode. */}}
{{- define "evergauge.pod" -}}
metadata:
  labels:
    {{- include "evergauge.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A changed configuration is a changed pod: the agents restart with it.
    checksum/config: {{ include "evergauge.config" . | sha256sum }}
    kubectl.kubernetes.io/default-container: agent
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  # The processes of the node are what the agent measures, and ids of threads in resctrl are those of the reader's namespace.
  hostPID: true
  # The kernel reports forks and exits in the node's network namespace only, whose interfaces and connections are measured too.
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  # The agent asks nothing of the cluster.
  automountServiceAccountToken: false
  {{- with .Values.serviceAccountName }}
  serviceAccountName: {{ . }}
  {{- end }}
  # Variables of the cluster's services, of which the agent uses none.
  enableServiceLinks: false
  # The agent stops within 1.5 s (supervisor.stop_timeout).
  terminationGracePeriodSeconds: 10
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if eq .Values.mode "sample" }}
  affinity:
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "evergauge.labels" . | nindent 14 }}
    {{- with .Values.affinity }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- else }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  securityContext:
    # The agent is root among its own files, and the kernel lets only root's processes move threads of others.
    runAsUser: 0
    runAsGroup: 0
    runAsNonRoot: false
    seccompProfile:
      type: RuntimeDefault
    {{- with .Values.seLinuxType }}
    seLinuxOptions:
      type: {{ . }}
    {{- end }}
  {{- if .Values.resctrl.autoMountHost }}
  initContainers:
    {{- include "evergauge.mount" . | nindent 4 }}
  {{- end }}
  containers:
    - name: agent
      image: {{ include "evergauge.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        privileged: false
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
          {{- if .Values.capabilities }}
          add:
            {{- if has "NET_ADMIN" .Values.capabilities }}
            # The kernel's exit records, without which the CPU of short-lived processes is guessed. Kept by one worker.
            - NET_ADMIN
            {{- end }}
            {{- if has "SYS_PTRACE" .Values.capabilities }}
            # io and smaps_rollup of processes of other users. Kept by the same worker.
            - SYS_PTRACE
            {{- end }}
          {{- end }}
        # The runtimes' default profile forbids both to read processes outside the container, and to write to /sys/fs/resctrl.
        appArmorProfile:
          type: Unconfined
      env:
        {{- include "evergauge.environment" . | nindent 8 }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: {{ .Values.gateway.port }}
          protocol: TCP
      startupProbe:
        {{- include "evergauge.probe" (dict "root" . "path" "/live") | nindent 8 }}
        periodSeconds: 1
        failureThreshold: 60
      livenessProbe:
        {{- include "evergauge.probe" (dict "root" . "path" "/live") | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        # The supervisor repairs what can be repaired within seconds; this is for what it cannot.
        failureThreshold: 6
      readinessProbe:
        {{- include "evergauge.probe" (dict "root" . "path" "/ready") | nindent 8 }}
        periodSeconds: 5
        timeoutSeconds: 5
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- include "evergauge.mounts" . | nindent 8 }}
  volumes:
    {{- include "evergauge.volumes" . | nindent 4 }}
{{- end -}}

{{/* kubelet asks from the node's network, where the agent listens too: over HTTP, which costs no process as exec would. */}}
{{- define "evergauge.probe" -}}
httpGet:
  {{- if ne .root.Values.gateway.address "node" }}
  host: {{ .root.Values.gateway.address }}
  {{- end }}
  path: {{ .path }}
  port: http
{{- end -}}

{{/* Mounts resctrl on the node, where it is not: the only privileged container, which ends before the agent starts. */}}
{{- define "evergauge.mount" -}}
- name: mount-resctrl
  image: {{ include "evergauge.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  securityContext:
    # It enters the mount namespace of the node's first process and mounts there.
    privileged: true
    readOnlyRootFilesystem: true
  command: [nsenter, --target=1, --mount, --]
  args:
    - sh
    - -c
    - grep -q '^[^ ]* {{ .Values.resctrl.mountpoint }} resctrl ' /proc/mounts || mount -t resctrl resctrl {{ .Values.resctrl.mountpoint }}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
{{- end -}}
