// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/intrusive_list.hpp>

#include <support/catch.hpp>

#include <deque>
#include <memory>
#include <vector>

using namespace millrace;

namespace {

struct first_tag;
struct second_tag;

struct element : list_base<first_tag>, list_base<second_tag> {
  explicit element(int with) : value(with) {}
  int value;
};

using first_list = intrusive_list<element, first_tag>;
using second_list = intrusive_list<element, second_tag>;
using values = std::vector<int>;

bool in_first(element const& one) { return static_cast<list_base<first_tag> const&>(one).linked(); }

void unlink_first(element& one) { static_cast<list_base<first_tag>&>(one).unlink(); }

template <class List>
values all(List& list) {
  values seen;
  list.for_each([&](element& one) { seen.push_back(one.value); });
  return seen;
}

}  // namespace

TEST_CASE("intrusive_list: elements stand in the order of their pushes", "[base][intrusive_list]") {
  element a{1}, b{2}, c{3};
  first_list list;
  CHECK(list.empty());
  CHECK(list.front() == nullptr);
  CHECK(list.try_pop_front() == nullptr);
  list.push_back(b);
  list.push_back(c);
  list.push_front(a);
  CHECK(all(list) == values{1, 2, 3});
  CHECK(list.front() == &a);
  CHECK(list.after(a) == &b);
  CHECK(list.after(c) == nullptr);
  CHECK(list.try_pop_front() == &a);
  CHECK_FALSE(in_first(a));
  CHECK(all(list) == values{2, 3});
}

TEST_CASE("intrusive_list: an element unlinks from the front, the middle and the end", "[base][intrusive_list]") {
  for (std::size_t gone = 0; gone < 3; ++gone) {
    std::deque<element> elements;
    first_list list;
    values left;
    for (int i = 0; i < 3; ++i) {
      list.push_back(elements.emplace_back(i));
      if (static_cast<std::size_t>(i) != gone) left.push_back(i);
    }
    unlink_first(elements[gone]);
    unlink_first(elements[gone]);
    CHECK(all(list) == left);
    list.push_back(elements[gone]);
    CHECK(all(list).back() == static_cast<int>(gone));
  }
}

TEST_CASE("intrusive_list: an element that dies leaves the list", "[base][intrusive_list]") {
  element a{1}, c{3};
  first_list list;
  list.push_back(a);
  {
    element b{2};
    list.push_back(b);
    list.push_back(c);
  }
  CHECK(all(list) == values{1, 3});
}

TEST_CASE("intrusive_list: a list that dies frees its elements for another", "[base][intrusive_list]") {
  element a{1}, b{2};
  {
    first_list list;
    list.push_back(a);
    list.push_back(b);
  }
  CHECK_FALSE(in_first(a));
  CHECK_FALSE(in_first(b));
  first_list other;
  other.push_back(b);
  CHECK(all(other) == values{2});
}

TEST_CASE("intrusive_list: one element stands in two lists, and leaves each on its own", "[base][intrusive_list]") {
  element a{1}, b{2};
  first_list first;
  second_list second;
  first.push_back(a);
  first.push_back(b);
  second.push_back(b);
  second.push_back(a);
  CHECK(all(first) == values{1, 2});
  CHECK(all(second) == values{2, 1});
  unlink_first(a);
  CHECK(all(first) == values{2});
  CHECK(all(second) == values{2, 1});
}

TEST_CASE("intrusive_list: splicing moves all of one list behind the other", "[base][intrusive_list]") {
  element a{1}, b{2}, c{3}, d{4};
  first_list list, other;
  list.splice_back(other);
  CHECK(list.empty());
  other.push_back(a);
  other.push_back(b);
  list.splice_back(other);
  CHECK(all(list) == values{1, 2});
  CHECK(other.empty());
  other.push_back(c);
  list.splice_back(other);
  CHECK(all(list) == values{1, 2, 3});
  other.push_back(d);
  CHECK(all(other) == values{4});
  unlink_first(c);
  list.push_back(c);
  CHECK(all(list) == values{1, 2, 3});
}

TEST_CASE("intrusive_list: a visit may unlink, move or destroy the element it is given", "[base][intrusive_list]") {
  std::vector<std::unique_ptr<element>> owners;
  first_list list, other;
  for (int i = 0; i < 6; ++i) list.push_back(*owners.emplace_back(std::make_unique<element>(i)));
  list.for_each([&](element& one) {
    auto const at = static_cast<std::size_t>(one.value);
    if (at % 3 == 0) unlink_first(one);
    if (at % 3 == 1) owners[at].reset();
    if (at % 3 == 2) {
      unlink_first(one);
      other.push_back(one);
    }
  });
  CHECK(list.empty());
  CHECK(all(other) == values{2, 5});
}
