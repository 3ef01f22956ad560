// The alerts. docs/runbooks has a page for each, tests/alerts a case that fires and one that does
// not. Families that appear with their first use are compared so that their absence means zero.
local config = import 'config.libsonnet';

local alert(name, severity, duration, expr, summary) = {
  alert: name,
  expr: expr % config,
  labels: { severity: severity },
  annotations: {
    summary: summary,
    runbook_url: config.runbookBase + name + '.md',
  },
} + (if duration == '' then {} else { 'for': duration });

local availability = [
  alert('WeirDown', 'critical', '3m', |||
    up{job=~"%(jobPattern)s"} == 0
    or (up == 0
      and on (%(deployment)s) count by (%(deployment)s) (last_over_time(weir_build_info[1d])))
  |||, '{{ $labels.job }} {{ $labels.instance }} does not answer scrapes.'),
  alert('WeirNotListening', 'critical', '1m', |||
    weir_grpc_listening == 0
  |||, '{{ $labels.job }} {{ $labels.instance }} takes no gRPC connections any more.'),
  alert('WeirLatencyBudget', 'critical', '2m', |||
    1 - sum by (%(deployment)s) (rate(weir_request_duration_seconds_bucket{le="0.01"}[5m]))
      / sum by (%(deployment)s) (rate(weir_request_duration_seconds_count[5m])) > 0.0144
    and 1 - sum by (%(deployment)s) (rate(weir_request_duration_seconds_bucket{le="0.01"}[1h]))
      / sum by (%(deployment)s) (rate(weir_request_duration_seconds_count[1h])) > 0.0144
  |||, '{{ $labels.job }}: {{ $value | humanizePercentage }} of answers take over 10 ms.'),
  alert('WeirErrors', 'warning', '5m', |||
    sum by (%(deployment)s) (rate(weir_requests_total{grpc_code!~"OK|Cancelled"}[5m]))
    / sum by (%(deployment)s) (rate(weir_requests_total[5m])) > 0.01
  |||, '{{ $labels.job }} answers {{ $value | humanizePercentage }} of requests with an error.'),
  alert('WeirShedding', 'warning', '5m', |||
    sum by (%(deployment)s, reason) (rate(weir_shed_total[5m])) > 0
  |||, '{{ $labels.job }} refuses requests: {{ $labels.reason }}.'),
  alert('WeirEnvoyFailOpen', 'warning', '5m', |||
    sum by (%(deployment)s, envoy_cluster_name) (
      rate(envoy_cluster_ratelimit_failure_mode_allowed[5m])) > 0
  |||, 'Envoy passes requests to {{ $labels.envoy_cluster_name }} without asking Weir.'),
];

local store = [
  alert('WeirDegraded', 'critical', '2m', |||
    max by (%(deployment)s, mode) (weir_degraded) == 1
  |||, '{{ $labels.job }} decides without Redis, by on_store_failure {{ $labels.mode }}.'),
  alert('WeirRedisDown', 'warning', '1m', |||
    min by (%(instance)s, node) (weir_redis_connected) == 0
  |||, '{{ $labels.instance }} has no connection to Redis {{ $labels.node }}.'),
  alert('WeirWaitTimeouts', 'warning', '5m', |||
    sum by (%(deployment)s) (rate(weir_wait_timeouts_total[5m]))
    / sum by (%(deployment)s) (rate(weir_decisions_total[5m])) > 0.001
  |||, '{{ $labels.job }}: Redis is too slow for {{ $value | humanizePercentage }} of decisions.'),
  alert('WeirClockSkew', 'warning', '5m', |||
    max by (%(deployment)s, instance) (abs(weir_redis_clock_offset_seconds)) > 0.5
  |||, '{{ $labels.instance }}: the clocks of Weir and Redis are {{ $value }} s apart.'),
];

local leases = [
  alert('WeirLeaseConservation', 'critical', '', |||
    sum by (%(instance)s, domain, rule) (weir_lease_hits_admitted_total)
    > (sum by (%(instance)s, domain, rule) (weir_lease_hits_granted_total)
    or 0 * sum by (%(instance)s, domain, rule) (weir_lease_hits_admitted_total))
  |||, '{{ $labels.instance }} admitted more hits of {{ $labels.domain }}/{{ $labels.rule }} ' +
       'out of leases than the store granted.'),
  alert('WeirLeaseWaste', 'info', '15m', |||
    1 - ((sum by (%(deployment)s, domain, rule) (rate(weir_lease_hits_admitted_total[10m]))
    or 0 * sum by (%(deployment)s, domain, rule) (rate(weir_lease_hits_granted_total[10m])))
    + (sum by (%(deployment)s, domain, rule) (rate(weir_lease_hits_returned_total[10m]))
    or 0 * sum by (%(deployment)s, domain, rule) (rate(weir_lease_hits_granted_total[10m]))))
    / sum by (%(deployment)s, domain, rule) (rate(weir_lease_hits_granted_total[10m])) > 0.2
  |||, '{{ $value | humanizePercentage }} of the hits leased for ' +
       '{{ $labels.domain }}/{{ $labels.rule }} ended unspent.'),
];

local limits = [
  // The memory store never evicts live keys: a full table shows as decisions by overflow policy. A
  // small one gives those before it is full, because its parts fill unevenly.
  alert('WeirKeyFlood', 'warning', '5m', |||
    sum by (%(instance)s) (rate(weir_overflow_decisions_total[5m])) > 0
    or (sum by (%(instance)s) (rate(weir_evictions_total{reason="capacity"}[5m])) > 100
      and sum by (%(instance)s) (weir_keys) / sum by (%(instance)s) (weir_keys_capacity) > 0.95)
  |||, '{{ $labels.instance }}: the key table is full, new keys are not limited as configured.'),
  // A rule younger than a day has nothing to be compared with, and stays silent.
  alert('WeirDenySpike', 'info', '10m', |||
    domain_rule:weir_deny_ratio:rate5m > 0.2
    and domain_rule:weir_deny_ratio:rate5m
      > 3 * (domain_rule:weir_deny_ratio:rate5m offset 1d)
  |||, '{{ $labels.domain }}/{{ $labels.rule }} denies {{ $value | humanizePercentage }}, ' +
       'over 3 times as much as yesterday.'),
  alert('WeirUnknownDomain', 'info', '30m', |||
    sum by (%(deployment)s) (rate(weir_unmatched_total{domain="_unknown"}[10m])) > 0
  |||, '{{ $labels.job }} is asked about domains it has no rules for.'),
];

local configuration = [
  alert('WeirConfigReload', 'warning', '5m', |||
    weir_config_last_reload_successful == 0
  |||, '{{ $labels.instance }} refused the rules it read last and keeps the ones before.'),
  alert('WeirConfigDrift', 'warning', '15m', |||
    count by (%(deployment)s) (count by (%(deployment)s, hash) (weir_config_info)) > 1
  |||, '{{ $labels.job }}: {{ $value }} different configurations are in force.'),
  // Told at once, because somebody may have forgotten; nagging begins when an hour has passed.
  alert('WeirEnforcementOff', 'info', '', |||
    max by (%(deployment)s, domain) (weir_enforcement_off) == 1
  |||, '{{ $labels.job }} denies nothing in {{ $labels.domain }}: enforcement is switched off.'),
  alert('WeirEnforcementOff', 'warning', '1h', |||
    max by (%(deployment)s, domain) (weir_enforcement_off) == 1
  |||, '{{ $labels.job }} has denied nothing in {{ $labels.domain }} for an hour: it is switched off.'),
  alert('WeirCertExpiry', 'warning', '', |||
    min by (%(instance)s, listener) (weir_tls_cert_expiry_timestamp_seconds) - time()
      < 7 * 86400
  |||, '{{ $labels.instance }}: the {{ $labels.listener }} certificate ends in ' +
       '{{ $value | humanizeDuration }}.'),
];

{
  groups: [
    { name: 'weir-availability', rules: availability },
    { name: 'weir-store', rules: store },
    { name: 'weir-leases', rules: leases },
    { name: 'weir-limits', rules: limits },
    { name: 'weir-configuration', rules: configuration },
  ],
}
