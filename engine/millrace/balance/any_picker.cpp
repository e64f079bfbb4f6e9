// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/any_picker.hpp>

#include <millrace/balance/least_request.hpp>
#include <millrace/balance/maglev.hpp>
#include <millrace/balance/peak_ewma.hpp>
#include <millrace/balance/pick_first.hpp>
#include <millrace/balance/ring_hash.hpp>
#include <millrace/balance/round_robin.hpp>

#include <stdexcept>

namespace millrace::balance {

static_assert(picker_policy<round_robin>);
static_assert(picker_policy<least_request>);
static_assert(picker_policy<peak_ewma>);
static_assert(picker_policy<pick_first>);
static_assert(picker_policy<ring_hash>);
static_assert(picker_policy<maglev>);
static_assert(picker_policy<any_picker>);

namespace {

constexpr std::string_view names[] = {round_robin::name, least_request::name, peak_ewma::name,
                                      pick_first::name,  ring_hash::name,     maglev::name};

}  // namespace

std::span<std::string_view const> policy_names() noexcept { return names; }

any_picker make_picker(std::string_view name, std::uint64_t seed, std::size_t endpoints) {
  if (name == round_robin::name) return any_picker{round_robin{static_cast<std::uint32_t>(rng{seed}.next())}};
  if (name == least_request::name) return any_picker{least_request{seed}};
  if (name == peak_ewma::name) return any_picker{peak_ewma{seed}};
  if (name == pick_first::name) return any_picker{pick_first{}};
  if (name == ring_hash::name) return any_picker{ring_hash{seed, {.endpoints = endpoints}}};
  if (name == maglev::name) return any_picker{maglev{seed}};
  std::string text = "balance: \"" + std::string{name} + "\" is not a policy; allowed: ";
  for (std::string_view const one : names) text.append(one == names[0] ? "" : ", ").append(one);
  throw std::invalid_argument(text);
}

}  // namespace millrace::balance
