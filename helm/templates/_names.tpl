{{/* Names, labels and the image: what every object shares. */}}

{{- define "weir.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: the longest suffix of an object's name is "-enforcement". */}}
{{- define "weir.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 51 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 51 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 51 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Selectors are immutable: the version is not among them. Call with (list . COMPONENT). */}}
{{- define "weir.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "weir.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "weir.labels" -}}
{{- $root := index . 0 -}}
{{- $ours := include "weir.selectorLabels" . | fromYaml -}}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" $root.Chart.Name ($root.Chart.Version | replace "+" "_")) -}}
{{- $_ := set $ours "app.kubernetes.io/version" ($root.Chart.AppVersion | toString) -}}
{{- $_ := set $ours "app.kubernetes.io/part-of" "weir" -}}
{{- $_ := set $ours "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- merge $ours $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* The metadata of an object: (dict "root" . "name" NAME "component" C "labels" {} "annotations" {}
"namespace" ""). */}}
{{- define "weir.metadata" -}}
{{- $root := .root -}}
name: {{ .name }}
namespace: {{ .namespace | default $root.Release.Namespace }}
labels:
  {{- $labels := include "weir.labels" (list $root (.component | default "server")) | fromYaml }}
  {{- merge $labels (.labels | default dict) | toYaml | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "weir.image" -}}
{{- $image := .Values.image -}}
{{- $registry := $image.registry | default (.Values.global.imageRegistry | default "") -}}
{{- if $registry }}{{ $registry }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}
@{{ $image.digest }}
{{- else -}}
:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "weir.imagePullSecrets" -}}
{{- with concat .Values.imagePullSecrets (.Values.global.imagePullSecrets | default list) -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "weir.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "weir.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "weir.rulesConfigMap" -}}
{{- .Values.existingConfigMap | default (printf "%s-rules" (include "weir.fullname" .)) -}}
{{- end -}}

{{- define "weir.tlsSecret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "weir.fullname" .)) -}}
{{- end -}}

{{/* Where Redis is: empty is the memory store. */}}
{{- define "weir.redisAddresses" -}}
{{- if .Values.redis.dev.enabled -}}
{{- include "weir.fullname" . }}-redis:6379
{{- else -}}
{{- join "," .Values.redis.addresses -}}
{{- end -}}
{{- end -}}

{{- define "weir.redisSecret" -}}
{{- if .Values.redis.existingSecret -}}
{{- .Values.redis.existingSecret -}}
{{- else if .Values.redis.password -}}
{{- include "weir.fullname" . }}-redis
{{- end -}}
{{- end -}}

{{/* How many pods there may be at once; 0 is unknown. */}}
{{- define "weir.replicasMax" -}}
{{- if ne .Values.mode "deployment" -}}
0
{{- else if .Values.autoscaling.enabled -}}
{{- .Values.autoscaling.maxReplicas | int -}}
{{- else -}}
{{- .Values.replicaCount | int -}}
{{- end -}}
{{- end -}}

{{/* Prometheus' job: alerts find it by "weir", and two releases are two jobs. */}}
{{- define "weir.job" -}}
{{- $name := include "weir.fullname" . -}}
{{- if not (contains "weir" $name) }}{{ $name = printf "weir-%s" $name }}{{ end -}}
{{- printf "%s/%s" .Release.Namespace $name -}}
{{- end -}}

{{/* HOST:PORT of a listener, with brackets around IPv6. */}}
{{- define "weir.listen" -}}
{{- $bind := .bind -}}
{{- if and (contains ":" $bind) (not (hasPrefix "[" $bind)) }}{{ $bind = printf "[%s]" $bind }}{{ end -}}
{{- printf "%s:%d" $bind (int .port) -}}
{{- end -}}

{{/* Text of a number as it was written: Helm reads 1048576 as a float. */}}
{{- define "weir.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* (list BASE OVER): a map with the keys of both, where OVER wins, also with false, 0 and "", which
sprig's merge takes for unset. */}}
{{- define "weir.overlay" -}}
{{- $map := dict -}}
{{- range . -}}
{{- range $key, $value := . }}{{ $_ := set $map $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $map -}}
{{- end -}}

{{/* (dict "base" LIST "extra" LIST "key" KEY): extra replaces what has the same key in place, the rest
is added. Nothing is there twice, which Helm 4 refuses. */}}
{{- define "weir.merge" -}}
{{- $key := .key -}}
{{- $names := list -}}
{{- $items := dict -}}
{{- range concat .base .extra -}}
{{- $name := index . $key -}}
{{- if not (hasKey $items $name) }}{{ $names = append $names $name }}{{ end -}}
{{- $_ := set $items $name . -}}
{{- end -}}
{{- $merged := list -}}
{{- range $names }}{{ $merged = append $merged (index $items .) }}{{ end -}}
{{- toYaml $merged -}}
{{- end -}}

{{/* Whether an API is there: (list . GROUP/VERSION/KIND). */}}
{{- define "weir.hasApi" -}}
{{- $root := index . 0 -}}
{{- if or $root.Values.metrics.forceCRDs ($root.Capabilities.APIVersions.Has (index . 1)) -}}
true
{{- end -}}
{{- end -}}
