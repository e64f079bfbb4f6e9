// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/bound.hpp>
#include <millrace/resolve/impl/uncounted_executor.hpp>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include <memory>
#include <string>

namespace millrace::resolve::impl {

/// Tells that something in a directory has changed: a file in it, or the directory itself (inotify).
///
/// Asio waits on its own background thread, because a loop is no io_context: one thread for all that is watched on a loop, started
/// with the first watch, and idle until something changes. Thread: the loop's.
class directory_watch {
 public:
  /// `path` is absolute, and need not exist.
  directory_watch(loop& on, std::string path, bound<void()> changed);

  /// Watches from here on; what has changed so far is the caller's to look at. One `changed` follows, never from inside; call this
  /// again afterwards. False when the directory cannot be watched, now or any more.
  bool renew();

 private:
  bool open();
  bool add_watch();
  void drain();
  void await();

  std::string path_;
  bound<void()> changed_;
  boost::asio::posix::basic_stream_descriptor<uncounted_executor> inotify_;
  int watch_ = -1;
  bool awaited_ = false;
  // Asio calls the handler of a wait that was cancelled, when this is gone; on the loop's thread, so looking is enough
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace millrace::resolve::impl
