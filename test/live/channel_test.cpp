// SPDX-License-Identifier: Apache-2.0
// What the engine does on its channels in gRPC's place: message sizes, deadlines.
#include <millrace/call/client.hpp>
#include <millrace/metrics/observer.hpp>
#include <millrace/pool/fewer_pings.hpp>
#include <millrace/pool/grpc_channel.hpp>
#include <millrace/pool/method.hpp>

#include <support/call_once.hpp>
#include <support/catch.hpp>
#include <support/echo_server.hpp>
#include <support/http2_server.hpp>
#include <support/wait.hpp>

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <dlfcn.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using echo::Echo;
using echo::EchoReply;
using echo::EchoRequest;

namespace {

using test::saying;

// the reply's time_left_ms then takes three bytes each time
constexpr auto timeout = 100s;

rpc_result<EchoReply> say(millrace::loop& loop, client<Echo> const& echo, EchoRequest request,
                          call_options options = {}) {
  options.timeout = timeout;
  return test::call_once(loop, echo, request, std::move(options));
}
rpc_result<EchoReply> say(millrace::loop& loop, client<Echo> const& echo, std::string text) {
  return say(loop, echo, saying(std::move(text)));
}

/// The same through gRPC's own stub.
grpc::Status say(Echo::Stub& stub, std::string text, EchoReply& reply) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  return stub.Say(&context, saying(std::move(text)), &reply);
}

enum class way { request, response };
constexpr std::size_t limit = 1000;

pool_params limited(way which, pool_params params) {
  (which == way::request ? params.max_request_bytes : params.max_response_bytes) = limit;
  return params;
}

std::unique_ptr<Echo::Stub> limited_stub(way which, std::string const& address) {
  grpc::ChannelArguments args;
  which == way::request ? args.SetMaxSendMessageSize(limit) : args.SetMaxReceiveMessageSize(limit);
  return Echo::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), args));
}

/// What to say for a message of so many bytes, which begins with the text's tag and two bytes of length.
std::string text_for(way which, std::size_t bytes) {
  std::size_t const time_left = which == way::response ? 4 : 0;
  return std::string(bytes - 3 - time_left, 'x');
}

// what gRPC was asked: to connect, and to watch
std::atomic<int> connects = 0;
std::atomic<int> watches = 0;

}  // namespace

// over gRPC's own, which libgrpc++ would call
extern "C" grpc_connectivity_state grpc_channel_check_connectivity_state(::grpc_channel* of, int try_to_connect) {
  static auto const next = reinterpret_cast<decltype(&grpc_channel_check_connectivity_state)>(
      dlsym(RTLD_NEXT, "grpc_channel_check_connectivity_state"));
  if (try_to_connect != 0) ++connects;
  return next(of, try_to_connect);
}
extern "C" void grpc_channel_watch_connectivity_state(::grpc_channel* of, grpc_connectivity_state last,
                                                      gpr_timespec until, grpc_completion_queue* queue, void* tag) {
  static auto const next = reinterpret_cast<decltype(&grpc_channel_watch_connectivity_state)>(
      dlsym(RTLD_NEXT, "grpc_channel_watch_connectivity_state"));
  ++watches;
  next(of, last, until, queue, tag);
}

TEST_CASE("trap T8, trap T27: calls on a ready pool neither watch its channels nor ask them to connect",
          "[live][channel][T8][T27]") {
  test::echo_server server;
  bool const minimal = GENERATE(true, false);
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1, .minimal_stack = minimal}};
  int const connects_before = connects, watches_before = watches;
  REQUIRE(say(loop, pool, "x").has_value());
  int const connects_when_ready = connects, watches_when_ready = watches;
  CHECK(connects_when_ready > connects_before);
  CHECK(watches_when_ready > watches_before);
  client<Echo> echo(pool);
  int answered = 0;
  for (int call = 0; call < 1000; ++call) {
    echo.async_call<&Echo::Stub::PrepareAsyncSay>(saying("x"), {.timeout = timeout},
                                                  [&](auto const& reply) { answered += reply.has_value(); });
  }
  loop.run();
  CHECK(answered == 1000);
  CHECK(connects == connects_when_ready);
  CHECK(watches == watches_when_ready);
}

TEST_CASE("live: a message over the limit ends its call as gRPC would, and one at it does not, whichever way it goes",
          "[live][size]") {
  test::echo_server server;
  auto const way = GENERATE(way::request, way::response);
  bool const minimal = GENERATE(true, false);
  CAPTURE(way == way::request, minimal);
  millrace::loop loop;
  millrace::pool pool{loop, limited(way, {.target = server.address(), .minimal_stack = minimal})};
  auto const stub = limited_stub(way, server.address());
  for (std::size_t const bytes : {limit, limit + 1}) {
    std::string const text = text_for(way, bytes);
    int const before = server.calls();
    call_info info;
    auto const reply = say(loop, pool, saying(text), {.info = &info});
    CHECK(info.attempts == 1);
    int const calls = server.calls() - before;
    EchoReply expected;
    auto const as_grpc = say(*stub, text, expected);
    CHECK(as_grpc.ok() == (bytes == limit));
    CHECK(calls == (way == way::request && bytes > limit ? 0 : 1));
    if (reply) {
      CHECK(as_grpc.ok());
      CHECK((way == way::response ? reply->ByteSizeLong() : saying(text).ByteSizeLong()) == limit);
    } else {
      CHECK(reply.error().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
      CHECK(reply.error().error_code() == as_grpc.error_code());
      CHECK(reply.error().error_message() == as_grpc.error_message());
    }
  }
}

TEST_CASE("trap T38: a message over this side's limit is no failure of the server's to pickers, limits and health",
          "[live][size][T38]") {
  struct told_picker {
    std::vector<status_code>* told;
    balance::any_picker inner = balance::make_picker("round_robin", 1);

    void rebuild(std::span<balance::candidate const> ready) { inner.rebuild(ready); }
    std::optional<std::size_t> pick(balance::pick_info const& info) noexcept { return inner.pick(info); }
    void on_done(balance::done_info const& done) noexcept { told->push_back(done.code); }
  };
  test::echo_server server;
  auto const way = GENERATE(way::request, way::response);
  bool const streams = GENERATE(false, true);
  CAPTURE(way == way::request, streams);
  std::vector<status_code> told;
  pool_params params{.target = server.address(), .minimal_stack = true};
  params.make_picker = [&] { return balance::any_picker{"told", told_picker{&told}}; };
  millrace::loop loop;
  millrace::pool pool{loop, limited(way, std::move(params))};
  retry::retry_policy const again{.retryable = {status_code::resource_exhausted}};
  call_info info;
  call_options const options{.timeout = 10s, .retry = &again, .info = &info};
  grpc::Status how;
  if (streams) {
    generic_client any(pool);
    auto const called = method::unnumbered("/millrace.echo.Echo/Say");
    auto stream = any.async_stream(called, options);
    grpc::Slice const bytes(saying(std::string(limit, 'x')).SerializeAsString());
    stream.async_write(grpc::ByteBuffer(&bytes, 1), [](error_code) {});
    stream.writes_done();
    stream.async_read([](error_code, std::optional<grpc::ByteBuffer>) {});
    stream.async_finish([&](grpc::Status end) { how = end; });
    loop.run();
  } else {
    how = say(loop, pool, saying(std::string(limit, 'x')), options).error();
  }
  CHECK(how.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(info.attempts == 1);  // the next would end the same way
  CHECK(told == std::vector<status_code>{status_code::cancelled});
}

TEST_CASE("live: channelz does not list a pool's channels unless their arguments ask for it", "[live][channel]") {
  auto const listed = [](std::string const& address) {
    char* const text = grpc_channelz_get_top_channels(0);
    bool const found = std::string(text).find(address) != std::string::npos;
    gpr_free(text);
    return found;
  };
  test::echo_server server;
  millrace::loop loop;
  {
    millrace::pool pool{loop, {.target = server.address()}};
    CHECK(say(loop, pool, "x").has_value());
    CHECK_FALSE(listed(server.address()));
  }
  auto const args = std::make_shared<grpc::ChannelArguments>();
  args->SetInt(GRPC_ARG_ENABLE_CHANNELZ, 1);
  millrace::pool pool{loop, {.target = server.address(), .channel_args = args}};
  CHECK(say(loop, pool, "x").has_value());
  CHECK(listed(server.address()));
}

TEST_CASE("live: the default limit of a response is gRPC's 4 MiB", "[live][size][T38]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  CHECK(say(loop, pool, std::string(4'000'000, 'x')).has_value());
}

TEST_CASE("live: a numbered method is registered with gRPC on each slot, and one without a number never",
          "[live][channel]") {
  millrace::loop loop;
  pool_params const params{.target = "127.0.0.1:1"};
  grpc_channel_factory factory(loop, params);
  auto* const first = static_cast<millrace::grpc_channel*>(factory.open({.address = "127.0.0.1:1"}, {}));
  auto* const second = static_cast<millrace::grpc_channel*>(factory.open({.address = "127.0.0.1:1"}, {}));
  method const& one = method::numbered("/millrace.echo.Echo/Say");
  method const& other = method::numbered("/millrace.echo.Echo/None");
  void* const handle = first->registered(one);
  CHECK(handle != nullptr);
  CHECK(first->registered(other) != handle);
  CHECK(first->registered(one) == handle);
  CHECK(second->registered(one) != handle);
  CHECK(first->registered(method::unnumbered("/millrace.echo.Echo/Say")) == nullptr);
  channel::drop_user(first);
  channel::drop_user(second);
}

TEST_CASE("live: a call has the metadata that it was given, and none besides", "[live][channel]") {
  test::echo_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  client<Echo> const echo(pool, {.retry = {.max_attempts = 2, .initial_backoff = 1ms}});
  auto const keys = [&](call_options options, EchoRequest request = saying("x")) {
    CHECK(say(loop, echo, std::move(request), std::move(options)).has_value());
    return server.last_keys();
  };
  EchoReply ignored;
  CHECK(say(*limited_stub(way::response, server.address()), "x", ignored).ok());
  std::set<std::string> const always = server.last_keys();
  std::set<std::string> more = always;
  CHECK(keys({}) == always);
  metadata_pairs const mine{{"x-mine", "1"}};
  more.insert("x-mine");
  CHECK(keys({.metadata = mine}) == more);
  EchoRequest again = saying("x");
  again.set_code(grpc::StatusCode::UNAVAILABLE);
  again.set_ok_after_attempts(1);
  more.insert("grpc-previous-rpc-attempts");
  CHECK(keys({.metadata = mine}, again) == more);
}

namespace {

class closures final : public observer {
 public:
  std::vector<std::pair<duration, duration>> too_many_pings;  // keepalive times: its own, the next
  std::string replaced_why;

  using observer::on;
  void on(events::too_many_pings const& event) noexcept override {
    too_many_pings.emplace_back(event.keepalive_time, event.next_keepalive_time);
  }
  void on(events::slot_replaced const& event) noexcept override { replaced_why = event.why; }
};

}  // namespace

TEST_CASE("complaint 15: a connection on which calls are not answered is replaced, though it is not lost (14717)",
          "[live][channel]") {
  test::echo_server server;
  millrace::loop loop;
  closures seen;
  millrace::pool pool{loop,
                      {.target = server.address(),
                       .max_slots = 1,
                       .rotation = {.spread = 0s},
                       .responsiveness = {.calls = 3, .after = 100ms},
                       .observer = &seen}};
  client<Echo> echo(pool, {.retry = {.max_attempts = 1}});
  EchoRequest never;
  never.set_delay_ms(60'000);
  // the deadline is this side's: gRPC's minimal stack knows none
  for (int call = 0; call < 10 && seen.replaced_why.empty(); ++call) {
    CHECK(test::call_once(loop, echo, never, {.timeout = 50ms}).error().error_code() == grpc::DEADLINE_EXCEEDED);
  }
  CHECK(seen.replaced_why == "unresponsive");
}

TEST_CASE("complaint 16: a server that allows fewer pings closes the connection, which is told, and gets fewer (33661)",
          "[live][channel]") {
  test::echo_server server;  // one ping in 5 min is allowed, the third in between is too many
  millrace::loop loop;
  closures seen;
  auto const eager = std::make_shared<grpc::ChannelArguments>();
  eager->SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  pool_params params{.target = server.address(),
                     .max_slots = 1,
                     .rotation = {.spread = 0s},
                     .keepalive = {.time = 1s},
                     .channel_args = eager,
                     .observer = &seen};
  bool const by_argument = GENERATE(false, true);
  if (by_argument) {
    params.keepalive.time = 10min;
    eager->SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1'000);  // wins
  }
  millrace::pool pool{loop, params};
  client<Echo> const echo(pool, {.retry = {.max_attempts = 1}});
  EchoRequest slow;
  slow.set_delay_ms(20'000);
  auto const failed = test::call_once(loop, echo, slow, {.timeout = 30s});
  REQUIRE(failed.has_error());
  CHECK(failed.error().error_message() == "Too many pings");
  CHECK(failed.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(seen.too_many_pings == std::vector<std::pair<duration, duration>>{{1s, 2s}});
  // the slot's own channel is one that gRPC has slowed down; make another
  auto const ready_slot = [&]() -> std::optional<std::uint32_t> {
    auto const slots = pool.snapshot().slots;
    if (slots.size() != 1 || slots[0].state != slot_state::ready) return std::nullopt;
    return slots[0].number;
  };
  test::run_until(loop, "a connection", [&] { return ready_slot().has_value(); });
  auto const before = ready_slot();
  pool.rotate();
  test::run_until(loop, "another slot", [&] { return ready_slot().has_value() && ready_slot() != before; });
  CHECK(pool.snapshot().slots[0].connections == 1);
  CHECK(pool.snapshot().slots[0].keepalive_time == 2s);
  if (by_argument) return;
  slow.set_delay_ms(6'000);  // the fourth ping is the one too many: after 4 s as before, after 8 s now
  auto const answered = test::call_once(loop, echo, slow, {.timeout = 30s});
  INFO(test::why(answered));
  CHECK(answered.has_value());
}

TEST_CASE("complaint 16: of a GOAWAY for too many pings gRPC tells calls nothing, so nobody is told (33661)",
          "[live][channel]") {
  struct row {
    std::uint32_t last_stream;
    bool cut;
    std::string_view message;
  };
  auto const given = GENERATE(row{0, false, "GOAWAY received"},  // the call's stream was not processed
                              row{1, true, "Socket closed"});    // as servers in Go have it
  test::http2_server server([&](test::http2_server::exchange& on) {
    std::string payload;
    for (std::uint32_t const word : {given.last_stream, std::uint32_t{11}}) {
      for (int shift = 24; shift >= 0; shift -= 8) payload += static_cast<char>(word >> shift);
    }
    on.raw(test::http2_server::frame(7, 0, 0, payload + "too_many_pings"));
    if (given.cut) on.cut();
  });
  millrace::loop loop;
  closures seen;
  millrace::pool pool{loop, {.target = server.address(), .max_slots = 1, .observer = &seen}};
  auto const reply = say(loop, client<Echo>(pool, {.retry = {.max_attempts = 1}}), "x");
  // a later gRPC may say more: then it is noticed
  CHECK_THAT(test::why(reply), Catch::StartsWith(std::string(given.message)));
  CHECK(seen.too_many_pings.size() == (blames_pings(test::why(reply)) ? 1 : 0));
}

TEST_CASE("live: a peer that falls silent under a call is given up by keepalive, long before the deadline",
          "[live][channel][T30]") {
  std::promise<void> end;
  test::http2_server server(
      [over = end.get_future().share()](auto&) { over.wait(); });  // reads nothing more, no PING either
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .keepalive = {.time = 100ms, .timeout = 100ms}}};
  auto const reply = say(loop, client<Echo>(pool, {.retry = {.max_attempts = 1}}), "x");
  end.set_value();
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK_THAT(reply.error().error_message(), Catch::Contains("keepalive"));
}
