// SPDX-License-Identifier: Apache-2.0
#include "worker.hpp"

#include <millrace/call/client.hpp>

#include <support/flags.hpp>

#include <echo.grpc.pb.h>

#include <boost/asio/post.hpp>

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace millrace::footprint {
namespace {

using namespace std::chrono_literals;
using echo::Echo;
using echo::EchoReply;
using echo::EchoRequest;

constexpr auto patience = 5min;  // a server with many calls pending is slow
constexpr auto call_timeout = 1h;

// the server answers it at once, whatever it does with echoes: when the answer is here, all that was sent before on the
// connection is there
constexpr char const* health_check = "/grpc.health.v1.Health/Check";

EchoRequest request() {
  EchoRequest made;
  made.set_text(std::string(16, 'x'));
  return made;
}

class usage {
 public:
  static usage now() {
    usage made;
    auto const heap = mallinfo2();
    made.heap_ = static_cast<double>(heap.uordblks + heap.hblkhd);
    double size = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    made.resident_ = resident * static_cast<double>(sysconf(_SC_PAGESIZE));
    return made;
  }

  bytes_each since(usage const& before, std::uint64_t count) const {
    double const n = static_cast<double>(count);
    return {.heap = (heap_ - before.heap_) / n, .resident = (resident_ - before.resident_) / n};
  }

 private:
  double heap_ = 0;
  double resident_ = 0;
};

// ---- millrace

void wait_ready(loop& on, pool& connections, std::uint32_t slots) {
  error_code failure = make_error_code(errc::timed_out);
  connections.async_ready({.min_ready = slots, .timeout = patience}, [&](error_code error) { failure = error; });
  on.run();
  if (failure) throw std::runtime_error("cannot connect: " + failure.message());
}

void check_health(loop& on, pool& connections) {
  static method const check = method::unnumbered(health_check);
  generic_client any(connections);
  std::string failure;
  grpc::Slice const nothing("");
  any.async_call(check, grpc::ByteBuffer(&nothing, 1), {.timeout = patience}, [&](rpc_result<grpc::ByteBuffer> reply) {
    if (!reply) failure = reply.error().error_message();
    on.interrupt();
  });
  on.run();
  if (!failure.empty()) throw std::runtime_error("the server does not answer: " + failure);
}

void start_calls(pool& connections, std::uint64_t count) {
  client<Echo> echo(connections);
  EchoRequest const what = request();
  for (std::uint64_t i = 0; i < count; ++i) {
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(what, {.timeout = call_timeout}, [](rpc_result<EchoReply> const&) {});
  }
}

// until all that was started so far has begun
void run_begun(loop& on) {
  boost::asio::post(on, [&] { on.interrupt(); });
  on.run();
}

/// A loop and a pool that are never destroyed: the process ends with calls under way.
struct engine {
  explicit engine(pool_params params) : connections(on, std::move(params)) {
    wait_ready(on, connections, 1);
    check_health(on, connections);
  }

  millrace::loop on;
  millrace::pool connections;
};

bytes_each pending_millrace(std::string const& target, std::uint64_t count) {
  auto& [on, connections] =
      *new engine({.target = target, .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1'000'000});
  auto const before = usage::now();
  start_calls(connections, count);
  check_health(on, connections);
  return usage::now().since(before, count);
}

bytes_each queued_millrace(std::string const& target, std::uint64_t count) {
  auto& [on, connections] = *new engine(
      {.target = target, .min_slots = 1, .max_slots = 1, .max_calls_per_slot = 1, .max_waiting = 1'000'000});
  start_calls(connections, 1);  // takes the one place there is
  run_begun(on);
  auto const before = usage::now();
  start_calls(connections, count);
  run_begun(on);
  return usage::now().since(before, count);
}

bytes_each slots_millrace(std::string const& target, std::uint64_t count) {
  auto const slots = static_cast<std::uint32_t>(count);
  auto& one = *new engine({.target = target, .min_slots = 1, .max_slots = 1});
  auto const before = usage::now();
  auto& many = *new pool(one.on, {.target = target, .min_slots = slots, .max_slots = slots});
  wait_ready(one.on, many, slots);
  return usage::now().since(before, count);
}

// ---- the textbook's client

using channel_ptr = std::shared_ptr<grpc::Channel>;

channel_ptr connected_channel(std::string const& target) {
  grpc::ChannelArguments arguments;
  // as a slot has it: without, channels to one target are one connection
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto made = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  if (!made->WaitForConnected(std::chrono::system_clock::now() + patience)) throw std::runtime_error("cannot connect");
  return made;
}

void check_health(channel_ptr const& channel, grpc::CompletionQueue& queue) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + patience);
  grpc::ByteBuffer reply;
  grpc::Status status;
  grpc::Slice const nothing("");
  auto const reader =
      grpc::GenericStub(channel).PrepareUnaryCall(&context, health_check, grpc::ByteBuffer(&nothing, 1), &queue);
  reader->StartCall();
  reader->Finish(&reply, &status, &context);
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok) && tag != &context) {
  }
  if (!status.ok()) throw std::runtime_error("the server does not answer: " + status.error_message());
}

// as bench/peers/textbook.cpp has it
struct textbook_call {
  grpc::ClientContext context;
  EchoReply reply;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<EchoReply>> reader;
};

bytes_each pending_textbook(std::string const& target, std::uint64_t count) {
  auto const channel = connected_channel(target);
  auto const stub = Echo::NewStub(channel);
  auto& queue = *new grpc::CompletionQueue;  // its calls are never waited for
  check_health(channel, queue);
  EchoRequest const what = request();
  auto const before = usage::now();
  for (std::uint64_t i = 0; i < count; ++i) {
    auto* const call = new textbook_call;
    call->context.set_deadline(std::chrono::system_clock::now() + call_timeout);
    call->reader = stub->PrepareAsyncSay(&call->context, what, &queue);
    call->reader->StartCall();
    call->reader->Finish(&call->reply, &call->status, call);
  }
  check_health(channel, queue);
  return usage::now().since(before, count);
}

bytes_each channels_textbook(std::string const& target, std::uint64_t count) {
  auto const first = connected_channel(target);
  std::vector<channel_ptr> many;
  many.reserve(count);
  auto const before = usage::now();
  for (std::uint64_t i = 0; i < count; ++i) many.push_back(connected_channel(target));
  return usage::now().since(before, count);
}

}  // namespace

std::vector<kind> const& kinds() {
  static std::vector<kind> const all{
      {"pending-textbook", "a call on the wire, textbook", pending_textbook},
      {"pending-millrace", "a call on the wire, millrace", pending_millrace},
      {"queued-millrace", "a call in the pool's queue, millrace", queued_millrace},
      {"channels-textbook", "a connected channel, textbook", channels_textbook},
      {"slots-millrace", "a ready slot, millrace", slots_millrace},
  };
  return all;
}

std::vector<std::string> to_arguments(assignment const& one) {
  return {"--worker", one.kind, one.target, std::to_string(one.count)};
}

int work_off(int argc, char const* const* argv) {
  if (argc != 5) return std::fputs("bench-footprint: --worker is for this program's own use\n", stderr), 2;
  for (kind const& each : kinds()) {
    if (argv[2] != std::string_view(each.name)) continue;
    bytes_each const seen = each.measure(argv[3], bench::whole("--worker", argv[4], {1, 1'000'000}));
    fmt::print("{} {}\n", seen.heap, seen.resident);
    std::fflush(stdout);
    _exit(0);  // what is under way is never answered
  }
  return 2;
}

std::optional<bytes_each> parse_bytes(std::string const& line) {
  bytes_each made;
  if (std::sscanf(line.c_str(), "%lf %lf", &made.heap, &made.resident) != 2) return std::nullopt;
  return made;
}

}  // namespace millrace::footprint
