// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/write_queue.hpp>

#include <support/catch.hpp>

#include <string>

using namespace millrace;

namespace {

constexpr message_kind text{
    .size = [](void const* bytes) noexcept { return static_cast<std::string const*>(bytes)->size(); },
    .append_to = [](void const* bytes, std::string& out) { out += *static_cast<std::string const*>(bytes); },
    .share = [](void* bytes) -> void* { return new std::string(*static_cast<std::string*>(bytes)); },
    .release = [](void* bytes) noexcept { delete static_cast<std::string*>(bytes); }};

message of(std::string bytes) { return {new std::string(std::move(bytes)), text}; }
message of_size(std::size_t size) { return of(std::string(size, 'x')); }

}  // namespace

TEST_CASE("write queue: there is room until the bytes reach the watermark, those on the wire included",
          "[call][stream]") {
  write_queue queue(100);
  CHECK(queue.room());
  queue.push(of_size(99));
  CHECK(queue.room());
  queue.push(of_size(1));
  CHECK_FALSE(queue.room());
  CHECK(queue.take().size() == 99);
  CHECK_FALSE(queue.room());
  CHECK(queue.bytes() == 100);
  queue.written();
  CHECK(queue.room());
  CHECK(queue.bytes() == 1);
}

TEST_CASE("write queue: one message goes in however large it is", "[call][stream]") {
  write_queue queue(10);
  CHECK(queue.room());
  queue.push(of_size(1000));
  CHECK_FALSE(queue.room());
  static_cast<void>(queue.take());
  CHECK_FALSE(queue.room());
  queue.written();
  CHECK(queue.room());
}

TEST_CASE("write queue: a watermark of 0 takes one message at a time", "[call][stream]") {
  write_queue queue(0);
  CHECK(queue.room());
  queue.push(of_size(1));
  CHECK_FALSE(queue.room());
  static_cast<void>(queue.take());
  CHECK_FALSE(queue.room());
  queue.written();
  CHECK(queue.room());
}

TEST_CASE("write queue: messages leave in order while others come, and none stays", "[call][stream]") {
  write_queue queue(1000);
  int in = 0, out = 0;
  for (int round = 0; round < 1000; ++round) {
    for (int more = round % 3; more >= 0; --more) queue.push(of(std::to_string(in++)));
    if (queue.size() > 1) {
      CHECK(queue.take().to_string() == std::to_string(out++));
      queue.written();
    }
  }
  while (queue.size() > 0) {
    CHECK(queue.take().to_string() == std::to_string(out++));
    queue.written();
  }
  CHECK(in == out);
  CHECK(queue.bytes() == 0);
}

TEST_CASE("write queue: what is cleared counts no more", "[call][stream]") {
  write_queue queue(10);
  queue.push(of_size(10));
  queue.push(of_size(10));
  static_cast<void>(queue.take());
  queue.clear();
  CHECK(queue.bytes() == 0);
  CHECK(queue.size() == 0);
  CHECK(queue.room());
}
