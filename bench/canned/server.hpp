// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "connection.hpp"
#include "options.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace millrace::canned {

/// A file descriptor that is closed when it goes.
class descriptor {
 public:
  explicit descriptor(int number) noexcept : number_(number) {}
  descriptor(descriptor const&) = delete;
  descriptor& operator=(descriptor const&) = delete;
  ~descriptor();

  int get() const noexcept { return number_; }

 private:
  int number_;
};

/// The canned responder: one thread, one epoll set, one write for each read.
class server {
 public:
  /// Listens on 127.0.0.1; throws std::runtime_error when the port cannot be had. Blocks SIGINT and SIGTERM in this thread.
  explicit server(options const& wanted);
  ~server();

  /// `127.0.0.1:50051`, with the port that was taken.
  std::string const& address() const noexcept { return address_; }

  /// Serves until SIGINT or SIGTERM.
  void run();

  std::uint64_t answered() const noexcept { return answered_; }

 private:
  struct peer;

  void watch(int fd, std::uint32_t events, void* what, bool known = false);
  void accept_one();
  bool serve(peer& one);
  bool read(peer& one);
  bool write(peer& one);
  void forget(peer& one);

  options const wanted_;
  descriptor listener_;
  descriptor signals_;
  descriptor epoll_;
  std::string address_;
  std::vector<std::unique_ptr<peer>> peers_;
  std::uint64_t answered_ = 0;
};

}  // namespace millrace::canned
