// What an installation may want to change before it runs ./dev mixin.
{
  // Where the pages of docs/runbooks are served: before the name of an alert and '.md'.
  runbookBase: 'docs/runbooks/',

  // The job of a Weir that never answered a scrape; those that did are known by weir_build_info.
  jobPattern: '.*weir.*',

  // The labels that tell one deployment from another. A label that a scrape does not set, as
  // namespace outside Kubernetes, does no harm.
  deployment: 'namespace, job',
  // One process of a deployment.
  instance: 'namespace, job, pod, instance',
}
