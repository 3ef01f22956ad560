{{/* What is refused, what is warned about, and small decisions both need. */}}

{{- define "weir.replicasMin" -}}
{{- if ne .Values.mode "deployment" -}}
0
{{- else if .Values.autoscaling.enabled -}}
{{- .Values.autoscaling.minReplicas | int -}}
{{- else -}}
{{- .Values.replicaCount | int -}}
{{- end -}}
{{- end -}}

{{- define "weir.pdb" -}}
{{- if eq (toString .Values.pdb.enabled) "auto" -}}
{{- gt (include "weir.replicasMin" . | int) 1 -}}
{{- else -}}
{{- .Values.pdb.enabled -}}
{{- end -}}
{{- end -}}

{{/* Whether the budget forbids every eviction while there are as few replicas as there may be. */}}
{{- define "weir.pdbBlocks" -}}
{{- $least := .Values.pdb.minAvailable -}}
{{- if kindIs "invalid" $least -}}
{{- if has (toString .Values.pdb.maxUnavailable) (list "0" "0%") }}true{{ end -}}
{{- else if kindIs "string" $least -}}
{{- if eq $least "100%" }}true{{ end -}}
{{- else if ge (int $least) (include "weir.replicasMin" . | int) -}}
true
{{- end -}}
{{- end -}}

{{/* Of an address without a port, the one that the program takes. */}}
{{- define "weir.redisPorts" -}}
{{- $ports := list -}}
{{- $standard := ternary "26379" "6379" (eq .Values.redis.mode "sentinel") -}}
{{- range splitList "," (include "weir.redisAddresses" .) -}}
{{- $ports = append $ports (regexFind "[0-9]+$" (regexFind ":[0-9]+$" .) | default $standard | int) -}}
{{- end -}}
{{- range .Values.networkPolicy.redisPorts }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- uniq $ports | toYaml -}}
{{- end -}}

{{/* Arguments of `weir check`: (list . SERVER). */}}
{{- define "weir.checkArguments" -}}
{{- $root := index . 0 -}}
- check
- --server={{ index . 1 }}
{{- if and $root.Values.tls.enabled (ne $root.Values.mode "sidecar") }}
- --tls
- --tls-ca=/etc/weir/tls/ca.crt
{{- if eq $root.Values.tls.clientAuth "require" }}
- --tls-cert=/etc/weir/tls/tls.crt
- --tls-key=/etc/weir/tls/tls.key
{{- end }}
{{- end }}
- --domain={{ $root.Values.tests.domain }}
{{- with $root.Values.tests.extraArgs }}
{{ toYaml . }}
{{- end }}
{{ toYaml $root.Values.tests.entries }}
{{- end -}}

{{- define "weir.problems.shape" -}}
{{- $mode := .Values.mode -}}
{{- if and (ne $mode "deployment") (ne (int .Values.replicaCount) 1) }}
- 'replicaCount is {{ .Values.replicaCount }}, but mode is {{ $mode }}: there is one Weir per {{ ternary "node" "pod of the application" (eq $mode "daemonset") }}; remove replicaCount'
{{- end }}
{{- if and (ne $mode "deployment") .Values.autoscaling.enabled }}
- 'autoscaling.enabled needs mode deployment; mode is {{ $mode }}'
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
- 'autoscaling.minReplicas ({{ .minReplicas }}) is above autoscaling.maxReplicas ({{ .maxReplicas }})'
{{- end }}
{{- if and .enabled (not (or .targetCPUUtilizationPercentage .targetMemoryUtilizationPercentage .targetDecisionsPerSecond .metrics)) }}
- 'autoscaling.enabled needs a target: set autoscaling.targetCPUUtilizationPercentage or another'
{{- end }}
{{- end }}
{{- if eq (toString .Values.pdb.enabled) "true" }}
{{- if ne $mode "deployment" }}
- 'pdb.enabled needs mode deployment; mode is {{ $mode }}, and draining a node ignores its pods'
{{- else if and (not .Values.autoscaling.enabled) (lt (int .Values.replicaCount) 2) }}
- 'pdb.enabled with replicaCount {{ .Values.replicaCount }} protects nothing or blocks the draining of a node: set replicaCount to 2 or more, or leave pdb.enabled at auto'
{{- end }}
{{- end }}
{{- if and (ne (toString .Values.pdb.enabled) "false") (not (kindIs "invalid" .Values.pdb.minAvailable)) (not (kindIs "invalid" .Values.pdb.maxUnavailable)) }}
- 'pdb.minAvailable and pdb.maxUnavailable exclude each other: set pdb.maxUnavailable to null'
{{- end }}
{{- if and (eq $mode "sidecar") (semverCompare "<1.29-0" .Capabilities.KubeVersion.Version) }}
- 'mode sidecar needs Kubernetes 1.29 or later (native sidecars); this is {{ .Capabilities.KubeVersion.Version }}'
{{- end }}
{{- if lt (include "weir.terminationGracePeriodSeconds" . | int) (include "weir.drainSeconds" . | int) }}
- 'terminationGracePeriodSeconds ({{ .Values.terminationGracePeriodSeconds }}) is shorter than drain.delaySeconds + drain.maxSeconds ({{ include "weir.drainSeconds" . }}): calls would be cut off'
{{- end }}
{{- end -}}

{{- define "weir.problems.configuration" -}}
{{- $name := include "weir.fullname" . | replace "'" "" }}
{{- if and (ne .Values.mode "sidecar") (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) }}
- 'the Service would be named {{ $name }}: set fullnameOverride to small letters, digits and -, a letter first'
{{- end }}
{{- $name = include "weir.name" . | replace "'" "" }}
{{- if not (regexMatch "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" $name) }}
- 'nameOverride is {{ $name }}, no value of a label: letters, digits, -, _ and . between them'
{{- end }}
{{- if and .Values.config .Values.existingConfigMap }}
- 'config and existingConfigMap are both set: choose one'
{{- end }}
{{- if eq .Values.image.tag "latest" }}
- 'image.tag is latest: name a version, or leave it empty for {{ .Chart.AppVersion }}'
{{- end }}
{{- $owned := include "weir.settings.owned" . | fromYaml }}
{{- range $name := keys .Values.settings | sortAlpha }}
{{- if hasKey $owned $name }}
- 'settings.{{ $name }}: the chart sets it; use {{ index $owned $name }}'
{{- else if hasSuffix "-password" $name }}
- 'settings.{{ $name }}: a password in the environment of a pod can be read by many; mount a Secret with extraVolumes and extraVolumeMounts and set settings.{{ $name }}-file'
{{- end }}
{{- end }}
{{- $ports := list (int .Values.server.grpc.port) (int .Values.server.http.port) (int .Values.server.admin.port) }}
{{- if ne (len (uniq $ports)) 3 }}
- 'server.grpc.port, server.http.port and server.admin.port must differ; they are {{ join ", " $ports }}'
{{- end }}
{{- with .Values.metrics }}
{{- if and .serviceMonitor.enabled .podMonitor.enabled }}
- 'metrics.serviceMonitor and metrics.podMonitor are both enabled: everything would be counted twice'
{{- end }}
{{- if and .serviceMonitor.enabled (eq $.Values.mode "sidecar") }}
- 'metrics.serviceMonitor finds nothing in mode sidecar, which has no Service: use metrics.podMonitor'
{{- end }}
{{- end }}
{{- $alerts := list }}
{{- range include "weir.ruleFiles" . | fromYamlArray }}
{{- range .rules }}{{ with .alert }}{{ $alerts = append $alerts . }}{{ end }}{{ end }}
{{- end }}
{{- range .Values.metrics.prometheusRule.disabled }}
{{- if not (has . $alerts) }}
- 'metrics.prometheusRule.disabled: there is no alert {{ . }}; there are {{ join ", " $alerts }}'
{{- end }}
{{- end }}
{{- end -}}

{{- define "weir.problems.redis" -}}
{{- $redis := .Values.redis }}
{{- if and $redis.password $redis.existingSecret }}
- 'redis.password and redis.existingSecret are both set: choose one'
{{- end }}
{{- if and $redis.dev.enabled (or $redis.addresses (ne $redis.mode "single") $redis.password $redis.existingSecret $redis.tls.enabled) }}
- 'redis.dev.enabled starts a single Redis without password and TLS: remove redis.addresses, redis.mode, redis.password, redis.existingSecret and redis.tls'
{{- end }}
{{- if eq (include "weir.store" .) "memory" }}
{{- if or (ne $redis.mode "single") $redis.password $redis.existingSecret $redis.username $redis.tls.enabled }}
- 'redis is configured, but redis.addresses is empty: Weir would count in memory, each pod for itself'
{{- end }}
{{- end }}
{{- if and (eq $redis.mode "sentinel") (not $redis.sentinelMaster) }}
- 'redis.mode sentinel needs redis.sentinelMaster, the name the sentinels give the primary'
{{- end }}
{{- if and (ne $redis.mode "sentinel") (or $redis.sentinelMaster $redis.existingSecretSentinelKey) }}
- 'redis.sentinelMaster and redis.existingSecretSentinelKey need redis.mode sentinel; it is {{ $redis.mode }}'
{{- end }}
{{- if and (eq $redis.mode "sentinel") $redis.existingSecretSentinelKey (not $redis.existingSecret) }}
- 'redis.existingSecretSentinelKey needs redis.existingSecret, the Secret it is a key of'
{{- end }}
{{- if and (eq $redis.mode "single") (gt (len $redis.addresses) 1) }}
- 'redis.mode single takes one address; redis.addresses has {{ len $redis.addresses }}: did you mean mode sentinel or cluster?'
{{- end }}
{{- if and (eq $redis.mode "cluster") (ne (int $redis.db) 0) }}
- 'redis.db is {{ $redis.db }}, but a Redis Cluster has only database 0'
{{- end }}
{{- range $redis.addresses }}
{{- if not (regexMatch "^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$" .) }}
- 'redis.addresses: {{ regexReplaceAll "//.*@" . "//(masked)@" }} is not HOST:PORT; user, password, database and TLS have values of their own'
{{- end }}
{{- end }}
{{- with $redis.tls }}
{{- if ne (empty .certKey) (empty .keyKey) }}
- 'redis.tls.certKey and redis.tls.keyKey belong together'
{{- end }}
{{- if and .certKey (not .existingSecret) }}
- 'redis.tls.certKey needs redis.tls.existingSecret, the Secret it is a key of'
{{- end }}
{{- end }}
{{- end -}}

{{- define "weir.problems.tls" -}}
{{- $tls := .Values.tls }}
{{- if $tls.enabled }}
{{- if and $tls.existingSecret $tls.certManager.enabled }}
- 'tls.existingSecret and tls.certManager.enabled are both set: choose one'
{{- end }}
{{- if not (or $tls.existingSecret $tls.certManager.enabled) }}
- 'tls.enabled needs a certificate: set tls.existingSecret or tls.certManager.enabled'
{{- end }}
{{- if and $tls.certManager.enabled (not $tls.certManager.issuerRef.name) }}
- 'tls.certManager.enabled needs tls.certManager.issuerRef.name'
{{- end }}
{{- if .Values.grpcProbe }}
{{- print "\n- 'grpcProbe cannot be used with tls.enabled: the kubelet shows no certificate and checks none; the HTTP probes need neither'" }}
{{- end }}
{{- else if or $tls.existingSecret $tls.certManager.enabled (eq $tls.clientAuth "require") $tls.http }}
- 'tls.existingSecret, tls.certManager, tls.clientAuth and tls.http do nothing while tls.enabled is false'
{{- end }}
{{- if and $tls.clientSANs (ne $tls.clientAuth "require") }}
- 'tls.clientSANs needs tls.clientAuth require: without it callers show no certificate'
{{- end }}
{{- end -}}

{{/* Fails with every problem at once. */}}
{{- define "weir.validate" -}}
{{- $problems := list -}}
{{- range $part := list "shape" "configuration" "redis" "tls" -}}
{{- $problems = concat $problems (include (printf "weir.problems.%s" $part) $ | fromYamlArray) -}}
{{- end -}}
{{- with $problems -}}
{{- fail (printf "\n\nThese values cannot work:\n  - %s\n" (join "\n  - " .)) -}}
{{- end -}}
{{- end -}}

{{/* A list of sentences about what works, but perhaps not as intended. */}}
{{- define "weir.warnings" -}}
{{- $values := .Values -}}
{{- if eq (include "weir.store" .) "memory" }}
{{- $replicas := include "weir.replicasMax" . | int }}
{{- if gt $replicas 1 }}
- 'memory store with {{ $replicas }} replicas: each counts for itself, so a limit of N lets up to N x {{ $replicas }} pass. Set redis.addresses for one limit.'
{{- else if ne $values.mode "deployment" }}
- 'memory store in mode {{ $values.mode }}: each pod counts for itself, so a limit of N lets up to N x the number of pods pass. Set redis.addresses for one limit.'
{{- end }}
{{- else }}
- 'while Redis does not answer, rules without on_store_failure do this: {{ index $values.settings "store-failure-default" | default "local_share" }} (settings.store-failure-default; local_share, allow, deny or error).'
{{- $share := eq (index $values.settings "store-failure-default" | default "local_share") "local_share" }}
{{- if and $share (ne $values.mode "deployment") (not $values.settings.replicas) }}
- 'mode {{ $values.mode }} does not know its number of pods: a pod that starts while Redis is away denies everything: set settings.replicas to about that number.'
{{- end }}
{{- if $values.redis.dev.enabled }}
- 'redis.dev.enabled: one Redis pod without password and disk. For development only.'
{{- else }}
{{- if not (include "weir.redisSecret" .) }}
- 'Redis is asked without a password: set redis.existingSecret.'
{{- end }}
{{- if $values.redis.password }}
- 'redis.password is stored in plain text in the release of Helm: prefer redis.existingSecret.'
{{- end }}
{{- if not $values.redis.tls.enabled }}
- 'the connection to Redis is not encrypted: see redis.tls.'
{{- end }}
{{- if and (eq $values.redis.mode "sentinel") $values.networkPolicy.enabled (not $values.networkPolicy.redisPorts) }}
- 'networkPolicy and redis.mode sentinel: the primaries cannot be reached where their port is none of networkPolicy.redisPorts.'
{{- end }}
{{- if $values.redis.tls.insecureSkipVerify }}
- 'redis.tls.insecureSkipVerify: a Redis with any valid certificate is trusted.'
{{- end }}
{{- end }}
{{- end }}
{{- if not $values.tls.enabled }}
- 'gRPC is not encrypted and asks nobody who they are: see tls and networkPolicy.'
{{- end }}
{{- if and (eq (include "weir.pdb" .) "true") (lt (include "weir.replicasMin" . | int) 2) }}
- 'a PodDisruptionBudget while autoscaling.minReplicas is 1: one pod is no availability to protect.'
{{- end }}
{{- if and (eq (include "weir.pdb" .) "true") (include "weir.pdbBlocks" .) }}
- 'the PodDisruptionBudget lets no pod go, so no node of theirs can be drained: see pdb.minAvailable and pdb.maxUnavailable.'
{{- end }}
{{- if not (or $values.config $values.existingConfigMap) }}
- 'no rules: every request is answered OK. Set config or existingConfigMap.'
{{- end }}
{{- if $values.enforcement.shadow }}
- 'enforcement.shadow: nothing is denied, denials are only counted.'
{{- end }}
{{- if not (has $values.server.admin.bind (list "127.0.0.1" "::1" "localhost")) }}
- 'server.admin.bind is {{ $values.server.admin.bind }}: the debug pages ask for no password and can be reached from outside the pod.'
{{- end }}
{{- range $kind, $enabled := dict "monitoring.coreos.com/v1/ServiceMonitor" $values.metrics.serviceMonitor.enabled
  "monitoring.coreos.com/v1/PodMonitor" $values.metrics.podMonitor.enabled
  "monitoring.coreos.com/v1/PrometheusRule" $values.metrics.prometheusRule.enabled
  "grafana.integreatly.org/v1beta1/GrafanaDashboard" $values.metrics.dashboards.grafanaOperator.enabled
  "cert-manager.io/v1/Certificate" (and $values.tls.enabled $values.tls.certManager.enabled) }}
{{- if and $enabled (not (include "weir.hasApi" (list $ $kind))) }}
- 'the cluster does not know {{ $kind }}, so none was made: install its operator, or set metrics.forceCRDs.'
{{- end }}
{{- end }}
{{- end -}}
