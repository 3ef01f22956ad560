#include "limiter/grpc/reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <cstddef>
#include <set>

namespace weir {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

const DescriptorPool& Pool() { return *DescriptorPool::generated_pool(); }

template <typename Response>
void Fail(grpc::StatusCode code, const char* message, Response* response) {
  response->mutable_error_response()->set_error_code(code);
  response->mutable_error_response()->set_error_message(message);
}

// The file and all it imports, each once and the file itself first: clients need them all, and this
// way they need not ask for one after the other.
template <typename Response>
void AddFiles(const FileDescriptor* file, Response* response) {
  if (file == nullptr) {
    Fail(grpc::StatusCode::NOT_FOUND, "not known here", response);
    return;
  }
  std::vector<const FileDescriptor*> files = {file};
  std::set<const FileDescriptor*> seen = {file};
  for (std::size_t next = 0; next < files.size(); ++next) {
    google::protobuf::FileDescriptorProto proto;
    files[next]->CopyTo(&proto);
    proto.SerializeToString(
        response->mutable_file_descriptor_response()->add_file_descriptor_proto());
    for (int i = 0; i < files[next]->dependency_count(); ++i) {
      const FileDescriptor* dependency = files[next]->dependency(i);
      if (seen.insert(dependency).second) files.push_back(dependency);
    }
  }
}

const FileDescriptor* FileOfExtension(const std::string& type, int number) {
  const Descriptor* message = Pool().FindMessageTypeByName(type);
  if (message == nullptr) return nullptr;
  const FieldDescriptor* extension = Pool().FindExtensionByNumber(message, number);
  return extension == nullptr ? nullptr : extension->file();
}

template <typename Response>
void AddExtensionNumbers(const std::string& type, Response* response) {
  const Descriptor* message = Pool().FindMessageTypeByName(type);
  if (message == nullptr) {
    Fail(grpc::StatusCode::NOT_FOUND, "not known here", response);
    return;
  }
  auto* numbers = response->mutable_all_extension_numbers_response();
  numbers->set_base_type_name(type);
  std::vector<const FieldDescriptor*> extensions;
  Pool().FindAllExtensions(message, &extensions);
  for (const FieldDescriptor* extension : extensions) {
    numbers->add_extension_number(extension->number());
  }
  std::sort(numbers->mutable_extension_number()->begin(),
            numbers->mutable_extension_number()->end());
}

}  // namespace

template <typename Api>
typename Api::Response Reflect(const std::vector<std::string>& services,
                               const typename Api::Request& request) {
  using Request = typename Api::Request;
  typename Api::Response response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      AddFiles(Pool().FindFileByName(request.file_by_filename()), &response);
      break;
    case Request::kFileContainingSymbol:
      AddFiles(Pool().FindFileContainingSymbol(request.file_containing_symbol()), &response);
      break;
    case Request::kFileContainingExtension:
      AddFiles(FileOfExtension(request.file_containing_extension().containing_type(),
                               request.file_containing_extension().extension_number()),
               &response);
      break;
    case Request::kAllExtensionNumbersOfType:
      AddExtensionNumbers(request.all_extension_numbers_of_type(), &response);
      break;
    case Request::kListServices:
      for (const std::string& service : services) {
        response.mutable_list_services_response()->add_service()->set_name(service);
      }
      break;
    case Request::MESSAGE_REQUEST_NOT_SET:
      Fail(grpc::StatusCode::INVALID_ARGUMENT, "message_request is not set", &response);
      break;
  }
  return response;
}

template ReflectionV1::Response Reflect<ReflectionV1>(const std::vector<std::string>&,
                                                      const ReflectionV1::Request&);
template ReflectionV1Alpha::Response Reflect<ReflectionV1Alpha>(const std::vector<std::string>&,
                                                                const ReflectionV1Alpha::Request&);

}  // namespace weir
