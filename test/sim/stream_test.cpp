// SPDX-License-Identifier: Apache-2.0
// Stories about streams.
#include "talker.hpp"

#include <millrace/sim/transport.hpp>

#include <support/first_of_all.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

using namespace millrace;
using namespace millrace::sim;

namespace {

/// An endpoint that takes its time: the dial and each message take a millisecond.
void slow(world& in) { in.net()["a"].stream_with({.messages = 5, .takes = 1ms}); }

}  // namespace

TEST_CASE("stream: each kind talks from end to end", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  slow(world);
  talker server(world, call_kind::server_stream, 0);
  talker client(world, call_kind::client_stream, 5);
  talker bidi(world, call_kind::bidi_stream, 5);
  server.start();
  client.start();
  bidi.start();
  world.run_until(1s);
  CHECK(server.got.size() == 5);
  CHECK(client.answer == "01234");
  CHECK(bidi.got == std::vector<std::string>{"0", "1", "2", "3", "4"});
  for (talker* const one : {&server, &client, &bidi}) {
    REQUIRE(one->end);
    CHECK(one->end->ok());
    CHECK(one->sound());
  }
  CHECK(world.pool().snapshot().in_flight == 0);
}

TEST_CASE("stream: cancelled at each moment of each kind, it ends once and nothing is left over",
          "[sim][stream][cancel]") {
  auto const kind = GENERATE(from_range(kinds));
  enum class means { cancel, drop, destroy_pool, drain, stop };
  auto const how = GENERATE(means::cancel, means::drop, means::destroy_pool, means::drain, means::stop);
  for (duration at = 0us; at < 10ms; at += 250us) {
    CAPTURE(static_cast<int>(kind), static_cast<int>(how), at.count());
    world world{{.pool = {.target = "a:1"}}};
    slow(world);
    talker one(world, kind, 5);
    one.start();
    world.at(at, [&] {
      switch (how) {
        case means::cancel: return one.cancel();
        case means::drop: return one.drop();
        case means::destroy_pool: return world.destroy_pool();
        case means::drain: world.drain(0s); return;
        case means::stop: world.stop(); return;
      }
    });
    world.run_until(1s);
    if (one.end && !one.end->ok()) {
      bool const own = how == means::cancel || how == means::drop;
      CHECK(one.end->code == (own ? status_code::cancelled : status_code::unavailable));
    }
    check_left_over(world, one);
  }
}

TEST_CASE("stream: cancelled from inside each of its handlers, it ends once", "[sim][stream][cancel]") {
  auto const kind = GENERATE(from_range(kinds));
  bool const drops = GENERATE(false, true);
  for (std::uint32_t at = 1; at < 13; ++at) {
    CAPTURE(static_cast<int>(kind), drops, at);
    world world{{.pool = {.target = "a:1"}}};
    slow(world);
    talker one(world, kind, 5);
    one.on_told = [&](std::uint32_t told) {
      if (told == at) drops ? one.drop() : one.cancel();
    };
    one.start();
    world.run_until(1s);
    check_left_over(world, one);
  }
}

TEST_CASE("stream: its deadline ends it wherever it stands", "[sim][stream]") {
  auto const kind = GENERATE(from_range(kinds));
  for (duration timeout = 250us; timeout < 10ms; timeout += 250us) {
    CAPTURE(static_cast<int>(kind), timeout.count());
    world world{{.pool = {.target = "a:1"}}};
    slow(world);
    talker one(world, kind, 5);
    one.start({.timeout = timeout});
    world.run_until(1s);
    REQUIRE(one.end);
    CHECK((one.end->ok() || one.end->code == status_code::deadline_exceeded));
    if (timeout < 4ms) CHECK_FALSE(one.end->ok());
    check_left_over(world, one);
  }
}

TEST_CASE("stream: the client's default timeout does not end it", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}, .client = {.default_timeout = 1s}}};
  world.net()["a"].stream_with({.messages = 5, .takes = 10s});
  talker one(world, call_kind::server_stream, 0);
  one.start();
  world.run_until(120s);
  REQUIRE(one.end);
  CHECK(one.end->ok());
  CHECK(one.got.size() == 5);
}

TEST_CASE("stream: one that is stuck in a write ends in time, and its slot has room when it is back",
          "[sim][stream][cancel]") {
  auto const kind = GENERATE(from_range(kinds));
  bool const cancels = GENERATE(false, true);
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.silent = true, .stuck = 5s});
  talker one(world, kind, 5);
  one.start({.timeout = cancels ? 60s : 1s});
  world.run_until(1s);
  if (cancels) one.cancel();
  world.run_until(1011ms);
  REQUIRE(one.end);
  CHECK(one.end->code == (cancels ? status_code::cancelled : status_code::deadline_exceeded));
  CHECK(one.sound());
  CHECK(world.pool().snapshot().in_flight == 1);
  if (GENERATE(false, true)) one.drop();  // what gRPC still holds stays until then
  world.run_until(7s);
  check_left_over(world, one);
}

TEST_CASE("stream: what the server said first is shown as long as there is a handle, stuck or not", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.stuck = 5s, .headers = {{"h", "x"}}});
  auto stream = world.client().async_bidi_stream(world::called(), {.timeout = 1s});
  std::optional<std::string> got;
  stream.async_write("one", [](error_code) {});
  stream.async_read([&](error_code, std::optional<std::string> text) { got = std::move(text); });
  world.run_until(500ms);
  REQUIRE(got == "one");
  metadata_view const shown = stream.initial_metadata();
  REQUIRE(shown.find("h") == "x");
  world.run_until(2s);
  CHECK(shown.find("h") == "x");
  world.run_until(10s);
  CHECK(shown.find("h") == "x");
  CHECK(stream.initial_metadata().find("h") == "x");
  CHECK(stream.peer() == "a:1");
  static_cast<void>(stream.trailing_metadata());
}

TEST_CASE("stream: one whose second attempt was stuck shows nothing when that is back", "[sim][stream][retry]") {
  world world{{.pool = {.target = "a:1"}, .client = {.retry = {.initial_backoff = 10ms}}}};
  world.net()["a"].stream_next({.code = status_code::unavailable, .trailers_only = true});
  world.net()["a"].stream_with({.silent = true, .stuck = 5s});
  talker one(world, call_kind::server_stream, 0);
  one.start({.timeout = 1s});
  world.run_until(10s);
  REQUIRE(one.end);
  CHECK(one.end->code == status_code::deadline_exceeded);
  CHECK(one.as<server_stream>().trailing_metadata().size() == 0);
  CHECK(one.as<server_stream>().initial_metadata().size() == 0);
  check_left_over(world, one);
}

TEST_CASE("stream: default_stream_timeout ends one that sets no time of its own", "[sim][stream]") {
  auto const kind = GENERATE(from_range(kinds));
  world world{{.pool = {.target = "a:1"}, .client = {.default_timeout = 1s, .default_stream_timeout = 3s}}};
  world.net()["a"].stream_with({.silent = true});
  talker plain(world, kind, 5);
  talker own(world, kind, 5);
  plain.start();
  own.start({.timeout = 5s});
  world.run_until(2999ms);
  CHECK_FALSE(plain.end);
  world.run_until(4999ms);
  REQUIRE(plain.end);
  CHECK(plain.end->code == status_code::deadline_exceeded);
  CHECK_FALSE(own.end);
  world.run_until(6s);
  REQUIRE(own.end);
  CHECK(own.end->code == status_code::deadline_exceeded);
}

TEST_CASE("stream: a default_stream_timeout below 0 is refused by name", "[sim][stream]") {
  CHECK_THROWS_WITH((world{{.pool = {.target = "a:1"}, .client = {.default_stream_timeout = -1ns}}}),
                    "client_params.default_stream_timeout: -1 ns is not allowed; it must be at least 0");
}

TEST_CASE("complaint 38: a read that waits too long ends the stream, and says which timeout it was", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.messages = 3, .takes = 2s});
  talker patient(world, call_kind::server_stream, 0);
  talker hasty(world, call_kind::server_stream, 0);
  patient.start({}, {.read_idle_timeout = 3s});
  hasty.start({}, {.read_idle_timeout = 1500ms});
  world.run_until(20s);
  REQUIRE(patient.end);
  CHECK(patient.end->ok());
  REQUIRE(hasty.end);
  CHECK(hasty.end->code == status_code::deadline_exceeded);
  CHECK(hasty.end->message == "stream_options.read_idle_timeout: no message came for 1500ms");
}

TEST_CASE("complaint 38: a write that waits too long ends the stream, and says which timeout it was", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.takes_messages = 2});
  talker one(world, call_kind::client_stream, 10);
  one.start({}, {.write_idle_timeout = 2s, .write_watermark = 0});
  world.run_until(20s);
  REQUIRE(one.end);
  CHECK(one.accepted == 2);
  CHECK(one.write_error == make_error_code(errc::stream_ended));
  CHECK(one.end->code == status_code::deadline_exceeded);
  CHECK(one.end->message == "stream_options.write_idle_timeout: no message was taken for 2s");
}

TEST_CASE("complaint 38: an idle timeout counts the wait for a slot", "[sim][stream]") {
  world world{{.pool = {.target = "a:1", .max_slots = 1, .max_calls_per_slot = 1}}};
  world.net()["a"].stream_with({.silent = true});
  talker first(world, call_kind::bidi_stream, 1);
  talker waits(world, call_kind::bidi_stream, 1);
  first.start({.timeout = 10s});
  waits.start({}, {.read_idle_timeout = 1s});
  world.run_until(5s);
  REQUIRE(waits.end);
  CHECK(waits.end->code == status_code::deadline_exceeded);
  world.run_until(20s);
  CHECK(world.pool().snapshot().in_flight == 0);
}

TEST_CASE("complaint 29: a second write or read is an error code, and the first goes on", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.takes = 10ms});
  auto chat = world.client().async_bidi_stream(world::called(), {}, {.write_watermark = 0});
  std::vector<error_code> writes;
  std::vector<std::string> got;
  std::vector<error_code> reads;
  auto const wrote = [&](error_code error) { writes.push_back(error); };
  auto const read = [&](error_code error, std::optional<std::string> text) {
    if (text) got.push_back(*text);
    reads.push_back(error);
  };
  chat.async_write("a", wrote);
  chat.async_write("b", wrote);  // trap T19: the first has not been answered
  chat.async_read(read);
  chat.async_read(read);
  world.run_until(1s);
  CHECK(writes == std::vector<error_code>{errc::operation_in_progress, error_code{}});
  CHECK(reads == std::vector<error_code>{errc::operation_in_progress, error_code{}});
  CHECK(got == std::vector<std::string>{"a"});
}

TEST_CASE("complaint 29: operations in any wrong order are error codes", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  auto chat = world.client().async_bidi_stream(world::called());
  std::vector<error_code> told;
  auto const wrote = [&](error_code error) { told.push_back(error); };
  CHECK_FALSE(chat.writes_done());
  CHECK(chat.writes_done() == errc::half_closed);
  chat.async_write("late", wrote);
  std::vector<status> ends;
  chat.async_finish([&](status how) { ends.push_back(std::move(how)); });
  chat.async_finish([&](status how) { ends.push_back(std::move(how)); });
  chat.async_read([&](error_code error, std::optional<std::string>) { told.push_back(error); });
  world.run_until(1s);
  CHECK(told == std::vector<error_code>{errc::half_closed, errc::finishing});
  REQUIRE(ends.size() == 2);
  CHECK(ends[0].code == status_code::failed_precondition);
  CHECK(ends[1].ok());
  auto moved = std::move(chat);
  chat.cancel();  // NOLINT(bugprone-use-after-move): that is the test
  CHECK(chat.writes_done() == errc::stream_ended);
  chat.async_write("gone", wrote);
  world.run_until(2s);
  CHECK(told.back() == errc::stream_ended);
  CHECK(chat.peer().empty());
}

TEST_CASE("trap T32: metadata is empty before it arrived, and there afterwards", "[sim][stream][T32]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.messages = 1, .takes = 10ms, .headers = {{"h", "1"}}, .trailers = {{"t", "2"}}});
  auto stream = world.client().async_server_stream(world::called(), "please");
  auto const check_none = [&] {
    CHECK(stream.initial_metadata().empty());
    CHECK(stream.trailing_metadata().empty());
  };
  check_none();
  world.at(500us, check_none);
  world.at(5ms, [&] {
    CHECK(stream.initial_metadata().find("h") == "1");
    CHECK(stream.trailing_metadata().empty());
    CHECK(stream.peer() == "a:1");
  });
  bool ended = false;
  stream.async_read([](error_code, std::optional<std::string>) {});
  world.at(1s, [&] { stream.async_finish([&](status) { ended = true; }); });
  world.run_until(2s);
  CHECK(ended);
  CHECK(stream.initial_metadata().find("h") == "1");
  CHECK(stream.trailing_metadata().find("t") == "2");
}

TEST_CASE("stream: a server stream is retried until its headers, any other only if it never left",
          "[sim][stream][retry]") {
  recorder seen;
  world world{{.pool = {.target = "a:1", .observer = &seen}}};
  world.run_until(100ms);
  SECTION("a server stream") {
    world.net()["a"].stream_with({.messages = 2});
    world.net()["a"].stream_next({.code = status_code::unavailable, .message = "busy", .trailers_only = true});
    talker one(world, call_kind::server_stream, 0);
    one.start();
    world.run_until(10s);
    REQUIRE(one.end);
    CHECK(one.end->ok());
    CHECK(one.got.size() == 2);
    CHECK(seen.attempts.size() == 2);
  }
  SECTION("not after its headers") {
    world.net()["a"].stream_next({.messages = 1, .code = status_code::unavailable, .message = "busy"});
    talker one(world, call_kind::server_stream, 0);
    one.start();
    world.run_until(10s);
    CHECK(one.end->code == status_code::unavailable);
    CHECK(seen.attempts.size() == 1);
    CHECK(seen.denied(retry_denial::committed));
  }
  SECTION("a bidi stream that has sent nothing and never left") {
    world.net()["a"].stream_next({.code = status_code::unavailable, .never_left = true});
    auto chat = world.client().async_bidi_stream(world::called());
    std::optional<std::string> got;
    chat.async_read([&](error_code, std::optional<std::string> text) { got = std::move(text); });
    world.after(1s, [&] { chat.async_write("late", [](error_code) {}); });
    world.run_until(10s);
    CHECK(got == "late");
    CHECK(seen.attempts.size() == 2);
  }
  SECTION("but not once a message was given away, or when it may have left") {
    bool const writes = GENERATE(false, true);
    world.net()["a"].stream_next({.code = status_code::unavailable, .trailers_only = !writes, .never_left = writes});
    talker one(world, call_kind::bidi_stream, writes ? 1 : 0);
    auto chat = world.client().async_bidi_stream(world::called());
    std::optional<status> end;
    if (writes) chat.async_write("lost", [](error_code) {});
    chat.async_read([&](error_code, std::optional<std::string> none) {
      CHECK_FALSE(none);
      chat.async_finish([&](status how) { end = std::move(how); });
    });
    world.run_until(10s);
    REQUIRE(end);
    CHECK(end->code == status_code::unavailable);
    CHECK(seen.attempts.size() == 1);
  }
}

TEST_CASE("stream: one whose handle has gone touches nothing that its caller had", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  call_info info;
  talker one(world, call_kind::bidi_stream, 3);
  world.net()["a"].stream_with({.silent = true});
  one.start({.timeout = 1s, .info = &info});
  world.after(10ms, [&] {
    one.drop();
    info.attempts = 77;
  });
  world.run_for(5s);
  CHECK(info.attempts == 77);
}

TEST_CASE("stream: a server that ends early ends the writes, and the finish tells how", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.takes = 1ms, .ends_after = 3, .code = status_code::aborted, .message = "enough"});
  auto const kind = GENERATE(call_kind::client_stream, call_kind::bidi_stream);
  talker one(world, kind, 100);
  one.start({}, {.write_watermark = 0});
  world.run_until(1s);
  CHECK(one.write_error == make_error_code(errc::stream_ended));
  REQUIRE(one.end);
  CHECK(one.end->code == status_code::aborted);
  CHECK(one.end->message == "enough");
  if (kind == call_kind::bidi_stream) CHECK(one.got.size() == 3);
}

TEST_CASE("stream: a writer is told of the end even while messages are unread", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.takes = 1ms, .ends_after = 3});
  talker one(world, call_kind::bidi_stream, 100);
  one.most_reads = 0;
  one.start({}, {.write_watermark = 0});
  world.run_until(1s);
  CHECK(one.write_error == make_error_code(errc::stream_ended));
  std::optional<status> end;
  one.as<bidi_stream>().async_finish([&](status how) { end = std::move(how); });
  world.run_until(2s);
  REQUIRE(end);
  CHECK(end->ok());
}

TEST_CASE("stream: a write that the server does not take pushes back", "[sim][stream]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.takes_messages = 2});
  talker one(world, call_kind::bidi_stream, 1000);
  one.start({.timeout = 5s}, {.write_watermark = 10});
  world.run_until(4s);
  CHECK(one.accepted > 2);
  CHECK(one.accepted <= 2 + 10 + 1);
  world.run_until(10s);
  CHECK(one.write_error == make_error_code(errc::stream_ended));
}

TEST_CASE("stream: a drain waits for streams within its grace, and then ends them", "[sim][stream][drain]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.messages = 5, .takes = 1s});
  talker one(world, call_kind::server_stream, 0);
  one.start();
  bool const enough = GENERATE(true, false);
  world.run_until(500ms);
  auto const& drained = world.drain(enough ? 10s : 2s);
  world.run_until(30s);
  REQUIRE(drained);
  REQUIRE(one.end);
  CHECK(one.end->ok() == enough);
  CHECK(drained->failed() != enough);
  if (!enough) {
    CHECK(one.end->code == status_code::unavailable);
    CHECK(contains(one.end->message, "the pool was closed, or the endpoint taken out"));
  }
}

TEST_CASE("stream: a drain of its endpoint ends it too", "[sim][stream][drain]") {
  world world{{.pool = {.target = "a:1,b:1", .balance = "pick_first"}}};
  world.net()["a"].stream_with({.silent = true});
  world.net()["b"].stream_with({.silent = true});
  talker one(world, call_kind::bidi_stream, 1);
  one.start();
  world.run_until(1s);
  std::string const to = world.net()["a"].in_flight() == 1 ? "a:1" : "b:1";
  world.pool().async_drain_endpoint(to, 2s, [](error_code) {});
  world.run_until(2900ms);
  CHECK_FALSE(one.end);
  world.run_until(5s);
  REQUIRE(one.end);
  CHECK(one.end->code == status_code::unavailable);
}

TEST_CASE("stream: the permit goes back with the stream's status", "[sim][stream]") {
  world world{{.pool = {.target = "a:1", .max_slots = 1, .max_calls_per_slot = 1}}};
  world.net()["a"].stream_with({.messages = 3, .takes = 1s});
  talker first(world, call_kind::server_stream, 0);
  talker second(world, call_kind::server_stream, 0);
  first.start();
  second.start();
  world.run_until(1500ms);
  CHECK(world.pool().snapshot().in_flight == 1);
  CHECK(world.pool().snapshot().waiting == 1);
  world.run_until(20s);
  CHECK(first.end->ok());
  CHECK(second.end->ok());
}

TEST_CASE("stream: each message passes the hooks, once, in order", "[sim][stream][intercept]") {
  struct watcher final : interceptor {
    std::string seen;
    hook_result on_start(call_context&) override { return note("start "); }
    hook_result on_send_message(call_context&, message const& one) override {
      return note(">" + one.to_string() + " ");
    }
    hook_result on_initial_metadata(call_context&, metadata_view) override { return note("headers "); }
    hook_result on_recv_message(call_context&, message const& one) override {
      return note("<" + one.to_string() + " ");
    }
    hook_result on_done(call_context&, status const&) override { return note("done"); }
    hook_result note(std::string what) {
      seen += what;
      return proceed;
    }
  };
  auto const watch = std::make_shared<watcher>();
  world world{{.pool = {.target = "a:1"}, .interceptors = list(watch)}};
  slow(world);
  auto const kind = GENERATE(from_range(kinds));
  talker one(world, kind, 2);
  one.start({}, {.write_watermark = 0});
  world.run_until(1s);
  CHECK(one.end->ok());
  switch (kind) {
    case call_kind::bidi_stream: CHECK(watch->seen == "start >0 headers <0 >1 <1 done"); break;
    case call_kind::client_stream: CHECK(watch->seen == "start >0 headers >1 <01 done"); break;
    case call_kind::server_stream:
      CHECK(watch->seen == "start >please headers <a:1: 0 <a:1: 1 <a:1: 2 <a:1: 3 <a:1: 4 done");
      break;
    case call_kind::unary: break;
  }
}

TEST_CASE("stream: what a hook holds makes what is behind it wait, and none is lost", "[sim][stream][intercept]") {
  auto const where = GENERATE(hook::start, hook::send_message, hook::initial_metadata, hook::recv_message, hook::done);
  auto const kind = GENERATE(from_range(kinds));
  CAPTURE(static_cast<int>(where), static_cast<int>(kind));
  auto const holds = std::make_shared<holder>(where);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  slow(world);
  talker one(world, kind, 5);
  one.start();
  world.run_until(1s);
  CHECK_FALSE(one.end);
  CHECK(holds->held.size() == 1);
  for (std::size_t next = 0; !one.end && next < 20; ++next) {
    world.after(0s, [&] { holds->held.at(next).proceed(); });
    world.run_for(1s);
  }
  REQUIRE(one.end);
  CHECK(one.end->ok());
  CHECK(one.got.size() == (kind == call_kind::client_stream ? 0u : 5u));
  CHECK(one.sound());
}

TEST_CASE("stream: a hook that holds a message does not outlast the stream's end", "[sim][stream][intercept]") {
  auto const where = GENERATE(hook::start, hook::send_message, hook::initial_metadata, hook::recv_message, hook::done);
  auto const kind = GENERATE(from_range(kinds));
  CAPTURE(static_cast<int>(where), static_cast<int>(kind));
  auto const holds = std::make_shared<holder>(where);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(holds)}};
  slow(world);
  talker one(world, kind, 5);
  one.start({.timeout = 1s});
  world.run_until(2s);
  REQUIRE(one.end);
  if (where != hook::done) CHECK(one.end->code == status_code::deadline_exceeded);
  holds->held.clear();
  world.run_for(1s);
  CHECK(one.sound());
}

TEST_CASE("stream: a hook's finish ends the stream with its status", "[sim][stream][intercept]") {
  struct refuser final : interceptor {
    hook where = hook::start;
    hook_result answer(hook at) { return at == where ? finish(status_code::permission_denied, "no") : proceed; }
    hook_result on_start(call_context&) override { return answer(hook::start); }
    hook_result on_send_message(call_context&, message const&) override { return answer(hook::send_message); }
    hook_result on_initial_metadata(call_context&, metadata_view) override { return answer(hook::initial_metadata); }
    hook_result on_recv_message(call_context&, message const&) override { return answer(hook::recv_message); }
    hook_result on_done(call_context&, status const&) override { return answer(hook::done); }
  };
  auto const refuses = std::make_shared<refuser>();
  refuses->where = GENERATE(hook::start, hook::send_message, hook::initial_metadata, hook::recv_message, hook::done);
  auto const kind = GENERATE(from_range(kinds));
  CAPTURE(static_cast<int>(refuses->where), static_cast<int>(kind));
  world world{{.pool = {.target = "a:1"}, .interceptors = list(refuses)}};
  slow(world);
  talker one(world, kind, 5);
  call_info info;
  one.start({.info = &info});
  world.run_until(1s);
  REQUIRE(one.end);
  CHECK(one.end->code == status_code::permission_denied);
  if (refuses->where != hook::done) CHECK(info.origin == call_end::intercepted);
  check_left_over(world, one);
}

TEST_CASE("stream: a cancelled wait for a message loses none", "[sim][stream][cancel]") {
  world world{{.pool = {.target = "a:1"}}};
  world.net()["a"].stream_with({.messages = 2, .takes = 1s});
  auto stream = world.client().async_server_stream(world::called(), "please");
  boost::asio::cancellation_signal signal;
  std::vector<error_code> errors;
  std::vector<std::string> got;
  auto const read = [&](error_code error, std::optional<std::string> text) {
    errors.push_back(error);
    if (text) got.push_back(*text);
  };
  stream.async_read(boost::asio::bind_cancellation_slot(signal.slot(), read));
  world.at(500ms, [&] { signal.emit(cancellation_type::total); });
  world.run_until(5s);
  CHECK(errors == std::vector<error_code>{errc::cancelled});
  stream.async_read(read);
  world.run_until(6s);
  stream.async_read(read);
  world.run_until(7s);
  CHECK(got == std::vector<std::string>{"a:1: 0", "a:1: 1"});
}

TEST_CASE("stream: a method's limits hold for each message, both ways", "[sim][stream]") {
  auto table = std::make_shared<method_table>();
  bool const sends = GENERATE(true, false);
  method_config limits;
  (sends ? limits.max_request_bytes : limits.max_response_bytes) = 1;
  table->add("", "", limits);
  world world{{.pool = {.target = "a:1"}, .client = {.methods = table}}};
  auto chat = world.client().async_bidi_stream(world::called());
  std::optional<status> end;
  chat.async_write("ab", [&](error_code error) { CHECK(error.failed() == sends); });
  chat.async_read([&](error_code, std::optional<std::string> none) {
    CHECK_FALSE(none);
    chat.async_finish([&](status how) { end = std::move(how); });
  });
  world.run_until(1s);
  REQUIRE(end);
  CHECK(end->code == status_code::resource_exhausted);
  CHECK(end->message == std::string(sends ? "Sent" : "Received") + " message larger than max (2 vs. 1)");
}

TEST_CASE("stream: a hook may cancel its own stream, or destroy the handle, from inside", "[sim][stream][intercept]") {
  struct canceller final : interceptor {
    hook where = hook::start;
    bool drops = false;
    talker* of = nullptr;
    hook_result answer(hook at) {
      if (at == where) drops ? of->drop() : of->cancel();
      return proceed;
    }
    hook_result on_start(call_context&) override { return answer(hook::start); }
    hook_result on_send_message(call_context&, message const&) override { return answer(hook::send_message); }
    hook_result on_initial_metadata(call_context&, metadata_view) override { return answer(hook::initial_metadata); }
    hook_result on_recv_message(call_context&, message const&) override { return answer(hook::recv_message); }
    hook_result on_done(call_context&, status const&) override { return answer(hook::done); }
  };
  auto const cancels = std::make_shared<canceller>();
  cancels->where = GENERATE(hook::start, hook::send_message, hook::initial_metadata, hook::recv_message, hook::done);
  cancels->drops = GENERATE(false, true);
  auto const kind = GENERATE(from_range(kinds));
  CAPTURE(static_cast<int>(cancels->where), cancels->drops, static_cast<int>(kind));
  world world{{.pool = {.target = "a:1"}, .interceptors = list(cancels)}};
  slow(world);
  talker one(world, kind, 5);
  cancels->of = &one;
  one.start();
  world.run_until(1s);
  if (!cancels->drops) {
    REQUIRE(one.end);
    bool const late = cancels->where == hook::recv_message || cancels->where == hook::done;
    CHECK((one.end->code == status_code::cancelled || (late && one.end->ok())));
  }
  check_left_over(world, one);
}

TEST_CASE("stream: a hook may cancel its stream while it waits for a slot", "[sim][stream][intercept]") {
  struct canceller final : interceptor {
    bidi_stream* of = nullptr;
    bool holds = false;
    held_call held;
    int done = 0;
    hook_result on_send_message(call_context& context, message const&) override {
      of->cancel();
      if (!holds) return proceed;
      held = context.hold_call();
      return hold;
    }
    hook_result on_done(call_context&, status const&) override {
      ++done;
      return proceed;
    }
  };
  auto const cancels = std::make_shared<canceller>();
  cancels->holds = GENERATE(false, true);
  world world{{.pool = {.target = "a:1"}, .interceptors = list(cancels)}};
  world.net()["a"].dial_takes(1s);
  auto chat = world.client().async_bidi_stream(world::called());
  cancels->of = &chat;
  std::optional<error_code> written;
  std::optional<status> end;
  world.at(100ms, [&] { chat.async_write("x", [&](error_code error) { written = error; }); });
  world.at(200ms, [&] { chat.async_finish([&](status how) { end = std::move(how); }); });
  world.run_until(500ms);
  CHECK(written == make_error_code(errc::cancelled));
  REQUIRE(end);
  CHECK(end->code == status_code::cancelled);
  CHECK(cancels->done == 1);
  cancels->held = {};
  world.run_until(2s);
}
