// Every file of helm/dashboards, by name.
{
  'weir.json': import 'weir.libsonnet',
  'weir-ratelimit.json': import 'weir_ratelimit.libsonnet',
}
