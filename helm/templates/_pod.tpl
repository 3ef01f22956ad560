{{/* The pod: one container, one list of volumes, shared by all modes. */}}

{{/* Names of ports must not meet those of the application beside a sidecar. */}}
{{- define "weir.portName" -}}
{{- $name := index . 1 -}}
{{- if eq (index . 0).Values.mode "sidecar" }}weir-{{ end }}{{ $name -}}
{{- end -}}

{{- define "weir.volumes.ours" -}}
- name: weir-rules
  configMap:
    name: {{ include "weir.rulesConfigMap" . }}
- name: weir-enforcement
  configMap:
    name: {{ include "weir.fullname" . }}-enforcement
{{- if .Values.tls.enabled }}
- name: weir-tls
  secret:
    secretName: {{ include "weir.tlsSecret" . }}
{{- end }}
{{- if eq (include "weir.store" .) "redis" }}
{{- if include "weir.redisSecret" . }}
- name: weir-redis
  secret:
    secretName: {{ include "weir.redisSecret" . }}
    items:
      - key: {{ .Values.redis.existingSecretKey }}
        path: password
      {{- with .Values.redis.existingSecretSentinelKey }}
      - key: {{ . }}
        path: sentinel-password
      {{- end }}
{{- end }}
{{- with .Values.redis.tls }}
{{- if and .enabled .existingSecret }}
- name: weir-redis-tls
  secret:
    secretName: {{ .existingSecret }}
    items:
      - key: {{ .caKey }}
        path: ca.crt
      {{- if .certKey }}
      - key: {{ .certKey }}
        path: tls.crt
      - key: {{ .keyKey }}
        path: tls.key
      {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq .Values.mode "sidecar" }}
- name: weir-socket
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- end }}
{{- end -}}

{{- define "weir.volumes" -}}
{{- $ours := include "weir.volumes.ours" . | fromYamlArray -}}
{{- include "weir.merge" (dict "base" $ours "extra" .Values.extraVolumes "key" "name") -}}
{{- end -}}

{{/* Folders, never single files by subPath: those would not change with the ConfigMap or Secret. */}}
{{- define "weir.volumeMounts" -}}
{{- $folders := dict "weir-rules" "/etc/weir/rules" "weir-enforcement" "/etc/weir/enforcement"
  "weir-tls" "/etc/weir/tls" "weir-redis" "/etc/weir/redis" "weir-redis-tls" "/etc/weir/redis-tls" -}}
{{- $mounts := list -}}
{{- range include "weir.volumes.ours" . | fromYamlArray -}}
{{- $mount := dict "name" .name "mountPath" (index $folders .name | default "") "readOnly" true -}}
{{- if eq .name "weir-socket" }}
{{- $mount = dict "name" .name "mountPath" $.Values.sidecar.socketDir -}}
{{- end -}}
{{- $mounts = append $mounts $mount -}}
{{- end -}}
{{- include "weir.merge" (dict "base" $mounts "extra" .Values.extraVolumeMounts "key" "mountPath") -}}
{{- end -}}

{{/* (list . KEY PROBE): the probe of values wins; null is none. */}}
{{- define "weir.probe" -}}
{{- $values := (index . 0).Values -}}
{{- $key := index . 1 -}}
{{- if not (kindIs "invalid" (index $values $key)) }}
{{ $key }}:
  {{- index $values $key | default (index . 2) | toYaml | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "weir.probes" -}}
{{- $port := include "weir.portName" (list . "http") -}}
{{- $scheme := ternary "HTTPS" "HTTP" .Values.tls.http -}}
{{- $live := dict "httpGet" (dict "path" "/livez" "port" $port "scheme" $scheme) -}}
{{- $ready := dict "httpGet" (dict "path" "/readyz" "port" $port "scheme" $scheme) -}}
{{- $startup := $live -}}
{{- if .Values.grpcProbe -}}
{{- $live = dict "grpc" (dict "port" (int .Values.server.grpc.port)) -}}
{{- $ready = $live -}}
{{- end -}}
{{- include "weir.probe" (list . "startupProbe" (merge (dict "periodSeconds" 1 "failureThreshold" 60) $startup)) -}}
{{- include "weir.probe" (list . "livenessProbe"
  (merge (dict "periodSeconds" 10 "timeoutSeconds" 3 "failureThreshold" 3) $live)) -}}
{{- include "weir.probe" (list . "readinessProbe"
  (merge (dict "periodSeconds" 5 "timeoutSeconds" 2 "failureThreshold" 1) $ready)) -}}
{{- end -}}

{{/* In another pod the context of the pod is not ours: the container brings it all. */}}
{{- define "weir.containerSecurityContext" -}}
{{- $context := .Values.securityContext -}}
{{- if eq .Values.mode "sidecar" -}}
{{- $ofPod := pick .Values.podSecurityContext "runAsNonRoot" "runAsUser" "runAsGroup" "seccompProfile" -}}
{{- include "weir.overlay" (list $ofPod $context) -}}
{{- else -}}
{{- toYaml $context -}}
{{- end -}}
{{- end -}}

{{- define "weir.container" -}}
name: weir
image: {{ include "weir.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if eq .Values.mode "sidecar" }}
restartPolicy: Always
{{- end }}
command: [/usr/local/bin/weir]
args:
  - serve
  {{- with .Values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- include "weir.env" . | nindent 2 }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: {{ include "weir.portName" (list . "grpc") }}
    containerPort: {{ .Values.server.grpc.port | int }}
    protocol: TCP
  - name: {{ include "weir.portName" (list . "http") }}
    containerPort: {{ .Values.server.http.port | int }}
    protocol: TCP
{{- include "weir.probes" . }}
{{- with .Values.lifecycle }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "weir.containerSecurityContext" . | nindent 2 }}
volumeMounts:
  {{- include "weir.volumeMounts" . | nindent 2 }}
{{- end -}}

{{- define "weir.drainSeconds" -}}
{{- add (include "weir.drainDelaySeconds" . | int) (int .Values.drain.maxSeconds) -}}
{{- end -}}

{{- define "weir.terminationGracePeriodSeconds" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- add (include "weir.drainSeconds" . | int) 5 -}}
{{- else -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}

{{- define "weir.topologySpread" -}}
{{- if eq .Values.mode "deployment" -}}
{{- $selector := dict "matchLabels" (include "weir.selectorLabels" (list . "server") | fromYaml) -}}
{{- $constraints := list -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $constraints = append $constraints (merge (dict) . (dict "labelSelector" $selector)) -}}
{{- end -}}
{{- with $constraints -}}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Where pods may run: the same for Weir, its test and the Redis for development. */}}
{{- define "weir.placement" -}}
{{- $placement := dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" -}}
{{- with index $.Values $key }}{{ $_ := set $placement $key . }}{{ end -}}
{{- end -}}
{{- with $placement }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Without the chart's version: a newer chart alone restarts no pod. */}}
{{- define "weir.podLabels" -}}
{{- $labels := include "weir.selectorLabels" (list . "server") | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/version" (.Chart.AppVersion | toString) -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "weir" -}}
{{- merge $labels .Values.podLabels .Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "weir.podTemplate" -}}
metadata:
  labels:
    {{- include "weir.podLabels" . | nindent 4 }}
  {{- $annotations := merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
  {{- if .Values.configChecksumAnnotation }}
  {{- $_ := set $annotations "checksum/config" (include "weir.rules" . | sha256sum) }}
  {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "weir.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automount }}
  enableServiceLinks: false
  {{- with include "weir.imagePullSecrets" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "weir.terminationGracePeriodSeconds" . }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{ include "weir.container" . | indent 6 | trim }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "weir.volumes" . | nindent 4 }}
  {{- with include "weir.placement" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "weir.topologySpread" . }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* What another pod needs: for its spec, by {{ include "weir.sidecar" .Subcharts.weir }} or as the
patch of the ConfigMap. */}}
{{- define "weir.sidecar" -}}
initContainers:
  - {{ include "weir.container" . | indent 4 | trim }}
volumes:
  {{- include "weir.volumes" . | nindent 2 }}
{{- end -}}

{{/* The rule files of `config`, as data of a ConfigMap. */}}
{{- define "weir.rules" -}}
{{- range $name, $content := .Values.config }}
{{ $name }}: |
  {{- if not (kindIs "string" $content) }}{{ $content = toYaml $content }}{{ end }}
  {{- tpl $content $ | nindent 2 }}
{{- end }}
{{- end -}}
