// SPDX-License-Identifier: Apache-2.0
// The three kinds of streams, against a server of its own. usage: streams
#include <millrace/call/client.hpp>

#include <support/talk_server.hpp>

#include <fmt/core.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <string>

using namespace std::chrono_literals;
namespace asio = boost::asio;
using millrace::talk::Line;
using millrace::talk::Talk;

namespace {

Line line(std::string text, int times = 0) {
  Line one;
  one.set_text(std::move(text));
  one.set_times(times);
  return one;
}

// [server_stream]
asio::awaitable<void> listen(millrace::client<Talk> talk) {
  auto lines = talk.async_call<&Talk::Stub::PrepareAsyncRepeat>(line("tick", 3));
  while (auto one = co_await lines.async_read(asio::use_awaitable)) fmt::print("heard: {}\n", one->text());
  grpc::Status const how = co_await lines.async_finish();
  fmt::print("listened: {}\n", how.ok() ? "OK" : how.error_message());
}
// [end]

// [client_stream]
asio::awaitable<void> tell(millrace::client<Talk> talk) {
  auto lines = talk.async_call<&Talk::Stub::PrepareAsyncCollect>(millrace::call_options{.timeout = 5s});
  for (char const* const word : {"a", "b", "c"}) co_await lines.async_write(line(word));
  auto const answer = co_await lines.async_finish();  // half-closes first
  fmt::print("told: {}\n", answer ? answer->text() : answer.error().error_message());
}
// [end]

// [bidi_stream]
using chat_stream = millrace::bidi_stream<Line, Line>;

asio::awaitable<void> say_all(chat_stream& chat) {
  for (int n = 0; n < 3; ++n) {
    auto const [error] = co_await chat.async_write(line(std::to_string(n)), asio::as_tuple(asio::use_awaitable));
    if (error) co_return;  // the reader hears how the stream ended
  }
  chat.writes_done();
}

asio::awaitable<void> hear_all(chat_stream& chat) {
  while (auto one = co_await chat.async_read(asio::use_awaitable)) fmt::print("chat: {}\n", one->text());
}

asio::awaitable<void> chat(millrace::client<Talk> talk) {
  using namespace asio::experimental::awaitable_operators;
  chat_stream with = talk.async_call<&Talk::Stub::PrepareAsyncChat>({}, {.read_idle_timeout = 30s});
  co_await (say_all(with) && hear_all(with));
  grpc::Status const how = co_await with.async_finish();
  fmt::print("chatted: {}\n", how.ok() ? "OK" : how.error_message());
}
// [end]

asio::awaitable<void> all(millrace::pool& pool) {
  millrace::client<Talk> const talk(pool);
  co_await listen(talk);
  co_await tell(talk);
  co_await chat(talk);
}

}  // namespace

int main() {
  millrace::test::talk_server server;
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address()}};
  co_spawn(loop, all(pool), asio::detached);
  loop.run();
}
