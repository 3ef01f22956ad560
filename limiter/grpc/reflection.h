#pragma once

// What grpc.reflection.v1 and v1alpha answer: which services there are, and the files that describe
// them, from the descriptors that protoc generated.

#include <string>
#include <vector>

#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace weir {

// The two versions differ in their names only.
struct ReflectionV1 {
  using Service = grpc::reflection::v1::ServerReflection::AsyncService;
  using Request = grpc::reflection::v1::ServerReflectionRequest;
  using Response = grpc::reflection::v1::ServerReflectionResponse;
};
struct ReflectionV1Alpha {
  using Service = grpc::reflection::v1alpha::ServerReflection::AsyncService;
  using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
  using Response = grpc::reflection::v1alpha::ServerReflectionResponse;
};

// The answer to one request; what is not known is an error inside of it, as the protocol has it.
// `services` are the full names to list. Thread-safe.
template <typename Api>
typename Api::Response Reflect(const std::vector<std::string>& services,
                               const typename Api::Request& request);

extern template ReflectionV1::Response Reflect<ReflectionV1>(const std::vector<std::string>&,
                                                             const ReflectionV1::Request&);
extern template ReflectionV1Alpha::Response Reflect<ReflectionV1Alpha>(
    const std::vector<std::string>&, const ReflectionV1Alpha::Request&);

}  // namespace weir
