// SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include <millrace/call/client.hpp>

#include <stdexcept>
#include <vector>

namespace millrace::streams {
namespace {

using bytes_stream = bidi_stream<grpc::ByteBuffer, grpc::ByteBuffer>;

/// Keeps one stream busy, and counts.
class flow {
 public:
  flow(bytes_stream stream, workload const& what)
      : stream_(std::move(stream)), what_(what.of.what), message_(bytes(what.message_bytes)) {
    write();
    if (what_ == pattern::down) static_cast<void>(stream_.writes_done());
    if (what_ != pattern::up) read();
  }

  std::uint64_t messages = 0;
  bool failed = false;

  void cancel() {
    stopping_ = true;
    stream_.cancel();
  }

 private:
  static grpc::ByteBuffer bytes(std::size_t size) {
    grpc::Slice const one(std::string(size, 'x'));
    return {&one, 1};
  }

  void write() {
    stream_.async_write(message_, [this](error_code error) {
      if (error) return fail();
      if (what_ != pattern::up) return;
      ++messages;
      write();
    });
  }
  void read() {
    stream_.async_read([this](error_code error, std::optional<grpc::ByteBuffer> one) {
      if (error || !one) return fail();
      ++messages;
      if (what_ == pattern::ping_pong) write();
      read();
    });
  }
  void fail() { failed = !stopping_; }

  bytes_stream stream_;
  pattern what_;
  grpc::ByteBuffer message_;
  bool stopping_ = false;
};

class engine final : public client {
 public:
  explicit engine(std::string const& target) : pool_(loop_, {.target = target}), client_(pool_) {}

  double run(workload const& what) override {
    method const called = method::unnumbered(what.of.method);
    flow one(client_.async_stream(called), what);
    loop_.run_until(millrace::clock::now() + what.warm_up);
    std::uint64_t const before = one.messages;
    auto const begun = millrace::clock::now();
    loop_.run_until(begun + what.window);
    double const spent = std::chrono::duration<double>(millrace::clock::now() - begun).count();
    std::uint64_t const count = one.messages - before;
    one.cancel();
    loop_.run();
    if (one.failed || count == 0) throw std::runtime_error("millrace: the stream ended early");
    return static_cast<double>(count) / spent;
  }

 private:
  loop loop_;
  pool pool_;
  generic_client client_;
};

}  // namespace

std::unique_ptr<client> make_engine(std::string const& target) { return std::make_unique<engine>(target); }

}  // namespace millrace::streams
