{{/* Alerts and recording rules: the groups of files/*.yaml, which also promtool tests. They are parsed
and printed again, never executed as templates, so that Prometheus' own {{ $labels }} survive. */}}

{{- define "weir.ruleFiles" -}}
{{- $groups := list -}}
{{- range $path := list "files/rules.yaml" "files/alerts.yaml" -}}
{{- with $.Files.Get $path }}{{ $groups = concat $groups (. | fromYaml).groups }}{{ end -}}
{{- end -}}
{{- toYaml $groups -}}
{{- end -}}

{{/* An alert with our labels and links: (list . ALERT). */}}
{{- define "weir.alert" -}}
{{- $settings := (index . 0).Values.metrics.prometheusRule -}}
{{- $alert := deepCopy (index . 1) -}}
{{- $_ := set $alert "labels" (merge (dict) $settings.additionalRuleLabels ($alert.labels | default dict)) -}}
{{- with $settings.runbookUrlPrefix -}}
{{- $url := $alert.annotations.runbook_url | replace "docs/runbooks/" (printf "%s/" (trimSuffix "/" .)) -}}
{{- $_ := set $alert.annotations "runbook_url" $url -}}
{{- end -}}
{{- toYaml $alert -}}
{{- end -}}

{{- define "weir.ruleGroups" -}}
{{- $groups := list -}}
{{- range $group := include "weir.ruleFiles" . | fromYamlArray -}}
{{- $rules := list -}}
{{- range $rule := $group.rules -}}
{{- if not $rule.alert -}}
{{- $rules = append $rules $rule -}}
{{- else if not (has $rule.alert $.Values.metrics.prometheusRule.disabled) -}}
{{- $rules = append $rules (include "weir.alert" (list $ $rule) | fromYaml) -}}
{{- end -}}
{{- end -}}
{{- if $rules }}{{ $groups = append $groups (merge (dict "rules" $rules) (omit $group "rules")) }}{{ end -}}
{{- end -}}
{{- toYaml $groups -}}
{{- end -}}
