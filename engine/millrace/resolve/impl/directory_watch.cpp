// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/impl/directory_watch.hpp>

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace millrace::resolve::impl {
namespace {

// not IN_MODIFY: a file that is being written is of no interest until it is closed
constexpr std::uint32_t interest = IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                   IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

directory_watch::directory_watch(loop& on, std::string path, bound<void()> changed)
    : path_(std::move(path)), changed_(changed), inotify_(uncounted_executor(on)) {}

bool directory_watch::renew() {
  if (!open() || !add_watch()) return false;
  drain();
  await();
  return true;
}

bool directory_watch::open() {
  if (inotify_.is_open()) return true;
  int const made = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (made < 0) return false;
  boost::system::error_code error;
  inotify_.assign(made, error);
  if (error) ::close(made);
  return !error;
}

// the directory of that path may be another one by now: the same one keeps its watch
bool directory_watch::add_watch() {
  int const fd = inotify_.native_handle();
  int const before = std::exchange(watch_, inotify_add_watch(fd, path_.c_str(), interest));
  if (before >= 0 && before != watch_) inotify_rm_watch(fd, before);
  return watch_ >= 0;
}

void directory_watch::drain() {
  std::array<char, 4096> events;
  while (::read(inotify_.native_handle(), events.data(), events.size()) > 0) {
  }
}

void directory_watch::await() {
  if (std::exchange(awaited_, true)) return;
  inotify_.async_wait(decltype(inotify_)::wait_read, [this, alive = std::weak_ptr(alive_)](boost::system::error_code) {
    if (alive.expired()) return;
    awaited_ = false;
    changed_();
  });
}

}  // namespace millrace::resolve::impl
