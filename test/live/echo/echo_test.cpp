// SPDX-License-Identifier: Apache-2.0
#include "running_server.hpp"

#include <support/catch.hpp>
#include <support/corked.hpp>
#include <support/process.hpp>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using echo::running_server;

namespace {

std::shared_ptr<grpc::Channel> channel_to(std::string const& address) {
  return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
}

// HealthCheckResponse
std::string const serving = "\x08\x01";
std::string const not_serving = "\x08\x02";

struct outcome {
  grpc::Status status;
  std::string reply;
};

outcome call(std::shared_ptr<grpc::Channel> const& channel, std::string const& method, std::string const& message,
             std::chrono::milliseconds timeout = 10s) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  grpc::Slice const slice(message);
  auto const reader = stub.PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
  reader->StartCall();
  outcome result;
  grpc::ByteBuffer reply;
  reader->Finish(&reply, &result.status, &result);
  void* tag = nullptr;
  bool ok = false;
  REQUIRE(queue.Next(&tag, &ok));
  grpc::Slice whole;
  if (result.status.ok() && reply.DumpToSingleSlice(&whole).ok()) {
    result.reply.assign(reinterpret_cast<char const*>(whole.begin()), whole.size());
  }
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  return result;
}

// whether `condition` came true within 10 s
template <class Condition>
bool eventually(Condition condition) {
  auto const until = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

struct finished_program {
  int status = -1;
  std::string output;  // stdout and stderr
};

std::string program_path() {
  char const* const program = std::getenv("MILLRACE_ECHO");
  if (program == nullptr) FAIL("MILLRACE_ECHO must name the program");
  return program;
}

finished_program run_echo(std::string const& args) {
  std::FILE* const pipe = popen(("timeout 20 '" + program_path() + "' " + args + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  finished_program result;
  std::array<char, 4096> block{};
  while (std::size_t const got = std::fread(block.data(), 1, block.size(), pipe))
    result.output.append(block.data(), got);
  int const status = pclose(pipe);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

}  // namespace

TEST_CASE("echo: any method is answered with its own bytes", "[live][echo]") {
  running_server server;
  auto const channel = channel_to(server->address());
  std::string const large(3'000'000, 'x');
  for (auto const& message : {std::string(), std::string("hello"), std::string("\0\xff\0", 3), large}) {
    auto const result = call(channel, "/any.Service/Method", message);
    CHECK(result.status.ok());
    CHECK(result.reply == message);
  }
  CHECK(call(channel, "/other/Name", "again").reply == "again");
  server.stop();
  CHECK(server->served() == 5);
  CHECK(server->failed() == 0);
}

TEST_CASE("echo: the share of failing calls is the one asked for, and the same for the same seed", "[live][echo]") {
  std::vector<std::string> runs;
  for (int run = 0; run < 2; ++run) {
    running_server server({.fail_rate = 0.25, .status = status_code::resource_exhausted, .seed = 5});
    auto const channel = channel_to(server->address());
    std::string pattern;
    for (int i = 0; i < 400; ++i) {
      auto const result = call(channel, "/a/b", "x");
      if (!result.status.ok()) CHECK(result.status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
      pattern += result.status.ok() ? '.' : 'F';
    }
    runs.push_back(pattern);
    server.stop();
    CHECK(server->served() == 400);
    CHECK(server->failed() == static_cast<std::uint64_t>(std::count(pattern.begin(), pattern.end(), 'F')));
    CHECK(server->failed() > 60);
    CHECK(server->failed() < 140);
  }
  CHECK(runs[0] == runs[1]);
}

TEST_CASE("echo: an answer waits for its delay", "[live][echo]") {
  running_server server({.delay = 50ms});
  auto const channel = channel_to(server->address());
  auto const before = std::chrono::steady_clock::now();
  CHECK(call(channel, "/a/b", "late").reply == "late");
  CHECK(std::chrono::steady_clock::now() - before >= 50ms);
}

TEST_CASE("echo: stopping answers delayed calls at once", "[live][echo]") {
  running_server server({.delay = 1h});
  auto const channel = channel_to(server->address());
  outcome result;
  std::thread client([&] { result = call(channel, "/a/b", "hurry", 30s); });
  bool const arrived = eventually([&] { return server->arrived() == 1; });
  auto const before = std::chrono::steady_clock::now();
  server.stop();
  client.join();
  CHECK(std::chrono::steady_clock::now() - before < 5s);
  INFO("waited for the call to arrive");
  CHECK(arrived);
  CHECK(result.reply == "hurry");
}

TEST_CASE("echo: a call given up while it is delayed is no harm", "[live][echo]") {
  running_server server({.delay = 200ms});
  auto const channel = channel_to(server->address());
  CHECK(call(channel, "/a/b", "x", 20ms).status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(call(channel, "/a/b", "y").reply == "y");
}

TEST_CASE("echo: it serves grpc.health.v1 beside the echo", "[live][echo]") {
  running_server server({.fail_rate = 1});
  // which no echo of the empty request would be
  auto const result = call(channel_to(server->address()), "/grpc.health.v1.Health/Check", "");
  CHECK(result.status.ok());
  CHECK(result.reply == serving);
}

TEST_CASE("echo: with --health SIGUSR1 turns the health of server and service, and says so", "[live][echo]") {
  test::process program({"/bin/sh", "-c", "exec '" + program_path() + "' --port 0 --health 2>&1"});
  std::string const greeting = program.read_line();
  auto const channel = channel_to(greeting.substr(greeting.rfind(' ') + 1));
  auto const health_of = [&](std::string const& request) {
    return call(channel, "/grpc.health.v1.Health/Check", request).reply;
  };
  std::string const whole;
  std::string const service = "\x0a\x12millrace.echo.Echo";
  CHECK(health_of(whole) == serving);
  CHECK(health_of(service) == serving);
  program.signal(SIGUSR1);
  CHECK(program.read_line() == "millrace-echo: health is NOT_SERVING now");
  CHECK(health_of(whole) == not_serving);
  CHECK(health_of(service) == not_serving);
  CHECK(call(channel, "/a/b", "still answered").reply == "still answered");
  program.signal(SIGUSR1);
  CHECK(program.read_line() == "millrace-echo: health is SERVING now");
  CHECK(health_of(whole) == serving);
  CHECK(health_of(service) == serving);
  program.signal(SIGTERM);
  CHECK(program.read_line() == "millrace-echo: 1 calls served, 0 of them failed on purpose");
}

TEST_CASE("echo: a connection is told to go away when it is old enough", "[live][echo]") {
  running_server server({.max_connection_age = 50ms, .max_connection_age_grace = 10s});
  auto const channel = channel_to(server->address());
  CHECK(call(channel, "/a/b", "young").reply == "young");
  CHECK(channel->WaitForStateChange(GRPC_CHANNEL_READY, std::chrono::system_clock::now() + 10s));
  CHECK(call(channel, "/a/b", "on a new one").reply == "on a new one");
}

TEST_CASE("echo: a connection has no more calls in flight than --max-streams", "[live][echo]") {
  running_server server({.delay = 50ms, .max_streams = 1});
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server->address(), .max_slots = 1}};
  millrace::client<echo::Echo> with(pool);
  auto const before = std::chrono::steady_clock::now();
  CHECK(test::flood(loop, with, 5, 5) == 5);
  CHECK(std::chrono::steady_clock::now() - before >= 4 * 50ms);
}

TEST_CASE("echo: a port that is taken is an error", "[live][echo]") {
  running_server server;
  auto const& address = server->address();
  auto const port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  CHECK_THROWS_AS(echo::server({.port = port}), std::runtime_error);
  auto const program = run_echo("--port " + std::to_string(port));
  CHECK(program.status == 1);
  CHECK(program.output.find("millrace-echo: cannot listen on 127.0.0.1:" + std::to_string(port)) == 0);
  CHECK(std::count(program.output.begin(), program.output.end(), '\n') == 1);
}

TEST_CASE("echo: each bad value is refused in one line that names flag, value and what is allowed", "[live][echo]") {
  for (auto const* const args :
       {"--port x", "--port 65536", "--port 0 --fail-rate 1.5", "--port 0 --fail-rate -1", "--port 0 --delay 5",
        "--port 0 --tail 5ms", "--port 0 --tail 101%x5ms", "--port 0 --tail 1%x5", "--port 0 --status OK",
        "--port 0 --status 17", "--port 0 --seed -1", "--port 0 --max-streams 0", "--port 0 --max-streams 2147483648",
        "--port 0 --max-connection-age 0", "--port 0 --max-connection-age 25h",
        "--port 0 --max-connection-age-grace 1s", "--port 0 --max-connection-age 1s --max-connection-age-grace 25h",
        "--port 0 --host ::1", "--port 0 --frobnicate 7"}) {
    INFO(args);
    auto const program = run_echo(args);
    std::string const text = args;
    auto const value = text.substr(text.rfind(' ') + 1);
    auto const flag = text.substr(text.rfind("--"), text.rfind(' ') - text.rfind("--"));
    CHECK(program.status == 2);
    CHECK(program.output.find("millrace-echo: " + flag + " '" + value + "': ") == 0);
    CHECK(program.output.find("allowed") != std::string::npos);
    CHECK(std::count(program.output.begin(), program.output.end(), '\n') == 1);
  }
  CHECK(run_echo("").status == 2);
  CHECK(run_echo("--help").status == 0);
}

TEST_CASE("echo: SIGTERM and SIGINT end it cleanly", "[live][echo]") {
  for (int const signal : {SIGTERM, SIGINT}) {
    std::FILE* const pipe = popen(("echo $$; exec '" + program_path() + "' --port 0").c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::array<char, 200> line{};
    REQUIRE(std::fgets(line.data(), line.size(), pipe) != nullptr);
    auto const pid = static_cast<pid_t>(std::stoi(line.data()));
    REQUIRE(std::fgets(line.data(), line.size(), pipe) != nullptr);
    CHECK(std::string(line.data()).find("millrace-echo listening on 127.0.0.1:") == 0);
    kill(pid, signal);
    REQUIRE(std::fgets(line.data(), line.size(), pipe) != nullptr);
    CHECK(std::string(line.data()) == "millrace-echo: 0 calls served, 0 of them failed on purpose\n");
    CHECK(pclose(pipe) == 0);
  }
}
