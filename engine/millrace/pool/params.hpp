// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/any_picker.hpp>
#include <millrace/pool/coalescing.hpp>
#include <millrace/pool/slot_machine.hpp>
#include <millrace/retry/budget.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace grpc {
class ChannelArguments;
class ChannelCredentials;
}  // namespace grpc

namespace millrace {

class observer;

/// What a pool is made of. Validated once, by the pool's constructor: std::invalid_argument names the field, its value and
/// what is allowed.
struct pool_params {
  /// One endpoint or several, separated by commas: `host:port`, `[::1]:port`, `unix:/path`, or a gRPC target such as
  /// `dns:///host:port`.
  std::string target{};

  /// Slots (connections) kept ready once the pool is used, shared out evenly over the endpoints. 0: one an endpoint.
  std::uint32_t min_slots = 0;

  /// Slots at most, at least `min_slots` and one an endpoint. 0: four an endpoint. Slots beyond `min_slots` are opened when
  /// every ready slot is full.
  std::uint32_t max_slots = 0;

  /// Calls a slot carries at once; more wait in the pool, in order, where gRPC would queue them out of sight at the peer's
  /// stream limit. 1 or more; servers commonly allow 100.
  std::uint32_t max_calls_per_slot = 100;

  /// Calls that may wait for a slot; one more fails at once with RESOURCE_EXHAUSTED.
  std::uint32_t max_waiting = 10'000;

  /// The picker: `round_robin`, `least_request`, `peak_ewma`, `pick_first`, `ring_hash` or `maglev`.
  std::string balance = "round_robin";

  /// Your own picker instead; called once, by the pool's constructor.
  std::function<balance::any_picker()> make_picker{};

  /// Dialing, redialing, watching.
  slot_params slot{};

  /// What retries may add to the load, over all calls of the pool.
  retry::budget_params budget{};

  /// Bytes of a message at most, serialised; a larger one ends its call with RESOURCE_EXHAUSTED, as in gRPC, whose defaults
  /// these are. 0: no limit.
  std::size_t max_response_bytes = std::size_t{4} * 1024 * 1024;
  std::size_t max_request_bytes = 0;

  /// Channels without gRPC's filters for deadlines and message sizes, whose work on its own calls the engine does itself, and for
  /// compressing requests (`grpc.minimal_stack`; compressed responses are understood): a sixth fewer instructions a call. Set false if you make calls of your own on leased
  /// channels: nobody would enforce their deadlines on this side.
  bool minimal_stack = true;

  /// Coalesce what the calls of a loop turn write, where the socket can be reached; and when.
  bool cork = true;
  cork_params cork_rule{};

  /// Null: plain text. Shared by all channels of the pool.
  std::shared_ptr<grpc::ChannelCredentials> credentials{};

  /// Added to every channel's arguments; those the engine sets itself win.
  std::shared_ptr<grpc::ChannelArguments const> channel_args{};

  /// Told of slot changes, picks and drains. Outlives the pool.
  millrace::observer* observer = nullptr;
};

/// The endpoints of a target, in order. Throws std::invalid_argument that names `target`, the endpoint and what is allowed.
std::vector<std::string> parse_target(std::string const& target);

/// Fills in what is 0 and checks the rest.
pool_params validated(pool_params params);

}  // namespace millrace
