// SPDX-License-Identifier: Apache-2.0
// Streams against real servers.
#include <millrace/call/client.hpp>
#include <millrace/intercept/chain.hpp>
#include <millrace/loop/steady_timer.hpp>
#include <millrace/metrics/observer.hpp>

#include <support/catch.hpp>
#include <support/first_of_all.hpp>
#include <support/talk_server.hpp>
#include <support/wait.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using talk::Line;
using talk::Talk;

namespace {

constexpr auto tuple = asio::as_tuple(asio::use_awaitable);

Line line(std::string text, int times = 0) {
  Line one;
  one.set_text(std::move(text));
  one.set_times(times);
  return one;
}

/// A server, and a client of it on a loop.
struct fixture {
  explicit fixture(client_params params = {}, pool_params slots = {})
      : pool(loop, at(std::move(slots))), talk(pool, std::move(params)) {}

  ~fixture() { server.let_go(); }

  test::talk_server server;
  millrace::loop loop;
  millrace::pool pool;
  client<Talk> talk;

  void run(asio::awaitable<void> what) {
    bool done = false;
    std::exception_ptr failure;
    co_spawn(loop, std::move(what), [&](std::exception_ptr thrown) {
      failure = thrown;
      done = true;
    });
    test::run_until(loop, "the coroutine", [&] { return done; });
    if (failure) std::rethrow_exception(failure);
  }

 private:
  pool_params at(pool_params slots) const {
    slots.target = server.address();
    return slots;
  }
};

/// Repeats lines, but answers as many calls before with UNAVAILABLE and no headers.
class reluctant_server final : private Talk::Service {
 public:
  explicit reluctant_server(std::size_t refusals) : refusals_(refusals) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// What each call said in `grpc-previous-rpc-attempts`.
  std::vector<std::string> previous_attempts() const {
    std::lock_guard const lock(mutex_);
    return previous_;
  }

 private:
  grpc::Status Repeat(grpc::ServerContext* context, Line const* request, grpc::ServerWriter<Line>* lines) override {
    if (note(*context) <= refusals_) return {grpc::StatusCode::UNAVAILABLE, "not yet"};
    for (int time = 0; time < request->times(); ++time) lines->Write(*request);
    return grpc::Status::OK;
  }

  std::size_t note(grpc::ServerContext const& context) {
    std::lock_guard const lock(mutex_);
    auto const found = context.client_metadata().find("grpc-previous-rpc-attempts");
    bool const said = found != context.client_metadata().end();
    previous_.push_back(said ? std::string(found->second.data(), found->second.size()) : "");
    return previous_.size();
  }

  std::size_t const refusals_;
  mutable std::mutex mutex_;
  std::vector<std::string> previous_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

TEST_CASE("live: a server stream is read to its end", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(line("ho", 3));
    std::string text;
    while (auto one = co_await lines.async_read(asio::use_awaitable)) text += one->text();
    CHECK(text == "hohoho");
    auto const end = co_await lines.async_finish(asio::use_awaitable);
    INFO(end.error_message());
    CHECK(end.ok());
  }(with.talk));
}

TEST_CASE("live: a client stream is written and answered once", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncCollect>(call_options{.timeout = 5s});
    for (char const* const part : {"a", "b", "c"}) co_await lines.async_write(line(part));
    CHECK_FALSE(lines.writes_done());
    auto const all = co_await lines.async_finish();
    CHECK(all.value().text() == "abc");
  }(with.talk));
}

TEST_CASE("live: a bidi stream talks", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto chat = talk.async_call<&Talk::Stub::PrepareAsyncChat>();
    for (int n = 0; n < 100; ++n) {
      co_await chat.async_write(line(std::to_string(n)), asio::use_awaitable);
      auto const back = co_await chat.async_read(asio::use_awaitable);
      REQUIRE(back);
      CHECK(back->text() == std::to_string(n));
    }
    auto const end = co_await chat.async_finish(asio::use_awaitable);
    INFO(end.error_message());
    CHECK(end.ok());
  }(with.talk));
}

TEST_CASE("live: a handle may be moved, and goes without waiting", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto first = talk.async_call<&Talk::Stub::PrepareAsyncChat>();
    co_await first.async_write(line("one"));
    auto second = std::move(first);
    auto const back = co_await second.async_read();
    REQUIRE(back);
    CHECK(back->text() == "one");
    second = talk.async_call<&Talk::Stub::PrepareAsyncChat>();
  }(with.talk));
  test::run_until(with.loop, "the permits to be back", [&] { return with.pool.snapshot().in_flight == 0; });
}

TEST_CASE("trap T16: a read that finds nothing is no error, and a write to an ended stream says so",
          "[live][stream][T16]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto chat = talk.async_call<&Talk::Stub::PrepareAsyncChat>();
    Line end = line("bye");
    end.set_code(grpc::StatusCode::ABORTED);
    co_await chat.async_write(end);
    auto const [read_error, none] = co_await chat.async_read(tuple);
    CHECK_FALSE(read_error);
    CHECK_FALSE(none);
    auto const [write_error] = co_await chat.async_write(line("late"), tuple);
    CHECK(write_error == errc::stream_ended);
    auto const how = co_await chat.async_finish();
    CHECK(how.error_code() == grpc::StatusCode::ABORTED);
    CHECK(how.error_message() == "as requested");
  }(with.talk));
}

TEST_CASE("live: a server that ends early ends the writes, and the finish tells how", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncCollect>();
    Line end = line("bye");
    end.set_code(grpc::StatusCode::OUT_OF_RANGE);
    co_await lines.async_write(end);
    error_code error;
    while (!error) std::tie(error) = co_await lines.async_write(line(std::string(1000, 'x')), tuple);
    CHECK(error == errc::stream_ended);
    auto const answer = co_await lines.async_finish();
    REQUIRE(answer.has_error());
    CHECK(answer.error().error_code() == grpc::StatusCode::OUT_OF_RANGE);
  }(with.talk));
}

TEST_CASE("complaint 25, trap T18: a handle that goes while a read and a write are out takes nothing with it",
          "[live][stream][T18]") {
  fixture with;
  int ended = 0;
  for (int n = 0; n < 100; ++n) {
    auto chat = with.talk.async_call<&Talk::Stub::PrepareAsyncChat>({}, {.write_watermark = 0});
    chat.async_read([&](error_code error, std::optional<Line>) {
      if (error) CHECK(error == errc::cancelled);  // else it was quicker
      ++ended;
    });
    chat.async_write(line(std::string(100'000, 'x')), [&](error_code) { ++ended; });
    if (n % 2 == 0) with.loop.poll();
  }
  test::run_until(with.loop, "all operations to end", [&] { return ended == 200; });
  test::run_until(with.loop, "the permits to be back", [&] { return with.pool.snapshot().in_flight == 0; });
  CHECK(with.loop.stop().finished);
}

TEST_CASE("complaint 29, trap T19: writes without waiting are error codes, and those accepted arrive in order",
          "[live][stream][T19]") {
  fixture with;
  std::string sent, got;
  auto chat = with.talk.async_call<&Talk::Stub::PrepareAsyncChat>({}, {.write_watermark = 0});
  int answered = 0, refused = 0;
  for (int n = 0; n < 1000; ++n) {
    std::string const text = std::to_string(n) + " ";
    chat.async_write(line(text), [&, text](error_code error) {
      ++answered;
      if (error) {
        CHECK(error == errc::operation_in_progress);
        ++refused;
      } else {
        sent += text;
      }
    });
    if (n % 10 == 0) with.loop.poll();
  }
  test::run_until(with.loop, "the writes", [&] { return answered == 1000; });
  CHECK(refused > 0);
  with.run([](auto& stream, std::string& into) -> asio::awaitable<void> {
    CHECK_FALSE(stream.writes_done());
    while (auto one = co_await stream.async_read(asio::use_awaitable)) into += one->text();
    auto const how = co_await stream.async_finish();
    CHECK(how.ok());
  }(chat, got));
  CHECK(got == sent);
}

TEST_CASE("trap T19: a finish beside a read and a write is in order", "[live][stream][T19]") {
  fixture with;
  auto chat = with.talk.async_call<&Talk::Stub::PrepareAsyncChat>();
  std::optional<grpc::Status> end;
  std::optional<Line> got;
  chat.async_read([&](error_code, std::optional<Line> one) { got = std::move(one); });
  chat.async_write(line("one"), [](error_code) {});
  chat.async_finish([&](grpc::Status how) { end = std::move(how); });
  test::run_until(with.loop, "the finish", [&] { return end.has_value(); });
  CHECK(end->ok());
  REQUIRE(got);
  CHECK(got->text() == "one");
}

TEST_CASE("live: a finish reads what nobody did", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(line(std::string(10'000, 'x'), 100));
    auto const how = co_await lines.async_finish();
    CHECK(how.ok());
  }(with.talk));
}

TEST_CASE("trap T32: what has not arrived is empty", "[live][stream][T32]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(line("ho", 1));
    CHECK(lines.initial_metadata().empty());
    CHECK(lines.trailing_metadata().empty());
    CHECK(lines.peer().empty());
    auto const one = co_await lines.async_read();
    CHECK(one.has_value());
    CHECK(lines.initial_metadata().find("served-by") == "talk");
    auto const how = co_await lines.async_finish();
    CHECK(how.ok());
    CHECK(lines.initial_metadata().find("served-by") == "talk");
    CHECK(lines.trailing_metadata().find("call") == "1");
    CHECK(lines.peer().starts_with("ipv4:127.0.0.1:"));
  }(with.talk));
}

TEST_CASE("live: a generic stream carries a method of any kind", "[live][stream]") {
  fixture with;
  generic_client raw(with.pool);
  auto const [path, request, expected] =
      GENERATE(table<char const*, Line, std::vector<std::string>>({{"Say", line("ho"), {"ho"}},
                                                                   {"Collect", line("ho"), {"ho"}},
                                                                   {"Repeat", line("ho", 2), {"ho", "ho"}},
                                                                   {"Chat", line("ho"), {"ho"}}}));
  method const called = method::unnumbered(std::string("/millrace.talk.Talk/") + path);
  std::vector<std::string> got;
  with.run(
      [](generic_client& from, method const& to, Line what, std::vector<std::string>& into) -> asio::awaitable<void> {
        auto stream = from.async_stream(to, {.metadata = {{"forwarded", "yes"}}});
        grpc::Slice const bytes(what.SerializeAsString());
        co_await stream.async_write(grpc::ByteBuffer(&bytes, 1));
        CHECK_FALSE(stream.writes_done());
        while (auto one = co_await stream.async_read(asio::use_awaitable)) {
          Line back;
          CHECK(grpc::SerializationTraits<Line>::Deserialize(&*one, &back).ok());
          into.push_back(back.text());
        }
        auto const how = co_await stream.async_finish();
        CHECK(how.ok());
      }(raw, called, request, got));
  CHECK(got == expected);
  if (std::string(path) != "Say") CHECK(with.server.last_sent("forwarded") == "yes");
}

TEST_CASE("live: a server that stops reading pushes a writer back, and the idle timeout ends that", "[live][stream]") {
  fixture with;
  std::size_t accepted = 0;
  with.run([](client<Talk>& talk, std::size_t& bytes) -> asio::awaitable<void> {
    auto chat = talk.async_call<&Talk::Stub::PrepareAsyncChat>({}, {.write_idle_timeout = 300ms});
    Line first;
    first.set_hold(true);
    co_await chat.async_write(first);
    Line const next = line(std::string(64 * 1024, 'x'), -1);
    for (;;) {
      auto const [error] = co_await chat.async_write(next, tuple);
      if (error) break;
      bytes += next.text().size();
    }
    auto const how = co_await chat.async_finish();
    CHECK(how.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
    CHECK(how.error_message() == "stream_options.write_idle_timeout: no message was taken for 300ms");
  }(with.talk, accepted));
  INFO(accepted << " bytes were accepted");
  CHECK(accepted < 16u * 1024 * 1024);
}

TEST_CASE("live: the read idle timeout ends a stream that nobody answers", "[live][stream]") {
  fixture with;
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto chat = talk.async_call<&Talk::Stub::PrepareAsyncChat>({}, {.read_idle_timeout = 100ms});
    auto const none = co_await chat.async_read();
    CHECK_FALSE(none);
    auto const how = co_await chat.async_finish();
    CHECK(how.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
    CHECK(how.error_message() == "stream_options.read_idle_timeout: no message came for 100ms");
  }(with.talk));
}

TEST_CASE("live: a message that is too large ends the stream, whichever way it goes", "[live][stream]") {
  bool const sends = GENERATE(true, false);
  pool_params slots;
  (sends ? slots.max_request_bytes : slots.max_response_bytes) = 1000;
  fixture with({}, slots);
  with.run([](client<Talk>& talk, bool out) -> asio::awaitable<void> {
    auto chat = talk.async_call<&Talk::Stub::PrepareAsyncChat>();
    co_await chat.async_write(line(std::string(2000, 'x')), tuple);
    auto const none = co_await chat.async_read();
    CHECK_FALSE(none);
    auto const how = co_await chat.async_finish();
    CHECK(how.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
    CHECK(
        how.error_message().starts_with(out ? "Sent message larger than max (" : "Received message larger than max ("));
  }(with.talk, sends));
}

TEST_CASE("live: a drain waits for streams within its grace, and then ends them", "[live][stream]") {
  bool const in_time = GENERATE(true, false);
  fixture with;
  auto chat = with.talk.async_call<&Talk::Stub::PrepareAsyncChat>();
  std::optional<Line> got;
  chat.async_write(line("one"), [](error_code) {});
  chat.async_read([&](error_code, std::optional<Line> one) { got = std::move(one); });
  test::run_until(with.loop, "an echo", [&] { return got.has_value(); });
  std::optional<error_code> drained;
  with.pool.async_drain(in_time ? duration(30s) : duration(50ms), [&](error_code error) { drained = error; });
  std::optional<grpc::Status> end;
  auto const finish = [&] { chat.async_finish([&](grpc::Status how) { end = std::move(how); }); };
  if (in_time) {
    finish();
  } else {
    chat.async_read([&](error_code, std::optional<Line> none) {
      CHECK_FALSE(none);
      finish();
    });
  }
  test::run_until(with.loop, "the drain and the finish", [&] { return drained && end; });
  CHECK(end->error_code() == (in_time ? grpc::StatusCode::OK : grpc::StatusCode::UNAVAILABLE));
  CHECK(drained->failed() != in_time);
}

TEST_CASE("live: interceptors and the observer see a stream", "[live][stream]") {
  struct told final : interceptor, observer {
    using observer::on;
    void on(events::call_started const&) noexcept override { ++started; }
    void on(events::call_finished const& event) noexcept override { finished = event.code; }
    void on(events::attempt_finished const&) noexcept override { ++attempts; }
    hook_result on_send_message(call_context&, message const&) override {
      ++sent;
      return proceed;
    }
    hook_result on_initial_metadata(call_context&, metadata_view headers) override {
      by = headers.find("served-by").value_or("");
      return proceed;
    }
    hook_result on_recv_message(call_context&, message const&) override {
      ++received;
      return proceed;
    }
    int started = 0, attempts = 0, sent = 0, received = 0;
    std::string by;
    std::optional<status_code> finished;
  };
  auto const seen = std::make_shared<told>();
  chain hooks;
  hooks.add(seen);
  fixture with({.interceptors = hooks, .observer = seen.get()}, {});
  with.run([](client<Talk>& talk) -> asio::awaitable<void> {
    auto chat = talk.async_call<&Talk::Stub::PrepareAsyncChat>();
    for (int n = 0; n < 3; ++n) co_await chat.async_write(line("x"));
    CHECK_FALSE(chat.writes_done());
    while (co_await chat.async_read(asio::use_awaitable)) {
    }
    auto const how = co_await chat.async_finish();
    CHECK(how.ok());
  }(with.talk));
  CHECK(seen->started == 1);
  CHECK(seen->attempts == 1);
  CHECK(seen->sent == 3);
  CHECK(seen->received == 3);
  CHECK(seen->by == "talk");
  CHECK(seen->finished == status_code::ok);
}

TEST_CASE("trap T24: a server stream that fails before its headers is made again, and the server sees the count",
          "[live][stream][retry][T24]") {
  reluctant_server server(2);
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Talk> talk(pool, {.retry = {.max_attempts = 3, .initial_backoff = 1ms}});
  call_info info;
  std::optional<grpc::Status> end;
  std::string got;
  auto const run = [&]() -> asio::awaitable<void> {
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(line("ho", 3), {.timeout = 20s, .info = &info});
    while (auto one = co_await lines.async_read(asio::use_awaitable)) got += one->text();
    end = co_await lines.async_finish();
  };
  co_spawn(loop, run(), asio::detached);
  test::run_until(loop, "the end", [&] { return end.has_value(); });
  INFO(end->error_message());
  CHECK(end->ok());
  CHECK(got == "hohoho");
  CHECK(info.attempts == 3);
  CHECK(server.previous_attempts() == std::vector<std::string>{"", "1", "2"});
}

TEST_CASE("trap T42: a server stream that fails after its headers is not made again", "[live][stream][retry][T42]") {
  fixture with;
  call_info info;
  with.run([](client<Talk>& talk, call_info& into) -> asio::awaitable<void> {
    Line once = line("ho", 1);
    once.set_code(grpc::StatusCode::UNAVAILABLE);
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(once, {.timeout = 20s, .info = &into});
    auto const one = co_await lines.async_read();
    CHECK(one.has_value());
    auto const how = co_await lines.async_finish();
    CHECK(how.error_code() == grpc::StatusCode::UNAVAILABLE);
    CHECK(how.error_message() == "as requested");
  }(with.talk, info));
  CHECK(info.attempts == 1);
  CHECK(with.server.calls() == 1);
}

TEST_CASE("live: a stream that waits for ready gets its server when that comes", "[live][stream]") {
  int const port = test::talk_server().port();
  millrace::loop loop;
  millrace::pool pool{loop, {.target = "127.0.0.1:" + std::to_string(port)}};
  client<Talk> talk(pool);
  auto lines =
      talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(line("ho", 3), {.timeout = 20s, .wait_for_ready = true});
  std::optional<grpc::Status> end;
  std::string got;
  test::run_until(loop, "a refused dial", [&] { return !pool.why_not_ready().empty(); });
  test::talk_server const server(port);
  pool.reset_backoff();
  auto const run = [&]() -> asio::awaitable<void> {
    while (auto one = co_await lines.async_read(asio::use_awaitable)) got += one->text();
    end = co_await lines.async_finish();
  };
  co_spawn(loop, run(), asio::detached);
  test::run_until(loop, "the end", [&] { return end.has_value(); });
  CHECK(end->ok());
  CHECK(got == "hohoho");
}

TEST_CASE("live: a server stream that does not begin is overtaken by a hedge", "[live][stream][hedge]") {
  test::talk_server slow;
  test::talk_server fast;
  fast.let_go();
  millrace::loop loop;
  millrace::pool pool{loop, {.target = slow.address() + "," + fast.address(), .make_picker = test::first_of_all::make}};
  client<Talk> talk(pool, {.hedging = retry::hedging_policy{.delay = 10ms}, .idempotent = true});
  call_info info;
  std::optional<grpc::Status> end;
  std::string got;
  auto const run = [&]() -> asio::awaitable<void> {
    co_await pool.async_ready({.min_ready = 2}, asio::use_awaitable);
    Line held = line("ho", 3);
    held.set_hold(true);
    auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(held, {.timeout = 20s, .info = &info});
    while (auto one = co_await lines.async_read(asio::use_awaitable)) got += one->text();
    end = co_await lines.async_finish();
  };
  co_spawn(loop, run(), asio::detached);
  test::run_until(loop, "the end", [&] { return end.has_value(); });
  CHECK(end->ok());
  CHECK(got == "hohoho");
  CHECK(info.attempts == 2);
  CHECK(info.hedge_won);
  CHECK(info.endpoint == fast.address());
  CHECK(slow.calls() == 1);
  test::run_until(loop, "the loser's end", [&] { return pool.snapshot().in_flight == 0; });
}

TEST_CASE("live: stopping the loop ends its streams, and nothing stays", "[live][stream]") {
  fixture with;
  auto chat = with.talk.async_call<&Talk::Stub::PrepareAsyncChat>();
  std::optional<grpc::Status> end;
  chat.async_finish([&](grpc::Status how) { end = std::move(how); });
  Line first;
  CHECK_FALSE(end);
  auto held = with.talk.async_call<&Talk::Stub::PrepareAsyncChat>();
  bool told = false;
  held.async_read([&](error_code, std::optional<Line> none) {
    CHECK_FALSE(none);
    told = true;
  });
  with.loop.poll();
  CHECK(with.loop.stop().finished);
  CHECK(end.has_value());
  CHECK(told);
}

TEST_CASE("live: a loop that goes destroys the handlers of its streams uncalled", "[live][stream]") {
  test::talk_server server;
  bool called = false;
  auto const alive = std::make_shared<int>();
  {
    millrace::loop loop;
    millrace::pool pool{loop, {.target = server.address()}};
    client<Talk> talk(pool);
    co_spawn(
        loop,
        [](client<Talk>& with, bool& back, std::shared_ptr<int>) -> asio::awaitable<void> {
          auto chat = with.async_call<&Talk::Stub::PrepareAsyncChat>();
          co_await chat.async_read();
          back = true;
        }(talk, called, alive),
        asio::detached);
    test::run_until(loop, "the call", [&] { return server.calls() == 1; });
  }
  CHECK(alive.use_count() == 1);
}
