// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/rule.hpp>

namespace millrace::retry {

// not in the header: g++ 12 believes that a shared_ptr which it sees inside an aggregate with defaults may be uninitialised
retry_rule::retry_rule() noexcept = default;
retry_rule::retry_rule(retry_rule const&) noexcept = default;
retry_rule::retry_rule(retry_rule&&) noexcept = default;
retry_rule& retry_rule::operator=(retry_rule const&) noexcept = default;
retry_rule& retry_rule::operator=(retry_rule&&) noexcept = default;
retry_rule::~retry_rule() = default;

}  // namespace millrace::retry
