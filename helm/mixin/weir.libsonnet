// The dashboard over Weir's own metrics.
local g = import 'grafana.libsonnet';

local instances = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"';
local rules = 'domain=~"$domain",rule=~"$rule"';

// A series of the chosen instances, of a rule of the chosen domains and rules.
local series(name, matchers='') =
  '%s{%s%s}' % [name, instances, if matchers == '' then '' else ',' + matchers];
local rated(name, matchers='') = 'rate(%s[$__rate_interval])' % series(name, matchers);
local of_rules(name, matchers='') =
  rated(name, rules + if matchers == '' then '' else ',' + matchers);

local total(name, matchers='') = 'sum(%s)' % rated(name, matchers);
local by(labels, expr) = 'sum by (%s) (%s)' % [labels, expr];
local share(part, whole) = '%s / (%s > 0)' % [part, whole];

local requests = 'weir_request_duration_seconds';
local quantile(q, histogram, matchers='') =
  'histogram_quantile(%s, %s)' % [q, by('le', rated(histogram + '_bucket', matchers))];
local within(bound) = share(total(requests + '_bucket', 'le="%s"' % bound),
                            total(requests + '_count'));
local quantiles(histogram) = [
  g.query(quantile('0.5', histogram), 'p50'),
  g.query(quantile('0.99', histogram), 'p99'),
  g.query(quantile('0.999', histogram), 'p99.9'),
];

local decisions = 'weir_decisions_total';
local denied = 'code="over_limit",mode="enforce"';
local rule_legend = '{{domain}} {{rule}}';
local envoy(name) =
  'sum by (envoy_cluster_name) (rate(envoy_cluster_ratelimit_%s' % name +
  '{namespace=~"$namespace",job=~"$envoy_job"}[$__rate_interval]))';

local overview = [
  g.row('Overview'),
  g.stat('Decisions', 'Decisions per second on descriptors that matched a rule.', 'ops',
         [g.query(total(decisions))]),
  g.stat('Denied', 'Share of decisions that denied a request, shadow mode left out.',
         'percentunit', [g.query(share(total(decisions, denied), total(decisions)))]),
  g.stat('p99', 'Time from a request’s arrival to its answer that 99 % stay within.', 's',
         [g.query(quantile('0.99', requests))], steps=[[0.005, 'yellow'], [0.01, 'red']]),
  g.stat('Degraded', 'Instances of which a failure policy decided within the last 5 s, because ' +
                     'Redis did not.', 'short',
         [g.query('sum(max by (instance) (%s))' % series('weir_degraded'))], steps=[[1, 'red']]),
  g.stat('Wait timeouts', 'Requests per second whose wait for Redis ended without a reply.', 'reqps',
         [g.query(total('weir_wait_timeouts_total'))], steps=[[0.001, 'red']]),
  g.stat('Configurations', 'Different configurations in force. More than one for longer than a ' +
                           'roll-out takes: instances disagree.', 'short',
         [g.query('count(count by (hash) (%s))' % series('weir_config_info'))],
         steps=[[2, 'yellow']]),
  g.graph('Decisions by result', 'Decisions per second. A denial in shadow mode is only recorded: ' +
                                 'its caller is let through.', 'ops',
          [g.query(by('code, mode', rated(decisions)), '{{code}} {{mode}}')], stack=true),
  g.graph('Requests by result', 'Requests per second by method and gRPC code.', 'reqps',
          [g.query(by('method, grpc_code', rated('weir_requests_total')) + ' > 0',
                   '{{method}} {{grpc_code}}')]),
  g.graph('Unmatched', 'Descriptors per second that no rule matched. Domains that are not ' +
                       'configured share _unknown.', 'ops',
          [g.query(by('domain', rated('weir_unmatched_total')), '{{domain}}')]),
];

local per_rule = [
  g.row('Domains and rules'),
  g.graph('Allowed', 'Decisions within the limit per second, by rule.', 'ops',
          [g.query(by('domain, rule', of_rules(decisions, 'code="ok"')), rule_legend)]),
  g.graph('Denied by rule', 'Decisions that denied a request per second, by rule.', 'ops',
          [g.query(by('domain, rule', of_rules(decisions, denied)), rule_legend)]),
  g.graph('Denied by rule, share', 'Share of a rule’s enforced decisions that denied a request.',
          'percentunit', [g.query(share(
            by('domain, rule', of_rules(decisions, denied)),
            by('domain, rule', of_rules(decisions, 'mode="enforce"'))
          ), rule_legend)]),
  g.graph('Hits', 'Hits asked for per second, by rule: what a request costs is up to its caller.',
          'ops', [g.query(by('domain, rule', of_rules('weir_hits_total')), rule_legend)]),
  g.graph('Near the limit', 'Decisions per second within the limit but beyond its near-limit mark ' +
                            '(NEAR_LIMIT_RATIO, 80 % by default).', 'ops',
          [g.query(by('domain, rule', of_rules('weir_near_limit_total')), rule_legend)]),
  g.graph('Utilisation', 'Share of a rule’s decisions near its limit or over it: how many of its ' +
                         'keys use up what they have.', 'percentunit',
          [g.query(share(
            '(%s)' % std.join(' or ', [
              '%s + %s' % [by('domain, rule', of_rules('weir_near_limit_total')),
                           by('domain, rule', of_rules(decisions, 'code="over_limit"'))],
              by('domain, rule', of_rules('weir_near_limit_total')),
              by('domain, rule', of_rules(decisions, 'code="over_limit"')),
            ]),
            by('domain, rule', of_rules(decisions))
          ), rule_legend)]),
  g.table('Would deny', 'Rules in shadow mode: the denials per second that enforcing them would ' +
                        'make.', 'ops',
          [g.query(by('domain, rule', of_rules(decisions, 'code="over_limit",mode="shadow"')))]),
  g.graph('Global shadow mode', 'Requests per second whose denial global shadow mode turned into OK.',
          'reqps', [g.query(by('instance', rated('weir_global_shadow_total')), '{{instance}}')],
          w=12),
];

local latency = [
  g.row('Latency'),
  g.heatmap('Answers by their time', 'How many answers took how long.', [
    g.query('sum by (le) (increase(%s[$__rate_interval]))' % series(requests + '_bucket'), '{{le}}',
            { format: 'heatmap' }),
  ]),
  g.graph('Percentiles', 'Time from a request’s arrival to its answer.', 's', quantiles(requests),
          w=12),
  g.graph('Fast enough', 'Share of answers within 1 ms, and within 20 ms: what is later, an Envoy ' +
                         'with its default timeout does not wait for.', 'percentunit', [
    g.query(within('0.001'), 'within 1 ms'),
    g.query(within('0.02'), 'within 20 ms'),
  ], w=12),
  g.graph('Envoy without an answer', 'Envoy’s own view, where it is scraped: requests per second ' +
                                     'without an answer from Weir, and those it let pass.', 'reqps', [
    g.query(envoy('error'), '{{envoy_cluster_name}} error'),
    g.query(envoy('failure_mode_allowed'), '{{envoy_cluster_name}} let pass'),
  ], w=12),
];

local leases = [
  g.row('Leases'),
  g.graph('Life of leased hits', 'Hits per second that Redis leased in advance, and what became of ' +
                                 'them. What is admitted never exceeds what was granted.', 'ops', [
    g.query('sum(%s)' % of_rules('weir_lease_hits_%s_total' % fate), fate)
    for fate in ['granted', 'admitted', 'expired', 'returned']
  ]),
  g.graph('Granted by rule', 'Hits per second that Redis leased, by rule.', 'ops',
          [g.query(by('domain, rule', of_rules('weir_lease_hits_granted_total')), rule_legend)]),
  g.graph('Store calls per decision', 'What leases save: 1 is a call of Redis for each decision.',
          'short', [g.query(share(total('weir_store_calls_total', 'op="take"'), total(decisions)))]),
  g.graph('Decisions by source', 'Who decided: this instance’s memory, a lease, Redis, the memory ' +
                                 'of a recent denial, or a failure policy.', 'ops',
          [g.query(by('source', rated(decisions)), '{{source}}')], w=12, stack=true),
  g.graph('Waiting requests', 'Requests that wait for Redis now.', 'short',
          [g.query('sum by (instance) (%s)' % series('weir_waiting_requests'), '{{instance}}')],
          w=12),
];

local redis = [
  g.row('Redis'),
  g.graph('Connected', 'Instances connected to each Redis server.', 'short',
          [g.query('sum by (node) (%s)' % series('weir_redis_connected'), '{{node}}')]),
  g.graph('State', 'Instances by the worst state over their Redis servers.', 'short',
          [g.query('sum by (state) (%s)' % series('weir_store_state'), '{{state}}')], stack=true),
  g.graph('Call latency', 'Time from a call of Redis to its reply.', 's',
          quantiles('weir_store_call_duration_seconds')),
  g.graph('Calls', 'Calls of Redis per second by what they asked for and how they ended.', 'ops',
          [g.query(by('op, result', rated('weir_store_calls_total')) + ' > 0', '{{op}} {{result}}')]),
  g.graph('Errors', 'Calls and connections that failed per second, by the kind of failure.', 'ops',
          [g.query(by('kind', rated('weir_redis_errors_total')) + ' > 0', '{{kind}}')]),
  g.graph('Redirects, reconnects, failovers', 'Calls that another server took, connections made ' +
                                              'again and servers that took over, per second.',
          'ops', [
            g.query(total('weir_redis_redirects_total'), 'redirects'),
            g.query(total('weir_redis_reconnects_total'), 'reconnects'),
            g.query(total('weir_store_failovers_total'), 'failovers'),
          ]),
  g.graph('Waits that failed', 'Requests per second that waited for Redis in vain, or could not ' +
                               'wait because too many did.', 'reqps', [
    g.query(total('weir_wait_timeouts_total'), 'no reply in time'),
    g.query(total('weir_waiting_refused_total'), 'too many waited'),
  ]),
  g.graph('Clock offset', 'Redis’ clock less the instance’s. Weir counts by Redis’ clock; half a ' +
                          'second is a sign of a machine without NTP.', 's',
          [g.query('max by (instance) (%s)' % series('weir_redis_clock_offset_seconds'),
                   '{{instance}}')]) + { fieldConfig+: { defaults+: { min:: null } } },
  g.graph('Nodes', 'Instances that share the store, as each knows it; their shares of a limit ' +
                   'depend on it while Redis is away.', 'short',
          [g.query('max by (instance) (%s)' % series('weir_nodes'), '{{instance}}')]),
];

local capacity = [
  g.row('Capacity'),
  g.graph('Key table in use', 'Share of the key table that is in use. New keys of a full one get ' +
                              'the overflow policy.', 'percentunit',
          [g.query('sum by (instance) (%s) / sum by (instance) (%s)' % [
            series('weir_keys'),
            series('weir_keys_capacity'),
          ], '{{instance}}')]),
  g.graph('Keys by algorithm', 'Keys held, by the algorithm of their rule.', 'short',
          [g.query('sum by (algorithm) (%s)' % series('weir_keys'), '{{algorithm}}')], stack=true),
  g.graph('Evictions and overflow', 'Keys evicted per second by reason, and decisions given by the ' +
                                    'overflow policy because the table was full.', 'ops', [
    g.query(by('reason', rated('weir_evictions_total')), 'evicted: {{reason}}'),
    g.query(total('weir_overflow_decisions_total'), 'overflow decisions'),
  ]),
  g.graph('Memory', 'Resident memory of the process, and the part that is state of limits.', 'bytes', [
    g.query('sum by (instance) (%s)' % series('process_resident_memory_bytes'), '{{instance}}'),
    g.query('sum by (instance) (%s)' % series('weir_state_bytes'), '{{instance}} state'),
  ]),
  g.graph('CPU', 'Cores in use by each instance.', 'short',
          [g.query(by('instance', rated('process_cpu_seconds_total')), '{{instance}}')]),
  g.graph('Connections and requests', 'Client connections open, and requests being answered.',
          'short', [
            g.query('sum by (instance) (%s)' % series('weir_connections'), '{{instance}} HTTP connections'),
            g.query('sum by (instance) (%s)' % series('weir_inflight_requests'),
                    '{{instance}} requests'),
          ]),
  g.graph('Shed', 'Requests per second refused because too many were in flight.', 'reqps',
          [g.query(by('instance, reason', rated('weir_shed_total')), '{{instance}} {{reason}}')]),
  g.graph('Rejected', 'Requests and streams per second beyond a bound, by which.', 'reqps', [
    g.query(by('reason', rated('weir_input_rejected_total')) + ' > 0', 'input: {{reason}}'),
    g.query(by('reason', rated('weir_http_rejected_total')), 'HTTP: {{reason}}'),
    g.query(by('reason', rated('weir_streams_rejected_total')), 'stream: {{reason}}'),
  ]),
  g.graph('Files and series', 'Open files against their maximum, and requests for a metric series ' +
                              'beyond the budget per second.', 'short', [
    g.query('max by (instance) (%s / %s)' % [series('process_open_fds'), series('process_max_fds')],
            '{{instance}} open files'),
    g.query(total('weir_metric_series_dropped_total'), 'series dropped'),
  ]),
];

local top = [
  g.row('Top rules and keys'),
  g.table('Busiest', 'The ten rules with the most decisions per second. The names of busy keys ' +
                     'are on the status page, never in metrics.', 'ops',
          [g.query('topk(10, %s)' % by('domain, rule', of_rules(decisions)))], w=8),
  g.table('Most denied', 'The ten rules with the most denials per second.', 'ops',
          [g.query('topk(10, %s)' % by('domain, rule', of_rules(decisions, denied)))], w=8),
  g.table('Most hits', 'The ten rules with the most hits asked for per second.', 'ops',
          [g.query('topk(10, %s)' % by('domain, rule', of_rules('weir_hits_total')))], w=8),
  g.graph('Share of the busiest key', 'Share of a rule’s hits of the last minute that its busiest ' +
                                      'key takes: near 1, one caller is the load.', 'percentunit',
          [g.query('topk(10, max by (domain, rule) (%s))' % series('weir_topk_share', rules),
                   rule_legend)], w=12),
  g.graph('Hits by rank', 'Hits of the last minute that keys of each rank took, estimated from ' +
                          'samples, of all rules chosen.', 'short',
          [g.query('sum by (rank) (%s)' % series('weir_topk_hits', rules), 'rank {{rank}}')], w=12),
];

local configuration = [
  g.row('Configuration and TLS'),
  g.stat('Last load', 'Instances whose last read of the rules failed: they keep the ones before.',
         'short', [g.query('count(%s) - sum(%s)' % [
           series('weir_config_last_reload_successful'),
           series('weir_config_last_reload_successful'),
         ])], steps=[[1, 'red']]),
  g.stat('Rules', 'Rules in force, the largest count over the instances.', 'short',
         [g.query('max(%s)' % series('weir_rules'))]),
  g.stat('Oldest configuration', 'Time since the configuration in force came into force, the ' +
                                 'longest over the instances.', 's',
         [g.query('time() - min(%s)' %
                  series('weir_config_last_reload_success_timestamp_seconds'))]),
  g.stat('Enforcement off', 'Domains in which the runtime switch lets everything pass.', 'short',
         [g.query('sum(max by (domain) (%s))' % series('weir_enforcement_off'))],
         steps=[[1, 'red']]),
  g.stat('Next certificate to expire', 'Time until the first certificate of a listener expires.',
         's', [g.query('min(%s) - time()' % series('weir_tls_cert_expiry_timestamp_seconds'))],
         w=8),
  g.graph('Loads', 'Configurations read, by how that ended.', 'short',
          [g.query('sum by (result) (increase(%s[$__rate_interval]))' %
                   series('weir_config_reloads_total'), '{{result}}')]),
  g.table('Configuration by instance', 'The hash of the configuration in force. Equal everywhere ' +
                                       'but during a roll-out.', 'short',
          [g.query('max by (instance, hash) (%s)' % series('weir_config_info'))], w=8),
  g.table('Builds', 'What is running.', 'short',
          [g.query('count by (version, revision) (%s)' % series('weir_build_info'))], w=8),
];

local known = 'label_values(weir_build_info{namespace=~"$namespace"%s}, %s)';
g.dashboard(
  'weir',
  'Weir',
  'Rate limits: decisions, latency, leases, Redis, capacity and configuration of Weir.',
  [
    g.variable('namespace', 'Namespace', 'label_values(weir_build_info, namespace)', '.*'),
    g.variable('job', 'Job', known % ['', 'job'], '.+'),
    g.variable('instance', 'Instance', known % [',job=~"$job"', 'instance'], '.+'),
    g.variable('domain', 'Domain', 'label_values(weir_decisions_total' +
                                   '{namespace=~"$namespace",job=~"$job"}, domain)', '.*'),
    g.variable('rule', 'Rule', 'label_values(weir_decisions_total{namespace=~"$namespace",' +
                               'job=~"$job",domain=~"$domain"}, rule)', '.*'),
    g.variable('envoy_job', 'Envoy’s job', 'label_values(envoy_cluster_ratelimit_ok, job)', '.*'),
  ],
  overview + per_rule + latency + leases + redis + capacity + top + configuration,
)
