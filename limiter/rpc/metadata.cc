#include "limiter/rpc/metadata.h"

#include <cstddef>
#include <string>
#include <utility>
#include <variant>

#include "limiter/core/metadata.h"

namespace weir {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

void Merge(const MetadataMap& from, Struct* into);

void Set(const MetadataValue& from, Value* into) {
  if (const auto* flag = std::get_if<bool>(&from.value)) {
    into->set_bool_value(*flag);
  } else if (const auto* number = std::get_if<double>(&from.value)) {
    into->set_number_value(*number);
  } else if (const auto* text = std::get_if<std::string>(&from.value)) {
    into->set_string_value(*text);
  } else if (const auto* list = std::get_if<MetadataList>(&from.value)) {
    ListValue* values = into->mutable_list_value();
    for (const MetadataValue& item : *list) Set(item, values->add_values());
  } else if (const auto* map = std::get_if<MetadataMap>(&from.value)) {
    Merge(*map, into->mutable_struct_value());
  } else {
    into->set_null_value(google::protobuf::NULL_VALUE);
  }
}

void Merge(const MetadataMap& from, Struct* into) {
  for (const auto& [name, value] : from) {
    const auto found = into->mutable_fields()->find(name);
    if (found == into->mutable_fields()->end()) {
      Set(value, &(*into->mutable_fields())[name]);
    } else if (const auto* map = std::get_if<MetadataMap>(&value.value);
               map != nullptr && found->second.has_struct_value()) {
      Merge(*map, found->second.mutable_struct_value());
    }
  }
}

Value Text(const std::string& text) {
  Value value;
  value.set_string_value(text);
  return value;
}

Value Number(double number) {
  Value value;
  value.set_number_value(number);
  return value;
}

}  // namespace

void FillDynamicMetadata(const envoy::service::ratelimit::v3::RateLimitRequest& request,
                         const Check& check, Struct* metadata) {
  auto& fields = *metadata->mutable_fields();
  fields["domain"] = Text(request.domain());
  ListValue* descriptors = fields["descriptors"].mutable_list_value();
  for (const auto& source : request.descriptors()) {
    auto& descriptor = *descriptors->add_values()->mutable_struct_value()->mutable_fields();
    ListValue* entries = descriptor["entries"].mutable_list_value();
    for (const auto& entry : source.entries()) {
      *entries->add_values() = Text(entry.key() + "=" + entry.value());
    }
    if (source.has_limit()) descriptor["limit"] = Text(source.limit().ShortDebugString());
    if (source.has_hits_addend()) {
      descriptor["hitsAddend"] = Number(static_cast<double>(source.hits_addend().value()));
    }
  }
  if (request.hits_addend() != 0) fields["hitsAddend"] = Number(request.hits_addend());
  Struct merged;
  for (const Outcome& outcome : check.outcomes) {
    if (outcome.rule == nullptr || outcome.kind != Outcome::Kind::kLimited) continue;
    if (!outcome.over_limit()) Merge(outcome.rule->metadata, &merged);
  }
  if (!merged.fields().empty()) *fields["metadata"].mutable_struct_value() = std::move(merged);
}

}  // namespace weir
