// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/client_core.hpp>

#include <millrace/call/unary_call.hpp>

#include <stdexcept>

namespace millrace {
namespace {

client_params checked(client_params params) {
  if (params.default_timeout <= duration::zero()) {
    throw std::invalid_argument("client_params.default_timeout: " + std::to_string(params.default_timeout.count()) +
                                " ns is not allowed; it must be more than 0");
  }
  validate(params.retry, "client_params.retry");
  return params;
}

}  // namespace

client_core::client_core(millrace::pool& from, std::unique_ptr<millrace::transport> over, client_params params)
    : loop_(from.context()),
      pool_(&from),
      transport_(std::move(over)),
      params_(checked(std::move(params))),
      observer_(params_.observer != nullptr ? params_.observer : from.told()) {
  from.add(*this);
  loop_.add(*this);
}

client_core::~client_core() = default;

void client_core::enter(unary_call& one) noexcept { calls_.push_back(one); }

// told before the pool's destructor ends: afterwards nobody here touches it
void client_core::on_pool_closed() noexcept {
  pool_ = nullptr;
  calls_.for_each([](unary_call& one) { one.revoke(); });
}

// the pool says so too, unless it has gone before
void client_core::on_stop() noexcept {
  calls_.for_each([](unary_call& one) { one.revoke(); });
}

}  // namespace millrace
