// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "stub.hpp"

#include <millrace/loop/cq_port.hpp>
#include <millrace/pool/pool.hpp>

#include <thread>

namespace millrace::peers {

/// What runs beneath a stub on a pool: one slot, its loop on a thread of its own.
class pooled {
 public:
  explicit pooled(work const& task)
      : pool_(loop_, {.target = task.target, .max_slots = 1, .max_calls_per_slot = task.in_flight, .stub_calls = true}),
        channel_(pool_.stub_channel()),
        thread_([this] { loop_.run(); }) {}
  ~pooled() {
    channel_.reset();
    loop_.stop();
    thread_.join();
  }

  std::unique_ptr<Echo::Stub> stub(work const& task) const { return stub_on(channel_, task); }

 private:
  loop loop_;
  pool pool_;
  std::shared_ptr<grpc::ChannelInterface> channel_;
  std::thread thread_;
};

}  // namespace millrace::peers
