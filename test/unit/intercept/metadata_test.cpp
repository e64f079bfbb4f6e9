// SPDX-License-Identifier: Apache-2.0

#include <millrace/base/metadata.hpp>

#include <support/allocation_count.hpp>
#include <support/catch.hpp>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace millrace;

namespace {

std::string refusal(std::string_view key, std::string_view value) {
  metadata pairs;
  try {
    pairs.add(key, value);
  } catch (std::invalid_argument const& error) {
    CHECK(pairs.empty());
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("metadata: keeps pairs in order, copied, with repeated keys", "[base]") {
  metadata pairs;
  std::string value = "one";
  pairs.add("x-a", value);
  value = "two";
  pairs.add("x-a", value);
  pairs.add("x-b", "");
  CHECK(pairs.size() == 3);
  CHECK(pairs[0].value == "one");
  CHECK(pairs[1].value == "two");
  CHECK(pairs.find("x-a") == "one");
  CHECK(pairs.find("x-b") == "");
  CHECK_FALSE(pairs.find("x-c"));

  std::vector<std::string> keys;
  for (auto [key, text] : pairs) keys.emplace_back(key);
  CHECK(keys == std::vector<std::string>{"x-a", "x-a", "x-b"});
}

TEST_CASE("metadata: eight small pairs allocate nothing, more or longer ones do and stay whole", "[base]") {
  std::size_t const before = allocation_count();
  metadata pairs;
  for (int i = 0; i < 8; ++i) pairs.add("x-key-0123456", "0123456789012345678");  // 32 bytes
  CHECK(pairs.size() == 8);
  CHECK(allocation_count() == before);

  std::string const longer(1000, 'v');
  for (int i = 0; i < 50; ++i) pairs.add("key" + std::to_string(i), longer + std::to_string(i));
  CHECK(allocation_count() > before);
  CHECK(pairs.size() == 58);
  CHECK(pairs[7].value == "0123456789012345678");
  for (int i = 0; i < 50; ++i) CHECK(pairs.find("key" + std::to_string(i)) == longer + std::to_string(i));
}

TEST_CASE("metadata: clear makes room again", "[base]") {
  metadata pairs;
  for (int i = 0; i < 20; ++i) pairs.add("x-key-0123456", "0123456789012345678");
  pairs.clear();
  CHECK(pairs.empty());
  CHECK_FALSE(pairs.find("x-key-0123456"));
  std::size_t const before = allocation_count();
  for (int i = 0; i < 8; ++i) pairs.add("x-key-0123456", "0123456789012345678");
  CHECK(allocation_count() == before);
  CHECK(pairs.size() == 8);
}

TEST_CASE("metadata: its view shows what was there when it was taken", "[base]") {
  metadata pairs;
  for (int i = 0; i < 12; ++i) pairs.add(std::string("k").append(std::to_string(i)), std::to_string(i));
  metadata_view const view = pairs.view();
  pairs.add("later", "x");
  CHECK(view.size() == 12);
  CHECK(view[11].key == "k11");
  CHECK(view.find("k9") == "9");
  CHECK_FALSE(view.find("later"));
}

TEST_CASE("metadata: refuses exactly the keys that gRPC does", "[base]") {
  for (int c = 0; c < 256; ++c) {
    char const byte = static_cast<char>(c);
    bool const legal = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    INFO("byte " << c);
    CHECK(legal_metadata_key(std::string("k") + byte) == legal);
  }
  CHECK_FALSE(legal_metadata_key(""));
  CHECK_FALSE(legal_metadata_key("grpc-timeout"));
  CHECK_FALSE(legal_metadata_key(":path"));
  CHECK(legal_metadata_key("grpc"));
  CHECK(legal_metadata_key("x-grpc-y"));
}

TEST_CASE("metadata: refuses exactly the values that gRPC does", "[base]") {
  for (int c = 0; c < 256; ++c) {
    std::string const value(1, static_cast<char>(c));
    INFO("byte " << c);
    CHECK(legal_metadata_value("key", value) == (c >= 0x20 && c <= 0x7e));
    CHECK(legal_metadata_value("key-bin", value));
  }
}

TEST_CASE("metadata: a refusal names the key, the value and what is allowed", "[base]") {
  CHECK(refusal("X-Upper", "v") ==
        "metadata key \"X-Upper\" (value \"v\"): a key is one or more of 0-9 a-z _ . - and does not begin with "
        "\"grpc-\"");
  CHECK(refusal("x-key", "a\nb") ==
        "metadata key \"x-key\", value \"a\\x0ab\": a value is printable ASCII (0x20 to 0x7e) unless its key ends in "
        "\"-bin\"");
  CHECK(refusal("x-key-bin", "a\nb") == "accepted");
}

TEST_CASE("metadata: try_add says no where add throws", "[base]") {
  metadata pairs;
  CHECK_FALSE(pairs.try_add("Bad", "v"));
  CHECK_FALSE(pairs.try_add("key", "\x7f"));
  CHECK(pairs.try_add("key", "v"));
  CHECK(pairs.size() == 1);
}
