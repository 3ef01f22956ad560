"""Between the YAML of cases and protobuf messages.

A descriptor may be written as text, "user=ada plan=free"; a list of descriptors stands for a
request with them. Answers become plain dicts with every scalar field, and messages only where
present. Durations are numbers of seconds.
"""

from google.protobuf import duration_pb2, json_format, struct_pb2


def entries(text):
    """"a=b c=" -> its entries; values with spaces need the long form."""
    pairs = [word.partition("=") for word in text.split()]
    return [{"key": key, "value": value} for key, _, value in pairs]


def _descriptor(item):
    if isinstance(item, str):
        item = {"entries": item}
    item = dict(item)
    if isinstance(item.get("entries"), str):
        item["entries"] = entries(item["entries"])
    if isinstance(item.get("entries"), dict):  # {count: 17}: that many entries
        count = item["entries"]["count"]
        item["entries"] = [{"key": f"k{i}", "value": "v"} for i in range(count)]
    return item


def _descriptors(value):
    if isinstance(value, str):
        return [_descriptor(value)]
    if isinstance(value, dict):  # {count: 33, text: "a={}"}: that many descriptors, numbered
        return [_descriptor(value.get("text", "k{}=v").format(i)) for i in range(value["count"])]
    return [_descriptor(item) for item in value]


def request(value, domain):
    """The fields of a request as json_format.ParseDict takes them."""
    if isinstance(value, (str, list)):
        value = {"descriptors": value}
    value = {"domain": domain, **value}
    if "descriptors" in value:
        value["descriptors"] = _descriptors(value["descriptors"])
    if "entries" in value:  # Explain
        value = _descriptor(value)
    if "items" in value:  # CheckBatch
        del value["domain"]
        items = value["items"]
        if isinstance(items, dict):  # {count: 1001, item: …}
            items = [items["item"]] * items["count"]
        value["items"] = [request(item, domain) for item in items]
    return value


def parse(fields, message_class):
    """A message of these fields; texts like !repeat have become text by now."""
    return json_format.ParseDict(fields, message_class())


def _scalar(field, value):
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return value


def _message(value):
    if isinstance(value, duration_pb2.Duration):
        return value.seconds + value.nanos / 1e9 if value.nanos else value.seconds
    if isinstance(value, struct_pb2.Struct):
        return json_format.MessageToDict(value)
    return to_dict(value)


def to_dict(message):
    out = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        is_message = field.message_type is not None
        if field.is_repeated:
            out[field.name] = [_message(v) if is_message else _scalar(field, v) for v in value]
        elif not is_message:
            out[field.name] = _scalar(field, value)
        elif message.HasField(field.name):
            out[field.name] = _message(value)
    return out
