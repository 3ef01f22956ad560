// Every file of helm/files, by name. The library's own YAML writer takes many seconds for these.
local indent(text, by) = std.strReplace(std.rstripChars(text, '\n'), '\n', '\n' + by);

// A string in quotes, by the interpreter itself.
local quoted(text) =
  local list = std.toString([text]);
  std.substr(list, 1, std.length(list) - 2);

local pairs(object) =
  std.join(', ', ['%s: %s' % [name, object[name]] for name in std.objectFields(object)]);

local rule(rule) = std.join('\n        ', [
  if 'alert' in rule then '      - alert: ' + rule.alert else '      - record: ' + rule.record,
  'expr: |\n          ' + indent(rule.expr, '          '),
] + (if 'for' in rule then ['for: ' + rule['for']] else []) +
  (if 'labels' in rule then ['labels: {%s}' % pairs(rule.labels)] else []) +
  (if 'annotations' in rule then [
     'annotations:',
     '  summary: ' + quoted(rule.annotations.summary),
     '  runbook_url: ' + quoted(rule.annotations.runbook_url),
   ] else []));

local group(group) =
  '  - name: %s\n    rules:\n' % group.name + std.join('\n', [rule(r) for r in group.rules]);

local yaml(title, document) =
  '# %s\n# Made by ./dev mixin from helm/mixin: change it there.\n' % title +
  '# yamllint disable rule:line-length\ngroups:\n' +
  std.join('\n', [group(g) for g in document.groups]);

{
  'alerts.yaml': yaml('Alerts on the metrics of Weir.', import 'alerts.libsonnet'),
  'rules.yaml': yaml('Recording rules over the metrics of Weir.', import 'rules.libsonnet'),
}
