// SPDX-License-Identifier: Apache-2.0
#include <canned/connection.hpp>

#include <support/catch.hpp>

#include <string>
#include <vector>

using namespace millrace::canned;
using namespace std::string_literals;

namespace {

std::string const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string frame(frame_type type, unsigned flags, std::uint32_t stream, std::string const& payload = {}) {
  std::string bytes;
  append_frame(bytes, type, static_cast<std::uint8_t>(flags), stream, payload);
  return bytes;
}

std::string u32(std::uint32_t value) {
  std::string bytes(4, '\0');
  write_u32(bytes.data(), value);
  return bytes;
}

// a request's message of so many bytes, with its prefix
std::string message(std::size_t bytes) {
  return '\0' + u32(static_cast<std::uint32_t>(bytes)) + std::string(bytes, 'x');
}

struct sent {
  frame_header head;
  std::string payload;
};

std::vector<sent> parsed(std::string const& out) {
  std::vector<sent> frames;
  for (std::size_t at = 0; at < out.size();) {
    REQUIRE(out.size() - at >= frame_header_size);
    auto const head = frame_header::read(out.data() + at);
    frames.push_back({head, out.substr(at + frame_header_size, head.length)});
    at += frame_header_size + head.length;
  }
  return frames;
}

// a connection whose greeting is over
struct greeted {
  greeted() {
    std::string const hello = preface + frame(frame_type::settings, 0, 0);
    REQUIRE(http.receive(hello, out) == hello.size());
    out.clear();
  }

  std::vector<sent> receive(std::string const& bytes) {
    out.clear();
    CHECK(http.receive(bytes, out) == bytes.size());
    return parsed(out);
  }

  connection http{std::nullopt};
  std::string out;
};

void check_answer(std::vector<sent> const& frames, std::uint32_t stream, std::size_t bytes) {
  REQUIRE(frames.size() == 3);
  CHECK(frames[0].head.type == frame_type::headers);
  CHECK(frames[0].head.flags == flag::end_headers);
  CHECK(frames[1].head.type == frame_type::data);
  CHECK(frames[1].payload.size() == 5 + bytes);
  CHECK(frames[2].head.type == frame_type::headers);
  CHECK(frames[2].head.flags == (flag::end_headers | flag::end_stream));
  for (sent const& one : frames) CHECK(one.head.stream == stream);
}

}  // namespace

TEST_CASE("canned: a request is answered with as many bytes once it has ended", "[canned]") {
  greeted peer;
  CHECK(peer.receive(frame(frame_type::headers, flag::end_headers, 1, "any")).empty());
  CHECK(peer.receive(frame(frame_type::data, 0, 1, message(16).substr(0, 9))).empty());
  check_answer(peer.receive(frame(frame_type::data, flag::end_stream, 1, message(16).substr(9))), 1, 16);
}

TEST_CASE("canned: a frame may come in pieces", "[canned]") {
  greeted peer;
  std::string const request = frame(frame_type::headers, flag::end_headers, 1, "any") +
                              frame(frame_type::data, flag::end_stream, 1, message(16));
  std::string pending;
  for (char const byte : request) {
    pending += byte;
    pending.erase(0, peer.http.receive(pending, peer.out));
  }
  check_answer(parsed(peer.out), 1, 16);
}

TEST_CASE("canned: headers may go on in CONTINUATION frames, and nothing may come between", "[canned]") {
  greeted peer;
  CHECK(peer.receive(frame(frame_type::headers, flag::end_stream, 1, "a")).empty());
  CHECK(peer.receive(frame(frame_type::continuation, 0, 1, "b")).empty());
  SECTION("they end") {
    auto const frames = peer.receive(frame(frame_type::continuation, flag::end_headers, 1, "c"));
    check_answer(frames, 1, 0);
  }
  SECTION("another frame comes") {
    peer.receive(frame(frame_type::ping, 0, 0, "12345678"));
    CHECK(peer.http.closing());
  }
}

TEST_CASE("canned: padding does not count as message", "[canned]") {
  greeted peer;
  peer.receive(frame(frame_type::headers, flag::end_headers, 1, "any"));
  auto const payload = "\x03"s + message(16) + std::string(3, '\0');
  check_answer(peer.receive(frame(frame_type::data, flag::end_stream | flag::padded, 1, payload)), 1, 16);
}

TEST_CASE("canned: SETTINGS and PING are acknowledged, acknowledgements are not", "[canned]") {
  greeted peer;
  auto const settings = peer.receive(frame(frame_type::settings, 0, 0));
  REQUIRE(settings.size() == 1);
  CHECK(settings[0].head.type == frame_type::settings);
  CHECK(settings[0].head.flags == flag::ack);
  auto const ping = peer.receive(frame(frame_type::ping, 0, 0, "12345678"));
  REQUIRE(ping.size() == 1);
  CHECK(ping[0].head.flags == flag::ack);
  CHECK(ping[0].payload == "12345678");
  CHECK(peer.receive(frame(frame_type::settings, flag::ack, 0)).empty());
  CHECK(peer.receive(frame(frame_type::ping, flag::ack, 0, "12345678")).empty());
}

TEST_CASE("canned: an answer waits for the stream's window and goes on when it opens", "[canned]") {
  greeted peer;
  // from now on streams may be sent 10 bytes
  peer.receive(frame(frame_type::settings, 0, 0, "\x00\x04"s + u32(10)));
  peer.receive(frame(frame_type::headers, flag::end_headers, 1, "any"));
  auto const first = peer.receive(frame(frame_type::data, flag::end_stream, 1, message(16)));
  REQUIRE(first.size() == 2);
  CHECK(first[1].payload.size() == 10);
  auto const rest = peer.receive(frame(frame_type::window_update, 0, 1, u32(100)));
  REQUIRE(rest.size() == 2);
  CHECK(rest[0].payload.size() == 11);
  CHECK(rest[1].head.flags == (flag::end_headers | flag::end_stream));
}

TEST_CASE("canned: answers wait in order for the connection's window", "[canned]") {
  greeted peer;
  auto const request = [](std::uint32_t stream, std::size_t bytes) {
    std::string all = frame(frame_type::headers, flag::end_headers, stream, "any");
    std::string const body = message(bytes);
    for (std::size_t at = 0; at < body.size(); at += max_frame_size) {
      bool const last = at + max_frame_size >= body.size();
      all += frame(frame_type::data, last ? flag::end_stream : 0u, stream, body.substr(at, max_frame_size));
    }
    return all;
  };
  peer.receive(request(1, 60'000));
  CHECK(peer.http.answered() == 1);
  peer.receive(request(3, 20'000) + request(5, 100));
  CHECK(peer.http.answered() == 1);
  peer.receive(frame(frame_type::window_update, 0, 0, u32(1'000'000)));
  CHECK(peer.http.answered() == 3);
}

TEST_CASE("canned: a stream that is reset is not answered", "[canned]") {
  greeted peer;
  peer.receive(frame(frame_type::headers, flag::end_headers, 1, "any"));
  peer.receive(frame(frame_type::rst_stream, 0, 1, u32(8)));
  CHECK(peer.receive(frame(frame_type::data, flag::end_stream, 1, message(16))).empty());
  CHECK(!peer.http.closing());
}

TEST_CASE("canned: what a peer has sent is given back to its windows", "[canned]") {
  greeted peer;
  peer.receive(frame(frame_type::headers, flag::end_headers, 1, "any"));
  std::uint32_t given = 0;
  std::string const part(max_frame_size, 'x');
  for (int i = 0; i < 64; ++i) {
    for (sent const& one : peer.receive(frame(frame_type::data, 0, 1, part))) {
      REQUIRE(one.head.type == frame_type::window_update);
      if (one.head.stream == 1) given += read_u32(one.payload.data());
    }
  }
  CHECK(given > 500'000);
}

TEST_CASE("canned: what is no HTTP/2 gets a GOAWAY", "[canned]") {
  connection http(std::nullopt);
  std::string out;
  http.receive("GET / HTTP/1.1\r\n\r\n", out);
  CHECK(http.closing());
  auto const frames = parsed(out);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].head.type == frame_type::goaway);
}

TEST_CASE("canned: every length of reply but 1 is a message of that length", "[canned]") {
  reply made;
  for (std::uint32_t const length : {0u, 2u, 16u, 129u, 130u, 131u, 4096u, 16386u, 16387u, 16388u, 3'000'000u}) {
    INFO(length);
    std::string_view const body = made.body(length);
    CHECK(body.size() == 5 + length);
    CHECK(read_u32(body.data() + 1) == length);
  }
}
