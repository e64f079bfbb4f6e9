// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/tag.hpp>
#include <millrace/pool/channel.hpp>

#include <string>
#include <string_view>

namespace millrace {

class loop;

/// A connectivity watch, which gRPC cannot cancel (grpc#21948, grpc#3064). Whoever watches may go away at any time: an
/// orphaned watcher lives on until its tag is back, tells nobody, and frees itself.
class watcher {
 public:
  /// Told whether the state changed (true) or the slice ran out.
  using listener = bound<void(bool)>;

  /// One that is not armed. Ends with `orphan`.
  static watcher* create(loop& on, std::string_view endpoint, listener tell);

  void arm(channel& on, connectivity last, time_point until);

  /// The listener hears nothing any more, and must not use the watcher again.
  void orphan() noexcept;

 private:
  watcher(loop& on, std::string_view endpoint, listener tell) : loop_(on), endpoint_(endpoint), tell_(tell) {}
  ~watcher() = default;

  void on_back(completion how);
  void free() noexcept;

  loop& loop_;
  std::string endpoint_;  // its own copy: the channel may be gone before the tag is back
  listener tell_;
  tag<&watcher::on_back> change_{*this};
};

}  // namespace millrace
