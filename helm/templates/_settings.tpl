{{/* Weir's settings, as environment variables. */}}

{{- define "weir.store" -}}
{{- if include "weir.redisAddresses" . }}redis{{ else }}memory{{ end -}}
{{- end -}}

{{- define "weir.drainDelaySeconds" -}}
{{- if kindIs "invalid" .Values.drain.delaySeconds -}}
{{- ternary 0 5 (eq .Values.mode "sidecar") -}}
{{- else -}}
{{- int .Values.drain.delaySeconds -}}
{{- end -}}
{{- end -}}

{{- define "weir.settings.listeners" -}}
{{- $server := .Values.server -}}
{{- if eq .Values.mode "sidecar" }}
grpc-listen: {{ printf "unix:%s/weir.sock,127.0.0.1:%d" .Values.sidecar.socketDir (int $server.grpc.port) | quote }}
{{- /* The folder is of this pod alone, whose containers run as whoever they like. */}}
grpc-socket-access: everyone
{{- else }}
grpc-listen: {{ include "weir.listen" $server.grpc | quote }}
{{- end }}
http-listen: {{ include "weir.listen" $server.http | quote }}
admin-listen: {{ include "weir.listen" $server.admin | quote }}
{{- with .Values.tls }}
{{- if .enabled }}
grpc-tls-cert: /etc/weir/tls/tls.crt
grpc-tls-key: /etc/weir/tls/tls.key
grpc-tls-min-version: {{ .minVersion | quote }}
{{- if .http }}
http-tls-cert: /etc/weir/tls/tls.crt
http-tls-key: /etc/weir/tls/tls.key
{{- end }}
{{- if eq .clientAuth "require" }}
grpc-tls-client-ca: /etc/weir/tls/ca.crt
{{- with .clientSANs }}
grpc-tls-client-sans: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "weir.settings.redis" -}}
{{- $addresses := include "weir.redisAddresses" . -}}
{{- with .Values.redis }}
redis-type: {{ .mode }}
{{- if eq .mode "sentinel" }}
redis-url: {{ printf "%s,%s" .sentinelMaster $addresses | quote }}
{{- else }}
redis-url: {{ $addresses | quote }}
{{- end }}
{{- if ne (int .db) 0 }}
redis-db: {{ .db | int }}
{{- end }}
{{- with .username }}
redis-user: {{ . | quote }}
{{- end }}
{{- if include "weir.redisSecret" $ }}
redis-password-file: /etc/weir/redis/password
{{- if .existingSecretSentinelKey }}
redis-sentinel-password-file: /etc/weir/redis/sentinel-password
{{- end }}
{{- end }}
{{- if .tls.enabled }}
redis-tls: true
{{- if .tls.existingSecret }}
redis-tls-ca: /etc/weir/redis-tls/ca.crt
{{- if .tls.certKey }}
redis-tls-cert: /etc/weir/redis-tls/tls.crt
redis-tls-key: /etc/weir/redis-tls/tls.key
{{- end }}
{{- end }}
{{- with .tls.serverName }}
redis-tls-server-name: {{ . | quote }}
{{- end }}
{{- if .tls.insecureSkipVerify }}
redis-tls-skip-hostname-verification: true
{{- end }}
{{- end }}
{{- end }}
{{- if ne (include "weir.replicasMax" .) "0" }}
replicas: {{ include "weir.replicasMax" . }}
{{- end }}
{{- end -}}

{{/* A map of all settings that come from values of the chart's own. */}}
{{- define "weir.settings.ours" -}}
rules-dir: /etc/weir/rules
enforcement-file: /etc/weir/enforcement/enforcement.yaml
store: {{ include "weir.store" . }}
drain-delay: {{ include "weir.drainDelaySeconds" . }}s
drain-max: {{ printf "%ds" (int .Values.drain.maxSeconds) }}
log-level: {{ .Values.log.level }}
log-format: {{ .Values.log.format }}
{{- include "weir.settings.listeners" . }}
{{- if eq (include "weir.store" .) "redis" }}
{{- include "weir.settings.redis" . }}
{{- end }}
{{- end -}}

{{/* Settings that .Values.settings may not contain, and the values to use. */}}
{{- define "weir.settings.owned" -}}
{{- range tuple "grpc-listen:server.grpc" "http-listen:server.http" "admin-listen:server.admin"
  "rules-dir:config" "enforcement-file:enforcement" "shadow-mode:enforcement.shadow"
  "store:redis.addresses" "drain-delay:drain.delaySeconds" "drain-max:drain.maxSeconds"
  "log-level:log.level" "log-format:log.format" "redis-url:redis.addresses" "redis-type:redis.mode"
  "redis-user:redis.username" "redis-password:redis.existingSecret"
  "redis-password-file:redis.existingSecret"
  "redis-sentinel-password:redis.existingSecretSentinelKey"
  "redis-sentinel-password-file:redis.existingSecretSentinelKey" "redis-db:redis.db"
  "redis-tls:redis.tls.enabled" "redis-tls-ca:redis.tls.caKey" "redis-tls-cert:redis.tls.certKey"
  "redis-tls-key:redis.tls.keyKey" "redis-tls-server-name:redis.tls.serverName"
  "redis-tls-skip-hostname-verification:redis.tls.insecureSkipVerify"
  "grpc-tls-cert:tls.existingSecret" "grpc-tls-key:tls.existingSecret"
  "grpc-tls-client-ca:tls.clientAuth" "grpc-tls-client-sans:tls.clientSANs"
  "grpc-tls-min-version:tls.minVersion" "http-tls-cert:tls.http" "http-tls-key:tls.http" }}
{{ splitList ":" . | first }}: {{ splitList ":" . | last }}
{{- end }}
{{- end -}}

{{/* The environment: ours, then settings, then extraEnv, each name once. */}}
{{- define "weir.env" -}}
{{- $settings := include "weir.settings.ours" . | fromYaml -}}
{{- $settings = include "weir.overlay" (list $settings .Values.settings) | fromYaml -}}
{{- $env := list -}}
{{- range $name := keys $settings | sortAlpha -}}
{{- $value := include "weir.text" (index $settings $name) -}}
{{- $variable := printf "WEIR_%s" ($name | upper | replace "-" "_") -}}
{{- $env = append $env (dict "name" $variable "value" $value) -}}
{{- end -}}
{{- $extra := list -}}
{{- range .Values.extraEnv -}}
{{- $entry := . -}}
{{- if not (kindIs "invalid" .value) }}{{ $entry = merge (dict "value" (include "weir.text" .value)) . }}{{ end -}}
{{- $extra = append $extra $entry -}}
{{- end -}}
{{- include "weir.merge" (dict "base" $env "extra" $extra "key" "name") -}}
{{- end -}}
