// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/hash_key.hpp>

#include <support/catch.hpp>

#include <bit>
#include <cstdint>
#include <string>

using namespace millrace;

// these values are a promise: clients of other releases send their keys by them
TEST_CASE("stable_hash: its values never change", "[base][hash_key]") {
  CHECK(stable_hash("") == 0xc3817c016ba4ff30u);
  CHECK(stable_hash("a") == 0x5f29c2aadd9b8527u);
  CHECK(stable_hash("user-17") == 0x4089d44d53714006u);
  CHECK(stable_hash(std::string_view("\xff\0x", 3)) == 0x466ec7b50071a170u);
}

TEST_CASE("stable_hash: a changed bit changes about half of the hash's", "[base][hash_key]") {
  int changed = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string text = "key-" + std::to_string(i);
    auto const before = stable_hash(text);
    text.back() ^= 1;
    changed += std::popcount(before ^ stable_hash(text));
  }
  // of 64 000 bits; five standard errors are 632
  CHECK(changed > 31'000);
  CHECK(changed < 33'000);
}

TEST_CASE("hash_key: is made of any text, and of an empty one there is none", "[base][hash_key]") {
  std::string const text = "user-17";
  CHECK(hash_key("user-17").hash() == stable_hash(text));
  CHECK(hash_key(text).hash() == stable_hash(text));
  CHECK(hash_key(std::string_view(text)).hash() == stable_hash(text));
  CHECK_FALSE(hash_key("").hash());
  CHECK_FALSE(hash_key().hash());
}
