// The dashboard over the metric names of envoyproxy/ratelimit, which Weir exports in compat mode:
// one view for a fleet of which a part is replaced.
local g = import 'grafana.libsonnet';

local instances = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"';
local series(name, matchers='') =
  'ratelimit_service_%s{%s%s}' % [name, instances, if matchers == '' then '' else ',' + matchers];
local rated(name, matchers='') = 'rate(%s[$__rate_interval])' % series(name, matchers);
local of_rules(name) = rated('rate_limit_' + name, 'domain=~"$domain"');

local by_rule(name) = 'sum by (domain, key1, key2) (%s)' % of_rules(name);
local rule_legend = '{{domain}} {{key1}} {{key2}}';
local quantile(q) =
  'histogram_quantile(%s, sum by (le) (%s))' % [q, rated('response_time_seconds_bucket')];

g.dashboard(
  'weir-ratelimit',
  'Weir: names of envoyproxy/ratelimit',
  'Rate limits by the metric names of envoyproxy/ratelimit, as Weir in compat mode exports them.',
  [
    g.variable('namespace', 'Namespace',
               'label_values(ratelimit_service_total_requests, namespace)', '.*'),
    g.variable('job', 'Job', 'label_values(ratelimit_service_total_requests' +
                             '{namespace=~"$namespace"}, job)', '.+'),
    g.variable('instance', 'Instance', 'label_values(ratelimit_service_total_requests' +
                                       '{namespace=~"$namespace",job=~"$job"}, instance)', '.+'),
    g.variable('domain', 'Domain', 'label_values(ratelimit_service_rate_limit_total_hits' +
                                   '{namespace=~"$namespace",job=~"$job"}, domain)', '.*'),
  ],
  [
    g.row('Service'),
    g.graph('Requests', 'Calls of ShouldRateLimit per second, by instance.', 'reqps',
            [g.query('sum by (instance) (%s)' % rated('total_requests'), '{{instance}}')]),
    g.graph('Errors', 'Calls that ended in an error per second: the store’s, or the service’s.',
            'reqps', [g.query('sum by (err_type) (%s)' % rated('should_rate_limit_error'),
                              '{{err_type}}')]),
    g.graph('Response time', 'From the arrival of a call to its answer. Envoy gives up at 20 ms ' +
                             'unless told otherwise.', 's',
            [g.query(quantile('0.5'), 'p50'), g.query(quantile('0.99'), 'p99'),
             g.query(quantile('0.999'), 'p99.9')]),
    g.row('Hits'),
    g.graph('Hits', 'Hits asked for per second, by domain.', 'ops',
            [g.query('sum by (domain) (%s)' % of_rules('total_hits'), '{{domain}}')]),
    g.graph('Over the limit', 'Hits above the limit per second, those let pass by shadow mode ' +
                              'included.', 'ops', [g.query(by_rule('over_limit'), rule_legend)]),
    g.graph('Share over the limit', 'Hits above the limit out of all hits, by domain.',
            'percentunit', [g.query(|||
              sum by (domain) (%s)
              / (sum by (domain) (%s) > 0)
            ||| % [of_rules('over_limit'), of_rules('total_hits')], '{{domain}}')]),
    g.graph('Within the limit', 'Hits of decisions within the limit per second.', 'ops',
            [g.query(by_rule('within_limit'), rule_legend)]),
    g.graph('Near the limit', 'Hits within the limit but beyond its near-limit mark per second.',
            'ops', [g.query(by_rule('near_limit'), rule_legend)]),
    g.graph('Let pass by shadow mode', 'Hits above the limit that a rule in shadow mode let pass.',
            'ops', [g.query(by_rule('shadow_mode'), rule_legend)]),
    g.graph('Given back', 'Hits that callers gave back per second.', 'ops',
            [g.query(by_rule('total_negative_hits'), rule_legend)]),
    g.table('Most over the limit', 'The ten rules with the most hits above the limit per second.',
            'ops', [g.query('topk(10, %s)' % by_rule('over_limit'))], w=16),
    g.row('Configuration'),
    g.graph('Loads', 'Configurations read, by how that ended.', 'short',
            [g.query('sum(increase(%s[$__rate_interval]))' % series('config_load_success'), 'in force'),
             g.query('sum(increase(%s[$__rate_interval]))' % series('config_load_error'), 'refused')], w=24),
  ],
)
