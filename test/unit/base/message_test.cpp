// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/message.hpp>

#include <support/catch.hpp>

#include <string>
#include <utility>

using namespace millrace;

namespace {

struct shared_text {
  std::string text;
  int references = 1;
};

shared_text& text_of(void* bytes) { return *static_cast<shared_text*>(bytes); }

message_kind const text_kind{
    .size = [](void const* bytes) noexcept { return static_cast<shared_text const*>(bytes)->text.size(); },
    .append_to = [](void const* bytes, std::string& out) { out += static_cast<shared_text const*>(bytes)->text; },
    .share = [](void* bytes) -> void* { return ++text_of(bytes).references, bytes; },
    .release = [](void* bytes) noexcept { --text_of(bytes).references; },
};

message_kind const other_kind = text_kind;

}  // namespace

TEST_CASE("message: an empty one has no bytes and shares nothing", "[base][message]") {
  message none;
  CHECK(none.empty());
  CHECK(none.size() == 0);
  CHECK(none.to_string().empty());
  CHECK(none.share().empty());
  CHECK(none.take() == nullptr);
}

TEST_CASE("message: gives its one reference back when it dies", "[base][message]") {
  shared_text bytes{"hello"};
  {
    message one{&bytes, text_kind};
    CHECK(one.size() == 5);
    CHECK(one.to_string() == "hello");
    CHECK(bytes.references == 1);
  }
  CHECK(bytes.references == 0);
}

TEST_CASE("message: sharing adds a reference to the same bytes", "[base][message]") {
  shared_text bytes{"hello"};
  message one{&bytes, text_kind};
  {
    message const another = one.share();
    CHECK(bytes.references == 2);
    CHECK(another.bytes_as(text_kind) == &bytes);
  }
  CHECK(bytes.references == 1);
}

TEST_CASE("message: a move passes the reference on", "[base][message]") {
  shared_text first{"first"}, second{"second"};
  message one{&first, text_kind};
  message moved{std::move(one)};
  CHECK(moved.to_string() == "first");
  CHECK(first.references == 1);

  message other{&second, text_kind};
  other = std::move(moved);
  CHECK(other.to_string() == "first");
  CHECK(first.references == 1);
  CHECK(second.references == 0);

  message& same = other;
  other = std::move(same);
  CHECK(other.to_string() == "first");
  CHECK(first.references == 1);

  other = message{};
  CHECK(other.empty());
  CHECK(first.references == 0);
}

TEST_CASE("message: taking the bytes passes the reference to the taker", "[base][message]") {
  shared_text bytes{"hello"};
  {
    message one{&bytes, text_kind};
    CHECK(one.take() == &bytes);
    CHECK(one.empty());
  }
  CHECK(bytes.references == 1);
}

TEST_CASE("message: the bytes show only to who knows their kind", "[base][message]") {
  shared_text bytes{"hello"};
  message const one{&bytes, text_kind};
  CHECK(one.bytes_as(text_kind) == &bytes);
  CHECK(one.bytes_as(other_kind) == nullptr);
}
