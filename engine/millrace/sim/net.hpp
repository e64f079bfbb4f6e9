// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/rng.hpp>
#include <millrace/sim/port.hpp>
#include <millrace/sim/server.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {
class loop;
}

namespace millrace::sim {

/// The servers of a simulation, by name.
class net {
 public:
  /// `on` runs on a sim::port and outlives the net.
  net(loop& on, std::uint64_t seed);

  /// The endpoint of that name, `a:1`, made unless it exists. Pools make those they dial.
  server& add(std::string_view name);

  /// The endpoint of that name, `a:1`, or of that host, `a`. Throws std::out_of_range, naming those there are, when there is
  /// none: a typing error must not become a server that nobody dials.
  server& operator[](std::string_view name);

  /// All of them, in the order of their names.
  std::vector<server*> servers();

  /// A dial that hangs is given up by the channel after this long, as by gRPC.
  duration dial_timeout = std::chrono::seconds(20);

  /// Told what is done to endpoints, in words.
  bound<void(std::string_view)> on_note{};

  /// Channels and attempts that exist: none when pool and calls are gone.
  std::uint32_t live_channels() const noexcept { return live_channels_; }
  std::uint32_t live_attempts() const noexcept { return live_attempts_; }

  /// When an attempt was last cut off, for the first time or again, that did not come back at once.
  time_point last_stuck() const noexcept { return last_stuck_; }

  loop& context() noexcept { return loop_; }
  port& events() noexcept { return port_; }
  rng& random() noexcept { return random_; }

 private:
  friend class channel;
  friend class transport;
  friend class stream_flight;

  server* find(std::string_view name);

  loop& loop_;
  port& port_;
  rng random_;
  std::map<std::string, std::unique_ptr<server>, std::less<>> servers_;
  std::uint32_t live_channels_ = 0;
  std::uint32_t live_attempts_ = 0;
  time_point last_stuck_ = time_point::min();
};

}  // namespace millrace::sim
