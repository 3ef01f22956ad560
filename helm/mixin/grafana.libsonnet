// The few parts of a Grafana dashboard that these need.
local datasource = { type: 'prometheus', uid: '$datasource' };
local columns = 24;

local variable(name, label, query, all) = {
  name: name,
  label: label,
  type: 'query',
  datasource: datasource,
  query: { query: query, refId: name },
  refresh: 2,  // with the time range: an instance of yesterday is found when yesterday is shown
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: all,
  current: { selected: true, text: ['All'], value: ['$__all'] },
  options: [],
  regex: '',
  hide: 0,
  skipUrlSync: false,
};

// Gives each panel a place, left to right, and an id; `x`, `y` and `height` are of the line so far.
local place(panels, i=0, x=0, y=0, height=0) =
  if i == std.length(panels) then [] else
    local panel = panels[i];
    local fits = panel.type != 'row' && x + panel.gridPos.w <= columns;
    local at = {
      x: if fits then x else 0,
      y: if fits then y else y + height,
      w: panel.gridPos.w,
      h: panel.gridPos.h,
    };
    [panel { id: i + 1, gridPos: at }] +
    place(panels, i + 1, at.x + at.w, at.y, if fits then std.max(height, at.h) else at.h);

{
  // One query; `legend` names its series.
  query(expr, legend='', extra={}):: {
    datasource: datasource,
    expr: expr,
    legendFormat: legend,
    editorMode: 'code',
    range: true,
  } + extra,

  local panel(type, title, description, unit, queries, w, h, defaults, options) = {
    type: type,
    title: title,
    description: description,
    datasource: datasource,
    gridPos: { w: w, h: h },
    targets: [queries[i] { refId: std.char(65 + i) } for i in std.range(0, std.length(queries) - 1)],
    fieldConfig: { defaults: { unit: unit } + defaults, overrides: [] },
    options: options,
  },

  row(title):: {
    type: 'row',
    title: title,
    collapsed: false,
    gridPos: { w: columns, h: 1 },
    panels: [],
  },

  graph(title, description, unit, queries, w=8, stack=false)::
    panel('timeseries', title, description, unit, queries, w, 8, {
      min: 0,
      custom: {
        drawStyle: 'line',
        lineWidth: 1,
        fillOpacity: if stack then 30 else 10,
        showPoints: 'never',
        stacking: { mode: if stack then 'normal' else 'none', group: 'A' },
      },
    }, {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    }),

  // `steps`: colours from a value on; `mappings` of values to texts.
  stat(title, description, unit, queries, w=4, steps=[], mappings=[])::
    panel('stat', title, description, unit, queries, w, 4, {
      thresholds: {
        mode: 'absolute',
        steps: [{ color: 'green', value: null }] +
               [{ color: step[1], value: step[0] } for step in steps],
      },
      mappings: mappings,
    }, {
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      colorMode: if steps == [] then 'none' else 'value',
      graphMode: 'area',
      textMode: 'auto',
    }),

  heatmap(title, description, queries, w=12)::
    panel('heatmap', title, description, 's', queries, w, 8, {}, {
      calculate: false,
      yAxis: { unit: 's' },
      color: { mode: 'scheme', scheme: 'Blues', steps: 32 },
      tooltip: { show: true, yHistogram: true },
      legend: { show: true },
    }),

  table(title, description, unit, queries, w=12)::
    panel('table', title, description, unit, queries, w, 8, {}, {
      showHeader: true,
      sortBy: [{ displayName: 'Value', desc: true }],
    }) + {
      targets: [target { instant: true, range: false, format: 'table' } for target in super.targets],
      transformations: [{ id: 'organize', options: { excludeByName: { Time: true } } }],
    },

  variable:: variable,

  dashboard(uid, title, description, variables, panels):: {
    uid: uid,
    title: title,
    description: description,
    tags: ['weir', 'rate-limit'],
    editable: false,
    graphTooltip: 1,
    schemaVersion: 39,
    version: 1,
    timezone: 'browser',
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    timepicker: {},
    annotations: { list: [] },
    links: [{
      type: 'dashboards',
      title: 'Weir',
      tags: ['weir'],
      asDropdown: true,
      includeVars: true,
      keepTime: true,
      targetBlank: false,
      icon: 'external link',
      tooltip: '',
    }],
    templating: {
      list: [{
        name: 'datasource',
        label: 'Data source',
        type: 'datasource',
        query: 'prometheus',
        options: [],
        regex: '',
        refresh: 1,
        hide: 0,
        includeAll: false,
        multi: false,
        skipUrlSync: false,
      }] + variables,
    },
    panels: place(panels),
  },
}
