// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <echo/server.hpp>

#include <thread>

namespace millrace::echo {

/// A server on a free loopback port, stopped when the test ends.
class running_server {
 public:
  explicit running_server(options const& wanted = {}) : server_(wanted), thread_([this] { server_.run(); }) {}
  ~running_server() { stop(); }

  void stop() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

  server& operator*() { return server_; }
  server* operator->() { return &server_; }

 private:
  server server_;
  std::thread thread_;
};

}  // namespace millrace::echo
