// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/intrusive_heap.hpp>

#include <millrace/base/rng.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <utility>
#include <vector>

using namespace millrace;

namespace {

struct entry : heap_hook {
  explicit entry(std::uint32_t with) : key(with) {}
  std::uint32_t key;
};

struct before {
  bool operator()(entry const& a, entry const& b) const noexcept { return a.key < b.key; }
};

using heap = intrusive_heap<entry, before>;

std::vector<std::uint32_t> drain(heap& from) {
  std::vector<std::uint32_t> keys;
  while (entry* const top = from.top()) {
    keys.push_back(top->key);
    from.remove(*top);
  }
  return keys;
}

}  // namespace

TEST_CASE("intrusive_heap: an empty one has no top", "[base][intrusive_heap]") {
  heap none;
  CHECK(none.empty());
  CHECK(none.top() == nullptr);
}

TEST_CASE("intrusive_heap: every order of insertion leaves sorted", "[base][intrusive_heap]") {
  std::vector<std::uint32_t> order{0, 1, 2, 3, 4, 5, 6};
  do {
    std::deque<entry> entries;
    heap all;
    for (auto key : order) all.insert(entries.emplace_back(key));
    auto const left = drain(all);
    if (!std::is_sorted(left.begin(), left.end()) || left.size() != order.size()) FAIL("an order of seven");
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("intrusive_heap: any element may be removed from anywhere", "[base][intrusive_heap]") {
  for (std::uint32_t gone = 0; gone < 10; ++gone) {
    for (std::uint32_t popped = 0; popped < 5; ++popped) {
      std::deque<entry> entries;
      heap all;
      for (std::uint32_t i = 0; i < 10; ++i) all.insert(entries.emplace_back(i * 7 % 10));
      // popping first gives the tree some depth
      for (std::uint32_t i = 0; i < popped; ++i) all.remove(*all.top());
      entry& removed = *std::find_if(entries.begin(), entries.end(), [&](entry const& one) { return one.key == gone; });
      if (gone >= popped) all.remove(removed);
      std::vector<std::uint32_t> expected;
      for (std::uint32_t key = popped; key < 10; ++key) {
        if (key != gone) expected.push_back(key);
      }
      CHECK(drain(all) == expected);
    }
  }
}

TEST_CASE("intrusive_heap: a random life agrees with an ordered set", "[base][intrusive_heap]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    rng random{seed};
    std::deque<entry> entries;
    std::vector<entry*> inside, outside;
    std::multiset<std::uint32_t> model;
    heap all;
    for (int i = 0; i < 300; ++i) outside.push_back(&entries.emplace_back(0));
    for (int step = 0; step < 5000; ++step) {
      bool const insert = inside.empty() || (!outside.empty() && random.below(2) == 0);
      auto& from = insert ? outside : inside;
      std::swap(from[random.below(static_cast<std::uint32_t>(from.size()))], from.back());
      entry& one = *from.back();
      from.pop_back();
      if (insert) {
        one.key = random.below(100);
        all.insert(one);
        model.insert(one.key);
        inside.push_back(&one);
      } else {
        all.remove(one);
        model.erase(model.find(one.key));
        outside.push_back(&one);
      }
      if (all.empty() != model.empty()) FAIL("seed " << seed << " step " << step);
      if (!model.empty() && all.top()->key != *model.begin()) FAIL("seed " << seed << " step " << step);
    }
    CHECK(drain(all) == std::vector<std::uint32_t>(model.begin(), model.end()));
  }
}

TEST_CASE("intrusive_heap: a root with a million children costs no stack", "[base][intrusive_heap]") {
  std::uint32_t const many = 1000000;
  std::deque<entry> entries;
  heap all;
  for (std::uint32_t i = 0; i < many; ++i) all.insert(entries.emplace_back(i));
  CHECK(all.top()->key == 0);
  all.remove(*all.top());
  CHECK(all.top()->key == 1);
  all.remove(entries[many / 2]);
  auto const left = drain(all);
  CHECK(left.size() == many - 2);
  CHECK(std::is_sorted(left.begin(), left.end()));
}
