// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/endpoint_file.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

namespace millrace::resolve {
namespace {

// keeps the order of labels
using json = nlohmann::ordered_json;

[[noreturn]] void refuse(std::string const& place, std::string const& value, std::string_view allowed) {
  throw std::invalid_argument(place + " is " + value + "; allowed: " + std::string(allowed));
}

[[noreturn]] void refuse_value(std::string const& place, json const& value, std::string_view allowed) {
  refuse(place, value.is_structured() ? std::string("an ") + value.type_name() : value.dump(), allowed);
}

std::string const& text_at(json const& value, std::string const& place) {
  if (!value.is_string()) refuse_value(place, value, "a string");
  return value.get_ref<std::string const&>();
}

std::uint32_t number_at(json const& value, std::string const& place, std::uint32_t least, std::uint32_t most) {
  std::string const digits = value.is_string() ? value.get<std::string>() : value.dump();
  char const* const last = digits.data() + digits.size();
  std::uint32_t number = 0;
  auto const [end, error] = std::from_chars(digits.data(), last, number);
  if (error != std::errc{} || end != last || number < least || number > most) {
    refuse_value(place, value, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

void read_label(endpoint& into, std::string const& name, json const& value, std::string const& place) {
  if (name == "weight" || name == "__weight__") {
    into.weight = number_at(value, place, 1, 1'000'000);
  } else if (name == "priority") {
    into.priority = number_at(value, place, 0, std::numeric_limits<std::uint32_t>::max());
  } else if (name == "locality") {
    into.locality = text_at(value, place);
  } else if (name == "authority") {
    into.authority = text_at(value, place);
  } else {
    into.metadata.emplace_back(name, text_at(value, place));
  }
}

// an endpoint with a group's labels and no address yet
endpoint read_labels(json const& labels, std::string const& place) {
  endpoint common;
  if (!labels.is_object()) refuse_value(place, labels, "an object");
  for (auto const& [name, value] : labels.items()) {
    std::string where = place;
    read_label(common, name, value, where.append(1, '.').append(name));
  }
  return common;
}

void read_group(endpoint_set& into, json const& group, std::string const& place) {
  if (!group.is_object()) refuse_value(place, group, "an object with targets and labels");
  endpoint common;
  json const* targets = nullptr;
  for (auto const& [name, value] : group.items()) {
    if (name == "targets") {
      targets = &value;
    } else if (name == "labels") {
      common = read_labels(value, place + ".labels");
    } else {
      refuse(place, "an object with the key \"" + name + '"', "targets and labels");
    }
  }
  if (targets == nullptr) refuse(place, "an object without targets", "targets and labels");
  if (!targets->is_array()) refuse_value(place + ".targets", *targets, "an array of strings");
  for (std::size_t at = 0; at < targets->size(); ++at) {
    std::string const where = place + ".targets[" + std::to_string(at) + ']';
    common.address = text_at((*targets)[at], where);
    validate({common}, where);
    into.push_back(common);
  }
}

json parse(std::string_view text) {
  try {
    return json::parse(text);
  } catch (json::exception const& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
    std::string_view what = error.what();
    what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
    throw std::invalid_argument(std::string(what));
  }
}

}  // namespace

endpoint_set parse_endpoint_file(std::string_view text) {
  json const groups = parse(text);
  if (!groups.is_array()) refuse_value("$", groups, "an array of objects with targets and labels");
  endpoint_set all;
  for (std::size_t at = 0; at < groups.size(); ++at) read_group(all, groups[at], "$[" + std::to_string(at) + ']');
  validate(all, "$");
  return all;
}

}  // namespace millrace::resolve
