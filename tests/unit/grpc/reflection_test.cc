// What reflection answers to each kind of request, for both versions of the protocol.

#include "limiter/grpc/reflection.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "weir/v1/limiter.pb.h"

namespace weir {
namespace {

using google::protobuf::FileDescriptorProto;
using testing::ElementsAre;

template <typename Api>
class Reflection : public ::testing::Test {
 protected:
  using Request = typename Api::Request;
  using Response = typename Api::Response;

  static Response Ask(const Request& request) { return Reflect<Api>({"a.B", "c.D"}, request); }

  static Response AskSymbol(const std::string& symbol) {
    Request request;
    request.set_file_containing_symbol(symbol);
    return Ask(request);
  }

  static std::vector<FileDescriptorProto> Files(const Response& response) {
    std::vector<FileDescriptorProto> files;
    for (const auto& bytes : response.file_descriptor_response().file_descriptor_proto()) {
      EXPECT_TRUE(files.emplace_back().ParseFromString(bytes));
    }
    return files;
  }

  static std::string FirstFile(const Response& response) {
    const std::vector<FileDescriptorProto> files = Files(response);
    return files.empty() ? "" : files[0].name();
  }

  static int ErrorOf(const Response& response) { return response.error_response().error_code(); }
};

using Apis = ::testing::Types<ReflectionV1, ReflectionV1Alpha>;
TYPED_TEST_SUITE(Reflection, Apis);

TYPED_TEST(Reflection, ListsTheServicesAndEchoesTheRequest) {
  typename TypeParam::Request request;
  request.set_host("here");
  request.set_list_services("*");
  const typename TypeParam::Response response = this->Ask(request);
  std::vector<std::string> names;
  for (const auto& service : response.list_services_response().service()) {
    names.push_back(service.name());
  }
  EXPECT_THAT(names, ElementsAre("a.B", "c.D"));
  EXPECT_EQ(response.valid_host(), "here");
  EXPECT_EQ(response.original_request().SerializeAsString(), request.SerializeAsString());
}

TYPED_TEST(Reflection, AFileComesFirstAndThenAllItImportsOnce) {
  const std::string name = "envoy/service/ratelimit/v3/rls.proto";
  typename TypeParam::Request request;
  request.set_file_by_filename(name);
  const std::vector<FileDescriptorProto> files = this->Files(this->Ask(request));
  ASSERT_GT(files.size(), 1U);
  EXPECT_EQ(files[0].name(), name);
  std::set<std::string> names;
  for (const FileDescriptorProto& file : files) {
    EXPECT_TRUE(names.insert(file.name()).second) << file.name() << " came twice";
  }
  for (const FileDescriptorProto& file : files) {
    for (const std::string& import : file.dependency()) {
      EXPECT_EQ(names.count(import), 1U) << import << " is missing";
    }
  }
}

TYPED_TEST(Reflection, SymbolsAreServicesMethodsMessagesAndFields) {
  for (const char* symbol : {"weir.v1.Limiter", "weir.v1.Limiter.Check", "weir.v1.CheckRequest",
                             "weir.v1.CheckRequest.domain"}) {
    EXPECT_EQ(this->FirstFile(this->AskSymbol(symbol)), "weir/v1/limiter.proto") << symbol;
  }
  const std::string itself = std::is_same_v<TypeParam, ReflectionV1> ? "v1" : "v1alpha";
  EXPECT_EQ(this->FirstFile(this->AskSymbol("grpc.reflection." + itself + ".ServerReflection")),
            "grpc/reflection/" + itself + "/reflection.proto");
}

TYPED_TEST(Reflection, WhatIsNotKnownIsAnErrorInTheAnswer) {
  const int not_found = grpc::StatusCode::NOT_FOUND;
  EXPECT_EQ(this->ErrorOf(this->AskSymbol("weir.v1.Nothing")), not_found);
  typename TypeParam::Request request;
  request.set_file_by_filename("nothing.proto");
  EXPECT_EQ(this->ErrorOf(this->Ask(request)), not_found);
  request.mutable_file_containing_extension()->set_containing_type("nothing.Nothing");
  EXPECT_EQ(this->ErrorOf(this->Ask(request)), not_found);
  request.mutable_file_containing_extension()->set_containing_type("weir.v1.CheckRequest");
  request.mutable_file_containing_extension()->set_extension_number(1000);
  EXPECT_EQ(this->ErrorOf(this->Ask(request)), not_found);
  request.set_all_extension_numbers_of_type("nothing.Nothing");
  EXPECT_EQ(this->ErrorOf(this->Ask(request)), not_found);
  request.Clear();
  EXPECT_EQ(this->ErrorOf(this->Ask(request)), grpc::StatusCode::INVALID_ARGUMENT);
}

TYPED_TEST(Reflection, AMessageWithoutExtensionsHasNone) {
  typename TypeParam::Request request;
  request.set_all_extension_numbers_of_type("weir.v1.CheckRequest");
  const typename TypeParam::Response response = this->Ask(request);
  ASSERT_TRUE(response.has_all_extension_numbers_response());
  EXPECT_EQ(response.all_extension_numbers_response().base_type_name(), "weir.v1.CheckRequest");
  EXPECT_EQ(response.all_extension_numbers_response().extension_number_size(), 0);
}

}  // namespace
}  // namespace weir
