// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/transport.hpp>
#include <millrace/loop/operation.hpp>
#include <millrace/loop/port.hpp>
#include <millrace/pool/channel.hpp>

#include <memory>

namespace millrace {
class loop;
}

/// A peer that costs next to nothing, so that what is left of a call is the engine's own work: connections that are there at
/// once, and attempts that succeed in the loop's next wait. No clock, no heap and no randomness: it repeats exactly.
namespace millrace::guard {

/// A loop's port whose events are those given to `complete`, in order. Each reading of its clock is a microsecond later.
class instant_port final : public port {
 public:
  time_point now() noexcept override { return now_ += std::chrono::microseconds(1); }

  /// Throws std::logic_error when it would wait for ever.
  void wait(time_point until, std::size_t limit, sink deliver) override;
  void wake() noexcept override {}

  /// What loop::start gave to its `init` comes back with `ok` in the next wait.
  void complete(void* tag) noexcept;

 private:
  time_point now_{std::chrono::hours(1)};
  operation* first_ = nullptr;
  operation* last_ = nullptr;
};

/// Both for a loop on `events`, which outlives them.
std::unique_ptr<channel_factory> instant_channels(loop& on, instant_port& events);
std::unique_ptr<transport> instant_transport(loop& on, instant_port& events);

/// A message of 16 bytes that all share, and that knows no references.
message instant_message() noexcept;

}  // namespace millrace::guard
