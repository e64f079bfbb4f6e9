// SPDX-License-Identifier: Apache-2.0
// The proxy of the documentation (docs/examples/proxy.hpp), called by gRPC's own stubs, which know nothing of it.
#include <proxy.hpp>

#include <support/catch.hpp>
#include <support/talk_server.hpp>
#include <support/wait.hpp>

#include <grpcpp/create_channel.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
using talk::Line;
using talk::Talk;

namespace {

Line line(std::string text, int times = 0, grpc::StatusCode code = grpc::StatusCode::OK) {
  Line one;
  one.set_text(std::move(text));
  one.set_times(times);
  one.set_code(code);
  return one;
}

/// A proxy on a thread of its own, and a stub behind which it is.
struct fixture {
  explicit fixture(std::string const& backend) : through(backend) {}
  ~fixture() {
    if (thread.joinable()) stop(5s);
  }

  stop_report stop(std::chrono::seconds grace) {
    stop_report const how = through.stop(grace);
    thread.join();
    return how;
  }

  std::unique_ptr<grpc::ClientContext> context() const {
    auto one = std::make_unique<grpc::ClientContext>();
    one->set_deadline(std::chrono::system_clock::now() + patience);
    return one;
  }

  example::proxy through;
  std::thread thread{[this] { through.run(); }};
  std::unique_ptr<Talk::Stub> stub = Talk::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(through.port()), grpc::InsecureChannelCredentials()));
};

/// Streams that end only when their caller goes, and how many have.
class patient_server final : private Talk::Service {
 public:
  patient_server() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~patient_server() override { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int left() const noexcept { return left_; }

 private:
  grpc::Status Repeat(grpc::ServerContext* context, Line const* request, grpc::ServerWriter<Line>* lines) override {
    while (lines->Write(*request)) {
    }
    return end(*context);
  }
  grpc::Status Chat(grpc::ServerContext* context, grpc::ServerReaderWriter<Line, Line>* lines) override {
    for (Line one; lines->Read(&one);) lines->Write(one);
    return end(*context);
  }
  grpc::Status end(grpc::ServerContext const& context) {
    // a stream's last read may fail before gRPC tells that the call was cancelled
    while (!context.IsCancelled()) std::this_thread::yield();
    ++left_;
    return grpc::Status::OK;
  }

  std::atomic<int> left_ = 0;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

TEST_CASE("proxy: calls of each kind go through, with metadata, deadline and status", "[live][proxy]") {
  talk_server server;
  fixture with(server.address());
  auto const context = with.context();
  context->AddMetadata("sent", "along");
  Line answer;

  SECTION("unary") {
    CHECK(with.stub->Say(context.get(), line("ho"), &answer).ok());
    CHECK(answer.text() == "ho");
  }
  SECTION("client stream") {
    auto const lines = with.stub->Collect(context.get(), &answer);
    for (char const* const part : {"a", "b", "c"}) CHECK(lines->Write(line(part)));
    CHECK(lines->WritesDone());
    CHECK(lines->Finish().ok());
    CHECK(answer.text() == "abc");
  }
  SECTION("server stream") {
    auto const lines = with.stub->Repeat(context.get(), line(std::string(10'000, 'x'), 100));
    int got = 0;
    while (lines->Read(&answer)) got += answer.text().size() == 10'000;
    CHECK(lines->Finish().ok());
    CHECK(got == 100);
  }
  SECTION("bidi stream") {
    auto const chat = with.stub->Chat(context.get());
    for (int n = 0; n < 100; ++n) {
      CHECK(chat->Write(line(std::to_string(n))));
      REQUIRE(chat->Read(&answer));
      CHECK(answer.text() == std::to_string(n));
    }
    CHECK(chat->WritesDone());
    CHECK_FALSE(chat->Read(&answer));
    CHECK(chat->Finish().ok());
  }
  SECTION("one that fails") {
    grpc::Status const how = with.stub->Say(context.get(), line("no", 0, grpc::StatusCode::DATA_LOSS), &answer);
    CHECK(how.error_code() == grpc::StatusCode::DATA_LOSS);
    CHECK(how.error_message() == "as requested");
    CHECK(how.error_details() == "details");
    CHECK(context->GetServerTrailingMetadata().count("grpc-status-details-bin") == 1);
  }
  SECTION("one that the server ends although its caller has more to say") {
    auto const chat = with.stub->Chat(context.get());
    CHECK(chat->Write(line("bye", 0, grpc::StatusCode::ABORTED)));
    CHECK_FALSE(chat->Read(&answer));
    CHECK(chat->Finish().error_code() == grpc::StatusCode::ABORTED);
  }
  CHECK(server.calls() == 1);
  CHECK(server.last_sent("sent") == "along");
  CHECK(context->GetServerInitialMetadata().count("served-by") == 1);
  auto const trailers = context->GetServerTrailingMetadata();
  auto const call = trailers.find("call");
  REQUIRE(call != trailers.end());
  CHECK(call->second == "1");
  CHECK(to_string(with.stop(5s)) == "stopped: nothing outstanding");
}

TEST_CASE("proxy: a caller that goes away takes its call at the server with it", "[live][proxy]") {
  patient_server server;
  fixture with(server.address());
  Line answer;

  auto const chatting = with.context();
  auto const chat = with.stub->Chat(chatting.get());
  CHECK(chat->Write(line("ho")));
  CHECK(chat->Read(&answer));
  chatting->TryCancel();
  wait_until("the chat's end at the server", [&] { return server.left() == 1; });
  CHECK(chat->Finish().error_code() == grpc::StatusCode::CANCELLED);

  auto const listening = with.context();
  auto const lines = with.stub->Repeat(listening.get(), line("ho"));
  CHECK(lines->Read(&answer));
  listening->TryCancel();
  wait_until("the lines' end at the server", [&] { return server.left() == 2; });
  CHECK(lines->Finish().error_code() == grpc::StatusCode::CANCELLED);
  CHECK(to_string(with.stop(5s)) == "stopped: nothing outstanding");
}

TEST_CASE("proxy: a server that goes away is UNAVAILABLE to its callers", "[live][proxy]") {
  talk_server server;
  fixture with(server.address());
  auto const context = with.context();
  Line answer;
  auto const chat = with.stub->Chat(context.get());
  CHECK(chat->Write(line("ho")));
  CHECK(chat->Read(&answer));
  server.stop();
  CHECK_FALSE(chat->Read(&answer));
  CHECK_FALSE(chat->Finish().ok());
  CHECK(with.stub->Say(with.context().get(), line("anyone?"), &answer).error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("proxy: one that stops cuts off what does not end by itself", "[live][proxy]") {
  patient_server server;
  fixture with(server.address());
  auto const context = with.context();
  Line answer;
  auto const chat = with.stub->Chat(context.get());
  CHECK(chat->Write(line("ho")));
  CHECK(chat->Read(&answer));
  CHECK(to_string(with.stop(0s)) == "stopped: nothing outstanding");
  CHECK_FALSE(chat->Read(&answer));
  CHECK_FALSE(chat->Finish().ok());
}
