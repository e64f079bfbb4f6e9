// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/picker.hpp>
#include <millrace/base/bound.hpp>
#include <millrace/base/errc.hpp>
#include <millrace/base/intrusive_list.hpp>
#include <millrace/pool/permit.hpp>

#include <cstdint>
#include <optional>

namespace millrace {

struct waiter_tag;

/// A wish for a permit, embedded in whatever has it. Leaves the queue when destroyed or withdrawn.
class waiter : private list_base<waiter_tag> {
 public:
  /// `on_served` is called once if `pool::acquire` said it waits: with no error when `into` is held, or with why it never
  /// will be. It may be called from the pool's destructor.
  waiter(permit& into, bound<void(error_code)> on_served) noexcept : into_(&into), on_served_(on_served) {}

  /// The next wish is for another permit. Not while it waits.
  void wish_for(permit& into) noexcept { into_ = &into; }

  /// Where the last attempt of the same call went.
  std::uint32_t avoid_slot = balance::nobody;
  std::uint32_t avoid_endpoint = balance::nobody;
  /// Of the call's key; none when it has none.
  std::optional<std::uint64_t> hash{};
  /// Wait even while every endpoint fails. Without it such a wish is refused with no_endpoint_ready, as gRPC does.
  bool wait_for_ready = false;

  bool waiting() const noexcept { return list_base<waiter_tag>::linked(); }

 private:
  friend class pool;
  friend class waiting_queue;
  template <class T, class Tag>
  friend class intrusive_list;

  permit* into_;
  bound<void(error_code)> on_served_;
  time_point since_{};
};

}  // namespace millrace
