// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/file_params.hpp>
#include <millrace/resolve/impl/directory_watch.hpp>
#include <millrace/resolve/resolver.hpp>
#include <millrace/time/timer.hpp>

#include <string>

namespace millrace::resolve {

/// The endpoints that a file lists (endpoint_file.hpp), read anew when it changes: written in place, replaced by a rename, removed,
/// appeared, or reached through a link that was turned elsewhere, as in a Kubernetes volume. While the file cannot be read or
/// is wrong, the last good list stays.
///
/// Reading takes place on the loop's thread: keep the file local, and smaller than `max_size`.
class file_resolver final : public resolver {
 public:
  static constexpr std::size_t max_size = std::size_t{16} * 1024 * 1024;

  /// `path` is absolute. Expects validated params.
  file_resolver(loop& on, std::string path, file_params const& params);

  void start(resolver_listener& listener) override;
  void refresh() noexcept override { look_within(params_.settle_interval); }

 private:
  void look_within(duration interval) noexcept;
  void look();
  void read();
  void fail(std::string why);
  void on_changed() { look_within(params_.settle_interval); }

  loop& loop_;
  std::string const path_;
  file_params const params_;
  resolver_listener* listener_ = nullptr;
  std::string text_;     // of the last good list
  bool known_ = false;   // there was one
  std::string failure_;  // what the listener was told last; empty after a good list
  timer timer_{bound<void()>::to<&file_resolver::look>(*this)};
  impl::directory_watch watch_;
};

}  // namespace millrace::resolve
