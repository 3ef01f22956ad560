// Recording rules: what alerts compare with yesterday, and what dashboards show over long ranges.
local config = import 'config.libsonnet';

{
  groups: [{
    name: 'weir-rules',
    rules: [
      {
        record: 'job:weir_decisions:rate5m',
        expr: |||
          sum by (%(deployment)s) (rate(weir_decisions_total[5m]))
        ||| % config,
      },
      {
        // Of enforced decisions only, so that a rule in shadow mode raises no alert. A rule that has
        // never denied has no series of denials: its ratio is 0, for tomorrow to be compared with.
        record: 'domain_rule:weir_deny_ratio:rate5m',
        expr: |||
          (sum by (%(deployment)s, domain, rule) (
            rate(weir_decisions_total{code="over_limit",mode="enforce"}[5m]))
          or 0 * sum by (%(deployment)s, domain, rule) (
            rate(weir_decisions_total{mode="enforce"}[5m])))
          / sum by (%(deployment)s, domain, rule) (
            rate(weir_decisions_total{mode="enforce"}[5m]))
        ||| % config,
      },
    ],
  }],
}
