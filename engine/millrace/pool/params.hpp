// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/any_picker.hpp>
#include <millrace/balance/dial_order.hpp>
#include <millrace/balance/failover.hpp>
#include <millrace/balance/slow_start.hpp>
#include <millrace/balance/subset.hpp>
#include <millrace/base/status_code.hpp>
#include <millrace/health/failure_accrual.hpp>
#include <millrace/health/outlier_detector.hpp>
#include <millrace/health/watch_machine.hpp>
#include <millrace/pool/coalescing.hpp>
#include <millrace/pool/concurrency_limit.hpp>
#include <millrace/pool/responsiveness.hpp>
#include <millrace/pool/rotation.hpp>
#include <millrace/pool/scaling.hpp>
#include <millrace/pool/slot_machine.hpp>
#include <millrace/pool/transparent_retry.hpp>
#include <millrace/resolve/make_resolver.hpp>
#include <millrace/retry/budget.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grpc {
class ChannelArguments;
class ChannelCredentials;
}  // namespace grpc

namespace millrace {

class observer;

/// When a connection on which nothing is heard is asked whether its peer is still there (HTTP/2 PING, gRFC A8). What `channel_args`
/// say wins.
struct keepalive_params {
  /// Of silence before a ping; 0: never. gRPC sends at most two pings without data between them, so that servers with the usual
  /// limit (one in 5 minutes) do not mind; below 10 s they may (too_many_pings).
  duration time = std::chrono::seconds(30);
  /// For the answer; then the connection is given up. More than 0.
  duration timeout = std::chrono::seconds(10);
  /// Also while no call is in flight; servers must permit it.
  bool without_calls = false;
};

/// What a pool is made of. Validated once, by the pool's constructor: std::invalid_argument names the field, its value and
/// what is allowed.
struct pool_params {
  /// Where the endpoints are: a list of them (`a:50051,b:50051`), a name (`dns:///service:50051`), a file
  /// (`file:///endpoints.json`); resolve/target.hpp has all forms.
  std::string target{};

  /// How often a name is looked up, and how a file is watched.
  dns_params dns{};
  file_params file{};

  /// Your own DNS client for names; by default the system's getaddrinfo, on a thread of its own while it runs.
  name_lookup_factory make_lookup{};

  /// Your own source of endpoints instead of `target`; called once, by the pool's constructor.
  resolver_factory make_resolver{};

  /// Slots (connections) kept ready once the pool is used, shared out evenly over the endpoints. 0: one an endpoint, or
  /// `max_slots` if that is less.
  std::uint32_t min_slots = 0;

  /// Connections at most, at least `min_slots`, and one an endpoint of `target`. 0: four an endpoint. Slots beyond `min_slots`
  /// are opened when every ready slot is full. A slot that backs off has no connection: of more endpoints than `max_slots` the
  /// others are tried. With `pick_first` that is for what is kept: it may be 1, and the dials to find the endpoint more.
  std::uint32_t max_slots = 0;

  /// Calls a slot carries at once; more wait in the pool, in order, where gRPC would queue them out of sight at the peer's
  /// stream limit. 1 or more; servers commonly allow 100.
  std::uint32_t max_calls_per_slot = 100;

  /// Calls in flight at most, over all slots; more wait. 0: as many as the slots carry.
  std::uint32_t max_in_flight = 0;

  /// Calls that may wait for a slot; one more fails at once with RESOURCE_EXHAUSTED.
  std::uint32_t max_waiting = 10'000;

  /// How long a call waits for a slot at most, whatever its deadline: then it fails with RESOURCE_EXHAUSTED. 0: until its
  /// deadline.
  duration max_wait{};

  /// The picker: `round_robin`, `least_request`, `peak_ewma`, `pick_first`, `ring_hash` or `maglev`.
  std::string balance = "round_robin";

  /// Your own picker instead; called once by the pool's constructor, and once by the first `pool::stub_channel`.
  std::function<balance::any_picker()> make_picker{};

  /// Calls go to the endpoints of the lowest `endpoint::priority` of which at least this part is usable. When there is no such
  /// priority, all endpoints of the level in use get calls, whatever is known of their health (Envoy's panic threshold): better a few
  /// that may fail than all on the last one standing. A part of those that are connected: Envoy, which has a connection to each,
  /// counts all. 0 to 1; 0: never.
  double panic_threshold = 0.5;

  /// From one priority to another.
  balance::failover_params failover{};

  /// How the one endpoint is found that `pick_first` connects to; other policies connect to all.
  balance::dial_order_params dial_order{};

  /// How a newly connected endpoint's share grows.
  balance::slow_start_params slow_start{};

  /// Connect to some of the endpoints only, where there are very many.
  balance::aperture_params aperture{};

  /// Take an endpoint out whose calls fail. None: not.
  std::optional<health::accrual_params> accrual{};

  /// Take endpoints out whose calls fail more often than those of others (gRFC A50). None: not.
  std::optional<health::outlier_params> outlier{};

  /// Ask each endpoint's health service (grpc.health.v1). None: not.
  std::optional<health::watch_params> health_check{};

  /// When slots are opened beyond `min_slots`, and closed again.
  scaling_params scaling{};

  /// How connections are replaced by new ones while they still work: because the server will soon close them (its
  /// MAX_CONNECTION_AGE is learned from those that it closed), or because they do not answer any more.
  rotation_params rotation{};
  responsiveness_params responsiveness{};

  /// What counts as a failure of the endpoint, for `accrual` and `outlier`. Calls that end with CANCELLED count neither way.
  status_code_set failure_codes = server_failures;

  /// Bound the calls in flight by what the latency says (gradient). None: not.
  std::optional<concurrency_limit_params> concurrency_limit{};

  /// Dialing, redialing, watching.
  slot_params slot{};

  keepalive_params keepalive{};

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

  /// Who repeats what no server application has seen. `core` gives up `minimal_stack`.
  millrace::transparent_retry transparent_retry = millrace::transparent_retry::engine;

  /// Allows `pool::stub_channel`: channels as plain gRPC makes them, with its filters (whatever `minimal_stack` says) and its
  /// retries, unless `channel_args` turn those off. The engine's own calls cost more on them.
  bool stub_calls = false;

  /// Coalesce what the calls of a loop turn write, where the socket can be reached; and when.
  bool cork = true;
  cork_params cork_rule{};

  /// Null: plain text. Shared by all channels of the pool.
  std::shared_ptr<grpc::ChannelCredentials> credentials{};

  /// Added to every channel's arguments; those the engine sets itself win.
  std::shared_ptr<grpc::ChannelArguments const> channel_args{};

  /// Told of slot changes, picks and drains. Outlives the pool.
  millrace::observer* observer = nullptr;

  /// From JSON; see config/json.hpp, whose library defines it.
  static pool_params from_json(std::string_view text);
};

/// Throws std::invalid_argument unless every field is allowed; returns it unchanged. What `make_picker` makes is not known yet:
/// `check_max_slots` is for when it is.
pool_params validated(pool_params params);

/// Throws std::invalid_argument when `max_slots` are fewer than the endpoints of `target`, and the picker wants all of them.
void check_max_slots(pool_params const& params, balance::dialing dials);

}  // namespace millrace
