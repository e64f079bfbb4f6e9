// SPDX-License-Identifier: Apache-2.0
#include <millrace/config/impl/published.hpp>

#include <millrace/config/impl/text.hpp>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>
#include <millrace_service_config.pb.h>

#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace millrace::config::impl {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

FieldDescriptor const* field_named(Descriptor const& type, std::string const& key) {
  for (int at = 0; at < type.field_count(); ++at) {
    if (type.field(at)->json_name() == key) return type.field(at);
  }
  return nullptr;
}

std::string indexed(std::string const& path, std::size_t at) { return path + '[' + std::to_string(at) + ']'; }

// "1.5s", ".1s", "-2s"; protobuf takes blanks too
bool is_duration(json const& value) {
  if (!value.is_string()) return false;
  std::string_view const text = value.get_ref<std::string const&>();
  return text.size() > 1 && text.ends_with('s') && text.find_first_not_of("-.0123456789") == text.size() - 1;
}

// a number, or its digits as a text, as protobuf writes 64 bits
bool is_whole(json const& value, std::uint64_t most) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>() <= most;
  if (!value.is_string()) return false;
  auto const& text = value.get_ref<std::string const&>();
  std::uint64_t number = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() && number <= most;
}

bool is_value_of(json const& value, google::protobuf::EnumDescriptor const& type) {
  if (value.is_number_integer()) return true;  // what has no name is left to who reads it
  if (!value.is_string()) return false;
  std::string name = value.get<std::string>();
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return type.FindValueByName(name) != nullptr;
}

// protobuf's own reader lets much pass that gRPC refuses: "yes" for true, one value for a list of one
void check_scalar(json const& value, FieldDescriptor const& field, std::string const& path) {
  auto const must = [&](bool fine, std::string const& what) {
    if (!fine) refuse_value(path, value, what);
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL: return must(value.is_boolean(), "true or false");
    case FieldDescriptor::CPPTYPE_STRING: return must(value.is_string(), "a text");
    case FieldDescriptor::CPPTYPE_FLOAT: return must(value.is_number(), "a number");
    case FieldDescriptor::CPPTYPE_UINT32:
      return must(is_whole(value, 0xffffffff), "a whole number from 0 to 4294967295");
    case FieldDescriptor::CPPTYPE_UINT64:
      return must(is_whole(value, ~std::uint64_t{0}), "a whole number of at least 0");
    case FieldDescriptor::CPPTYPE_ENUM:
      return must(is_value_of(value, *field.enum_type()), "a status code's name or number");
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_MESSAGE: return;  // messages are looked into; of the others there are none
  }
}

void prepare(json& value, Descriptor const& type, std::string const& path, std::vector<std::string>& unknown);

void prepare_value(json& value, FieldDescriptor const& field, std::string const& path,
                   std::vector<std::string>& unknown) {
  Descriptor const* const type = field.message_type();
  if (type == nullptr) return check_scalar(value, field, path);
  switch (type->well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_UNSPECIFIED: return prepare(value, *type, path, unknown);
    case Descriptor::WELLKNOWNTYPE_DURATION:
      if (!is_duration(value)) refuse_value(path, value, "a duration in seconds such as \"1.5s\"");
      // gRFC A6 itself writes ".1s", which gRPC reads and protobuf does not
      if (auto& text = value.get_ref<std::string&>(); text.starts_with('.')) text.insert(0, "0");
      return;
    default: return check_scalar(value, *type->field(0), path);  // a wrapper
  }
}

// checks the types, and takes out what the schema does not have, as gRPC does
void prepare(json& value, Descriptor const& type, std::string const& path, std::vector<std::string>& unknown) {
  if (!value.is_object()) refuse_value(path, value, "an object");
  for (auto one = value.begin(); one != value.end();) {
    std::string const here = joined(path, one.key());
    FieldDescriptor const* const field = field_named(type, one.key());
    if (field == nullptr) {
      unknown.push_back(here);
      one = value.erase(one);
      continue;
    }
    if (one->is_null()) {  // as if it were not there
    } else if (!field->is_repeated()) {
      prepare_value(*one, *field, here, unknown);
    } else {
      if (!one->is_array()) refuse_value(here, *one, "an array");
      for (std::size_t at = 0; at < one->size(); ++at) prepare_value((*one)[at], *field, indexed(here, at), unknown);
    }
    ++one;
  }
}

// leaves the first entry that the engine supports, in its place
void choose_policy(json& document) {
  auto const list = document.find("loadBalancingConfig");
  if (list == document.end() || list->is_null()) return;
  constexpr std::string_view path = "loadBalancingConfig";
  if (!list->is_array()) refuse_value(path, *list, "an array of objects with one policy each");
  for (std::size_t at = 0; at < list->size(); ++at) {
    json& one = (*list)[at];
    if (!one.is_object() || one.size() != 1)
      refuse_value(indexed(std::string(path), at), one, "an object with one policy");
    if (field_named(*published::LoadBalancingConfig::descriptor(), one.begin().key()) != nullptr) {
      while (list->size() > at + 1) list->erase(list->size() - 1);
      return;
    }
    one = json::object();
  }
  refuse(path, "a list without a policy of the engine",
         "round_robin, pick_first, least_request_experimental, ring_hash_experimental");
}

std::optional<std::string> take_old_policy(json& document) {
  auto const found = document.find("loadBalancingPolicy");
  if (found == document.end()) return std::nullopt;
  if (!found->is_string()) refuse_value("loadBalancingPolicy", *found, "the name of a policy");
  auto name = found->get<std::string>();
  document.erase(found);
  return name;
}

}  // namespace

unpublished_fields parse_published(std::string_view text, published::ServiceConfig& into) {
  unpublished_fields others;
  json document = parse(text);
  if (!document.is_object()) refuse_value("", document, "an object");
  others.load_balancing_policy = take_old_policy(document);
  choose_policy(document);
  prepare(document, *published::ServiceConfig::descriptor(), "", others.unknown);
  google::protobuf::util::JsonParseOptions options;
  options.case_insensitive_enum_parsing = true;
  auto const status = google::protobuf::util::JsonStringToMessage(document.dump(), &into, options);
  if (!status.ok()) throw std::invalid_argument("service config: " + std::string(status.message()));
  return others;
}

}  // namespace millrace::config::impl
