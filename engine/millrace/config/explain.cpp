// SPDX-License-Identifier: Apache-2.0
#include <millrace/config/explain.hpp>

#include <millrace/config/impl/channel_arguments.hpp>
#include <millrace/config/impl/lints.hpp>
#include <millrace/config/impl/read.hpp>
#include <millrace/config/impl/tables.hpp>
#include <millrace/config/impl/write.hpp>

#include <algorithm>
#include <concepts>
#include <map>

namespace millrace {
namespace {

using config::impl::joined;
using config::impl::json;

// by path; an object that is empty, or an array, is a value
void flatten(json const& value, std::string const& path, std::map<std::string, json>& into) {
  if (!value.is_object() || value.empty()) {
    into.insert_or_assign(path, value);
    return;
  }
  for (auto const& [key, one] : value.items()) flatten(one, joined(path, key), into);
}

std::map<std::string, json> flattened(json const& value) {
  std::map<std::string, json> flat;
  flatten(value, {}, flat);
  return flat;
}

template <class T>
bool is_set(T const& member) {
  if constexpr (std::same_as<T, chain_ref>) {
    return member.size() != 0;
  } else {
    return static_cast<bool>(member);
  }
}

// where the values of a struct come from
struct origin {
  std::map<std::string, json> defaults;
  std::map<std::string, json> given;  // in JSON
  std::vector<std::string_view> by_service;

  config_source of(std::string const& path, json const& value) const {
    if (std::ranges::find(by_service, path) != by_service.end()) return config_source::service;
    if (auto const found = given.find(path); found != given.end() && found->second == value) return config_source::json;
    auto const found = defaults.find(path);
    return found != defaults.end() && found->second == value ? config_source::by_default : config_source::code;
  }
};

// what the text says as `T` reads it, so that "1.0s" is "1s"; only the paths that it has
template <class T>
std::map<std::string, json> said(std::string_view text) {
  if (text.empty()) return {};
  T read{};
  json const document = config::impl::parse(text);
  config::impl::read(document, read, {});
  auto const paths = flattened(document);
  auto values = flattened(config::impl::written(read));
  std::erase_if(values, [&](auto const& one) { return !paths.contains(one.first); });
  return values;
}

template <class T>
void add_values(T const& params, std::string_view name, origin const& from, std::vector<config_value>& to) {
  auto const add = [&](json const& value, std::string const& path, auto const& self) -> void {
    if (value.is_object() && !value.empty()) {
      for (auto const& [key, one] : value.items()) self(one, joined(path, key), self);
    } else {
      auto text = value.is_string() ? value.template get<std::string>() : value.dump();
      to.push_back({joined(name, path), std::move(text), from.of(path, value)});
    }
  };
  add(config::impl::written(params), {}, add);
  config::impl::for_each_code_row<T>([&](auto const& one) {
    bool const set = is_set(params.*one.member);
    bool const by_service = std::ranges::find(from.by_service, one.name) != from.by_service.end();
    config_source const source = by_service ? config_source::service
                                 : set      ? config_source::code
                                            : config_source::by_default;
    to.push_back({joined(name, one.name), set ? "set" : "none", source});
  });
}

// those of a method, in its words of the parameters
void add_method(std::string const& name, method_config const& config, config_source from,
                std::vector<config_value>& to) {
  std::string const path = "method " + (name.empty() ? std::string("(all others)") : name);
  auto const add = [&](std::string_view key, json const& value) {
    to.push_back({path + ' ' + std::string(key), value.is_string() ? value.get<std::string>() : value.dump(), from});
  };
  if (config.timeout) add("timeout", config::impl::written(*config.timeout));
  if (config.wait_for_ready) add("wait_for_ready", *config.wait_for_ready);
  if (config.max_request_bytes) add("max_request_bytes", *config.max_request_bytes);
  if (config.max_response_bytes) add("max_response_bytes", *config.max_response_bytes);
  if (config.idempotent) add("idempotent", *config.idempotent);
  auto const add_all = [&](std::string const& prefix, json const& values) {
    for (auto const& [key, value] : values.items()) add(prefix + key, value);
  };
  if (config.retry) add_all("retry.", config::impl::written(*config.retry));
  if (config.hedging) add_all("hedging.", config::impl::written(*config.hedging));
}

// what channel_args make of a parameter is told there, too
void note_replaced(std::vector<config_value>& values, config::impl::channel_argument const& by) {
  auto const at = std::ranges::find(values, "pool_params." + std::string(by.parameter), &config_value::path);
  if (at != values.end()) at->note = "channel_args win: " + by.key + " = " + by.value.value_or("none");
}

void add_channel_arguments(pool_params const& pool, std::vector<config_value>& to) {
  for (auto const& one : config::impl::channel_arguments_of(pool)) {
    std::string const parameter = one.parameter.empty() ? "" : "pool_params." + std::string(one.parameter);
    std::string note;
    if (one.unheeded)
      note = "channel_args ask for " + *one.unheeded + " in vain";
    else if (one.theirs() && one.engines)
      note = "the engine's is " + *one.engines;
    else if (!one.theirs())
      note = parameter;
    if (one.theirs() && one.engines) note_replaced(to, one);
    to.push_back({"channel " + one.key, one.value.value_or("none"),
                  one.theirs() ? config_source::code : config_source::engine, std::move(note)});
  }
}

origin pool_origin(pool_params const& pool, config_origins const& origins) {
  origin from{flattened(config::impl::written(pool_params{})), said<pool_params>(origins.pool_json), {}};
  service_config const* const service = origins.service;
  if (service != nullptr && service->balance && pool.balance == *service->balance)
    from.by_service.emplace_back("balance");
  if (service != nullptr && service->health_service && pool.health_check &&
      pool.health_check->service == *service->health_service) {
    from.by_service.emplace_back("health_check.service");
  }
  return from;
}

origin client_origin(client_params const& client, config_origins const& origins) {
  origin from{flattened(config::impl::written(client_params{})), said<client_params>(origins.client_json), {}};
  service_config const* const service = origins.service;
  if (service == nullptr) return from;
  if (client.methods != nullptr && client.methods == service->methods) from.by_service.emplace_back("methods");
  if (service->retry_throttling) {
    from.by_service.insert(from.by_service.end(), {"retry_throttling.max_tokens", "retry_throttling.token_ratio"});
  }
  return from;
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size() + 1, width), ' ');
  return text;
}

}  // namespace

std::string_view to_string(config_source value) noexcept {
  switch (value) {
    case config_source::by_default: return "default";
    case config_source::code: return "code";
    case config_source::json: return "json";
    case config_source::service: return "service config";
    case config_source::engine: return "engine";
  }
  return "?";
}

config_report explain_config(pool_params const& pool, client_params const& client, config_origins const& origins) {
  config_report report;
  add_values(pool, "pool_params", pool_origin(pool, origins), report.values);
  add_values(client, "client_params", client_origin(client, origins), report.values);
  if (client.methods != nullptr) {
    bool const by_service = origins.service != nullptr && client.methods == origins.service->methods;
    for (auto const& [name, config] : client.methods->entries()) {
      add_method(name, config, by_service ? config_source::service : config_source::code, report.values);
    }
  }
  add_channel_arguments(pool, report.values);
  report.lints = config::impl::lints_of(pool, client);
  if (origins.service != nullptr) report.unused = origins.service->unused;
  return report;
}

std::string to_string(config_report const& report) {
  std::string text;
  for (config_value const& one : report.values) {
    text += padded(one.path, 44) + padded(one.value, 20).append(to_string(one.from));
    text += one.note.empty() ? "\n" : " (" + one.note + ")\n";
  }
  for (auto const& one : report.unused) text += "unused: " + one.path + ": " + one.why + '\n';
  for (config_lint const& one : report.lints) {
    text += "lint: " + one.path + ": " + one.reason + (one.reference.empty() ? "" : " (" + one.reference + ')') + '\n';
  }
  return text;
}

}  // namespace millrace
