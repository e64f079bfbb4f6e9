// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/client_core.hpp>

#include <millrace/base/metadata.hpp>
#include <millrace/call/active_call.hpp>

#include <algorithm>
#include <stdexcept>

namespace millrace {
namespace {

void check_hash_header(std::string const& key) {
  if (key.empty() || (legal_metadata_key(key) && !key.ends_with("-bin"))) return;
  throw std::invalid_argument("client_params.hash_header: \"" + key +
                              "\" is not allowed; it must be of 0-9 a-z _ . -, not begin with grpc-, nor end in -bin");
}

void validate(method_config const& one, std::string const& name) {
  std::string const prefix = "client_params.methods[\"" + name + "\"].";
  if (one.timeout && *one.timeout < duration::zero()) {
    throw std::invalid_argument(prefix + "timeout: " + std::to_string(one.timeout->count()) +
                                " ns is not allowed; it must be at least 0");
  }
  if (one.retry) validate(*one.retry, prefix + "retry");
  if (one.hedging) validate(*one.hedging, prefix + "hedging");
}

client_params checked(client_params params) {
  if (params.default_timeout <= duration::zero()) {
    throw std::invalid_argument("client_params.default_timeout: " + std::to_string(params.default_timeout.count()) +
                                " ns is not allowed; it must be more than 0");
  }
  if (params.default_stream_timeout < duration::zero()) {
    throw std::invalid_argument(
        "client_params.default_stream_timeout: " + std::to_string(params.default_stream_timeout.count()) +
        " ns is not allowed; it must be at least 0");
  }
  validate(params.retry, "client_params.retry");
  if (params.hedging) validate(*params.hedging, "client_params.hedging");
  check_hash_header(params.hash_header);
  if (params.retry_throttling) validate(*params.retry_throttling, "client_params.retry_throttling");
  if (params.methods != nullptr) {
    for (auto const& [name, one] : params.methods->entries()) validate(one, name);
  }
  return params;
}

bool any_hedging(client_params const& params) {
  if (params.hedging) return true;
  return params.methods != nullptr &&
         std::ranges::any_of(params.methods->entries(), [](auto const& one) { return one.second.hedging.has_value(); });
}

}  // namespace

client_core::client_core(millrace::pool& from, std::unique_ptr<millrace::transport> over, client_params params)
    : loop_(from.context()),
      pool_(&from),
      transport_(std::move(over)),
      params_(checked(std::move(params))),
      observer_(params_.observer != nullptr ? params_.observer : from.told()),
      hedges_(any_hedging(params_)),
      configs_(params_.methods != nullptr ? std::make_unique<config_cache>() : nullptr) {
  if (params_.retry_throttling) throttle_.emplace(*params_.retry_throttling);
  from.add(*this);
  loop_.add(*this);
}

client_core::~client_core() = default;

method_config const* client_core::find_config(method const& called) const {
  static method_config const none;
  if (called.number() >= configs_->size()) return params_.methods->find(called.path());
  // calls begin on any thread; two that find nothing yet find the same
  auto& known = (*configs_)[called.number()];
  method_config const* found = known.load(std::memory_order_relaxed);
  if (found == nullptr) {
    found = params_.methods->find(called.path());
    if (found == nullptr) found = &none;
    known.store(found, std::memory_order_relaxed);
  }
  return found;
}

hedger& client_core::find_hedger(method const& called, retry::hedging_policy const& policy,
                                 method_config const* config) {
  std::pair const key(called.number(), config);
  auto const found = hedgers_.find(key);
  if (found != hedgers_.end()) return found->second;
  retry::retry_policy const& replaced = config != nullptr && config->retry ? *config->retry : params_.retry;
  return hedgers_.try_emplace(key, policy, replaced).first->second;
}

void client_core::enter(active_call& one) noexcept { calls_.push_back(one); }

// told before the pool's destructor ends: afterwards nobody here touches it
void client_core::on_pool_closed() noexcept {
  pool_ = nullptr;
  revoke_all();
}

// the pool says so too, unless it has gone before
void client_core::on_stop() noexcept { revoke_all(); }

void client_core::revoke_all() noexcept {
  calls_.for_each([](active_call& one) { one.revoke(); });
}

}  // namespace millrace
