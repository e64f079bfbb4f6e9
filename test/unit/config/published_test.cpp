// SPDX-License-Identifier: Apache-2.0
// proto/service_config against grpc-proto's own file, where Debian's package of that name is installed
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <millrace_service_config.pb.h>

#include <support/catch.hpp>

#include <fstream>

namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

void compare(Descriptor const& ours, Descriptor const& theirs) {
  for (int at = 0; at < ours.field_count(); ++at) {
    FieldDescriptor const& one = *ours.field(at);
    INFO(one.full_name());
    FieldDescriptor const* const other = theirs.FindFieldByName(one.name());
    REQUIRE(other != nullptr);
    CHECK(one.number() == other->number());
    CHECK(one.json_name() == other->json_name());
    CHECK(one.type() == other->type());
    CHECK(one.label() == other->label());
    CHECK((one.containing_oneof() == nullptr) == (other->containing_oneof() == nullptr));
    if (one.message_type() == nullptr) continue;
    CHECK(one.message_type()->name() == other->message_type()->name());
    compare(*one.message_type(), *other->message_type());
  }
}

}  // namespace

TEST_CASE("service config: the schema is the published one, as far as it goes", "[config]") {
#ifdef MILLRACE_PUBLISHED
  std::ifstream file(MILLRACE_PUBLISHED, std::ios::binary);
  google::protobuf::FileDescriptorSet set;
  REQUIRE(set.ParseFromIstream(&file));
  google::protobuf::DescriptorPool pool;
  for (auto const& one : set.file()) REQUIRE(pool.BuildFile(one) != nullptr);
  auto const* const published = pool.FindMessageTypeByName("grpc.service_config.ServiceConfig");
  REQUIRE(published != nullptr);
  compare(*millrace::published::ServiceConfig::descriptor(), *published);
#else
  WARN("grpc-proto was not installed when this was built: nothing to compare with");
#endif
}
