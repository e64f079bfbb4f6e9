// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/any_picker.hpp>
#include <millrace/balance/pick_first.hpp>

namespace millrace::test {

/// Calls go to the first endpoint, as with pick_first, but all are connected: a retry or a hedge finds another one.
class first_of_all : public balance::pick_first {
 public:
  static constexpr balance::dialing dials() noexcept { return balance::dialing::all; }
  static balance::any_picker make() { return balance::any_picker(first_of_all()); }
};

}  // namespace millrace::test
