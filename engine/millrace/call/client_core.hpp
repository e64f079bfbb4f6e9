// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/intrusive_list.hpp>
#include <millrace/call/hedger.hpp>
#include <millrace/call/method_config.hpp>
#include <millrace/call/options.hpp>
#include <millrace/call/transport.hpp>
#include <millrace/pool/pool.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace millrace {

class active_call;
struct active_call_tag;

/// What a client is, whatever its messages: a pool, a transport, defaults, and the calls under way. Shared by the client's
/// copies and its calls; the last of them lets go.
class client_core final : private pool_client, private stop_listener {
 public:
  /// Throws std::invalid_argument naming `client_params.<field>`.
  client_core(millrace::pool& from, std::unique_ptr<millrace::transport> over, client_params params);
  ~client_core();

  millrace::loop& context() noexcept { return loop_; }
  millrace::transport& transport() noexcept { return *transport_; }
  client_params const& params() const noexcept { return params_; }

  /// Null once the pool is closed for good.
  millrace::pool* pool() noexcept { return pool_; }
  observer* told() const noexcept { return observer_; }
  /// Any thread. What is set for the method; null: nothing.
  method_config const* config_of(method const& called) const {
    return params_.methods == nullptr ? nullptr : find_config(called);
  }
  retry::throttle* throttle() noexcept { return throttle_ ? &*throttle_ : nullptr; }
  retry::budget& budget() noexcept { return pool_ != nullptr ? pool_->budget() : spent_; }

  /// Any thread. Some calls may be hedged.
  bool hedges() const noexcept { return hedges_; }

  /// The loop's thread. What hedges idempotent calls of the method, which has this `config`; null: nothing does.
  hedger* hedger_of(method const& called, method_config const* config) {
    retry::hedging_policy const* const policy = hedging_of(config);
    return policy == nullptr ? nullptr : &find_hedger(called, *policy, config);
  }

  void enter(active_call& one) noexcept;

 private:
  // by the method's number, each null until its first call; those that have no entry in the table have an empty one here
  using config_cache = std::array<std::atomic<method_config const*>, 256>;

  // a method has a retry policy or a hedging policy (gRFC A6); what is set for it wins
  retry::hedging_policy const* hedging_of(method_config const* config) const noexcept {
    if (config != nullptr && config->hedging) return &*config->hedging;
    bool const retries = config != nullptr && config->retry;
    return params_.hedging && !retries ? &*params_.hedging : nullptr;
  }
  hedger& find_hedger(method const& called, retry::hedging_policy const& policy, method_config const* config);
  method_config const* find_config(method const& called) const;
  void on_pool_closed() noexcept override;
  void on_stop() noexcept override;
  void revoke_all() noexcept;

  millrace::loop& loop_;
  millrace::pool* pool_;
  std::unique_ptr<millrace::transport> transport_;
  client_params const params_;
  observer* observer_;
  bool const hedges_;
  std::unique_ptr<config_cache> const configs_;
  std::optional<retry::throttle> throttle_;
  retry::budget spent_{{.percent = 0, .min_per_second = 0}};  // for calls begun after the pool has gone
  // by the method's number and what is set for it: those without a number, whose names may come from the wire, share one
  std::map<std::pair<std::uint32_t, method_config const*>, hedger> hedgers_;
  intrusive_list<active_call, active_call_tag> calls_;
};

}  // namespace millrace
