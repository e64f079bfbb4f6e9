// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/any_picker.hpp>

#include <millrace/balance/least_request.hpp>
#include <millrace/balance/round_robin.hpp>

#include <stdexcept>

namespace millrace::balance {

static_assert(picker_policy<round_robin>);
static_assert(picker_policy<least_request>);
static_assert(picker_policy<any_picker>);

any_picker make_picker(std::string_view name, std::uint64_t seed) {
  if (name == round_robin::name) return any_picker{round_robin{static_cast<std::uint32_t>(rng{seed}.next())}};
  if (name == least_request::name) return any_picker{least_request{seed}};
  throw std::invalid_argument("balance: \"" + std::string{name} +
                              "\" is not a policy; allowed: round_robin, least_request");
}

}  // namespace millrace::balance
