// SPDX-License-Identifier: Apache-2.0
#include <millrace/config/impl/channel_arguments.hpp>

#include <millrace/pool/grpc_channel.hpp>
#include <millrace/pool/params.hpp>

#include <grpc/impl/codegen/grpc_types.h>

#include <algorithm>
#include <map>
#include <set>

namespace millrace::config::impl {
namespace {

struct made_of {
  std::string_view key;
  std::string_view parameter;
};

constexpr made_of parameters[] = {
    {GRPC_ARG_KEEPALIVE_TIME_MS, "keepalive.time"},
    {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, "keepalive.timeout"},
    {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, "keepalive.without_calls"},
    {GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, "slot.dial_timeout"},
    {GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, "slot.backoff.initial"},
    {GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, "slot.backoff.max"},
    {GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, "max_response_bytes"},
    {GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, "max_request_bytes"},
    {GRPC_ARG_ENABLE_RETRIES, "transparent_retry"},
    {GRPC_ARG_MINIMAL_STACK, "minimal_stack"},
    {GRPC_ARG_SOCKET_MUTATOR, "cork"},
};

std::string text_of(grpc_arg const& one) {
  switch (one.type) {
    case GRPC_ARG_INTEGER: return std::to_string(one.value.integer);
    case GRPC_ARG_STRING: return one.value.string;
    case GRPC_ARG_POINTER: return "set";
  }
  return "?";
}

// gRPC heeds the first of several with one key
std::map<std::string, std::string> by_key(grpc::ChannelArguments const& args) {
  std::map<std::string, std::string> values;
  grpc_channel_args const list = args.c_channel_args();
  for (grpc_arg const* one = list.args; one != list.args + list.num_args; ++one)
    values.emplace(one->key, text_of(*one));
  return values;
}

std::optional<std::string> found_in(std::map<std::string, std::string> const& values, std::string const& key) {
  auto const at = values.find(key);
  return at != values.end() ? std::optional(at->second) : std::nullopt;
}

}  // namespace

std::vector<channel_argument> channel_arguments_of(pool_params const& pool) {
  pool_params alone = pool;
  alone.channel_args = nullptr;
  auto const effective = by_key(channel_arguments(pool));
  auto const engines = by_key(channel_arguments(alone));
  auto const asked = by_key(pool.channel_args ? *pool.channel_args : grpc::ChannelArguments());
  std::set<std::string> keys;
  for (auto const* values : {&effective, &asked}) {
    for (auto const& [key, value] : *values) keys.insert(key);
  }
  std::vector<channel_argument> all;
  for (std::string const& key : keys) {
    channel_argument one{.key = key, .value = found_in(effective, key), .engines = found_in(engines, key)};
    // a keepalive time that turns keepalive off is heeded by setting none
    bool const off = key == GRPC_ARG_KEEPALIVE_TIME_MS && !one.value;
    if (auto const wish = found_in(asked, key); wish && wish != one.value && !off) one.unheeded = wish;
    auto const* const known = std::ranges::find(parameters, key, &made_of::key);
    if (known != std::end(parameters)) one.parameter = known->parameter;
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace millrace::config::impl
