// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/watcher.hpp>

#include <millrace/loop/loop.hpp>

#include <new>

namespace millrace {

watcher* watcher::create(loop& on, std::string_view endpoint, listener tell) {
  return ::new (on.allocate(sizeof(watcher))) watcher(on, endpoint, tell);
}

void watcher::arm(channel& on, connectivity last, time_point until) { on.watch(change_, endpoint_, last, until); }

void watcher::orphan() noexcept {
  tell_ = {};
  if (!change_.outstanding()) free();
}

void watcher::on_back(completion how) {
  if (!tell_) return free();
  if (how != completion::abandoned) tell_(how == completion::ok);
}

void watcher::free() noexcept {
  loop& on = loop_;
  this->~watcher();
  on.deallocate(this, sizeof(watcher));
}

}  // namespace millrace
