"""Envoy's configuration under test: the documented one, with other ports.

What docs/example/envoy.yaml and docs/envoy.md show is what runs here. A test that needs something
else changes the parsed file at the place it is about.
"""

import copy
import pathlib
import re

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
FILE = REPOSITORY / "docs" / "example" / "envoy.yaml"
PAGE = REPOSITORY / "docs" / "envoy.md"
HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
RATE_LIMIT = "envoy.filters.http.ratelimit"

_BLOCK = re.compile(r"^(?:<!-- tested: ([a-z-]+) -->\n)?```yaml\n(.*?)^```$", re.M | re.S)


def snippets():
    """The YAML blocks of the page: [(name, text)]; the name is empty where none is given."""
    return _BLOCK.findall(PAGE.read_text())


def snippet(name, **replaced):
    """The block of this name, parsed; `replaced` maps words of it to other text."""
    text = dict(snippets())[name]
    for old, new in replaced.items():
        if old not in text:
            raise ValueError(f"snippet {name} has no {old!r}")
        text = text.replace(old, str(new))
    return yaml.safe_load(text)


def by_header(*names):
    """A route's rate_limits: a descriptor NAME=value for each of these headers x-NAME."""
    return [{"actions": [action(name)]} for name in names]


def action(name):
    return {"request_headers": {"header_name": f"x-{name}", "descriptor_key": name}}


class Bootstrap:
    def __init__(self, weir_port, service_port):
        """`weir_port`: where Weir listens; `service_port`: a free one. Others are chosen by Envoy,
        which says so on its admin page."""
        text = FILE.read_text()
        ports = {9901: 0, 10000: 0, 10001: service_port, 8081: weir_port}
        for documented, port in ports.items():
            pattern = rf"port_value: {documented}\b"
            if not re.search(pattern, text):
                raise ValueError(f"{FILE.name} has no port {documented}")
            text = re.sub(pattern, f"port_value: <{port}>", text)
        self.tree = yaml.safe_load(re.sub(r"<(\d+)>", r"\1", text))

    @property
    def edge(self):
        """The connection manager of the listener that clients talk to."""
        listener = self.tree["static_resources"]["listeners"][0]
        return listener["filter_chains"][0]["filters"][0]["typed_config"]

    @property
    def rate_limit_filter(self):
        return self._filter()["typed_config"]

    def _filter(self):
        return next(f for f in self.edge["http_filters"] if f["name"] == RATE_LIMIT)

    @property
    def routes(self):
        return self.edge["route_config"]["virtual_hosts"][0]["routes"]

    @property
    def route(self):
        """The one that matches everything."""
        return self.routes[-1]

    def limit(self, rate_limits):
        self.route["route"]["rate_limits"] = rate_limits

    def limit_per_route(self, rate_limits, prefix=None):
        """The filter's own form of rate limits, which alone knows hits_addend; with a prefix, on a
        route of its own."""
        route = self.route
        if prefix:
            route = copy.deepcopy(route)
            route["match"] = {"prefix": prefix}
            self.routes.insert(0, route)
        route["route"].pop("rate_limits", None)
        route.setdefault("typed_per_filter_config", {})[RATE_LIMIT] = {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3."
                     "RateLimitPerRoute", "rate_limits": rate_limits}

    def before_rate_limit(self, http_filter):
        self.edge["http_filters"].insert(self.edge["http_filters"].index(self._filter()),
                                         http_filter)

    def cluster(self, name):
        clusters = self.tree["static_resources"]["clusters"]
        return next(c for c in clusters if c["name"] == name)

    def text(self):
        return yaml.safe_dump(self.tree, sort_keys=False)
