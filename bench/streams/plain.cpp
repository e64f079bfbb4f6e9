// SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <stdexcept>

namespace millrace::streams {
namespace {

enum tags : std::intptr_t { started, written, got, closed, finished };

void* tag(tags value) { return reinterpret_cast<void*>(static_cast<std::intptr_t>(value) + 1); }

class plain final : public client {
 public:
  explicit plain(std::string const& target) : stub_(grpc::CreateChannel(target, grpc::InsecureChannelCredentials())) {}

  double run(workload const& what) override {
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    auto const stream = stub_.PrepareCall(&context, what.of.method, &queue);
    grpc::Slice const slice(std::string(what.message_bytes, 'x'));
    grpc::ByteBuffer const message(&slice, 1);
    grpc::ByteBuffer received;
    grpc::Status status;
    std::uint64_t count = 0;
    bool measuring = false;
    auto until = std::chrono::steady_clock::now() + what.warm_up;
    auto begun = until;
    double rate = 0;
    stream->StartCall(tag(started));
    void* back = nullptr;
    bool ok = false;
    while (queue.Next(&back, &ok)) {
      auto const now = std::chrono::steady_clock::now();
      if (now >= until && !measuring) {
        measuring = true;
        begun = now;
        until = now + what.window;
        count = 0;
      } else if (now >= until && rate == 0) {
        rate = static_cast<double>(count) / std::chrono::duration<double>(now - begun).count();
        context.TryCancel();
        stream->Finish(&status, tag(finished));
      }
      if (rate != 0) {
        if (back == tag(finished)) queue.Shutdown();
        continue;
      }
      if (!ok) throw std::runtime_error("plain: the stream ended early");
      on(back, what.of.what, *stream, message, received, count);
    }
    return rate;
  }

 private:
  using stream_type = grpc::GenericClientAsyncReaderWriter;

  static void on(void* back, pattern what, stream_type& stream, grpc::ByteBuffer const& message,
                 grpc::ByteBuffer& received, std::uint64_t& count) {
    if (back == tag(started)) {
      stream.Write(message, tag(written));
      if (what != pattern::up) stream.Read(&received, tag(got));
    } else if (back == tag(written)) {
      if (what == pattern::down) return stream.WritesDone(tag(closed));
      if (what != pattern::up) return;
      ++count;
      stream.Write(message, tag(written));
    } else if (back == tag(got)) {
      ++count;
      if (what == pattern::ping_pong) stream.Write(message, tag(written));
      stream.Read(&received, tag(got));
    }
  }

  grpc::GenericStub stub_;
};

}  // namespace

std::unique_ptr<client> make_plain(std::string const& target) { return std::make_unique<plain>(target); }

}  // namespace millrace::streams
