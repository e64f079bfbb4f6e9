// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/roster.hpp>

#include <millrace/base/hash_key.hpp>

#include <algorithm>
#include <utility>

namespace millrace {

roster_entry::roster_entry(endpoint what, std::uint32_t with_number)
    : address(what.address), is(std::move(what)), number(with_number), hash(stable_hash(address)) {}

roster::change roster::apply(endpoint_set set) {
  change made;
  std::vector<roster_entry*> const before = std::exchange(listed_, {});
  for (roster_entry* const one : before) one->listed = false;
  for (endpoint& what : set) {
    roster_entry* one = find(what.address);
    if (one == nullptr)
      one = &add(std::move(what));
    else
      one->is = std::move(what);
    one->listed = true;
    listed_.push_back(one);
  }
  std::ranges::copy_if(before, std::back_inserter(made.removed), [](roster_entry* one) { return !one->listed; });
  made.added = static_cast<std::uint32_t>(listed_.size() - (before.size() - made.removed.size()));
  refresh();
  return made;
}

void roster::refresh() {
  wanted_.clear();
  std::ranges::copy_if(listed_, std::back_inserter(wanted_), &roster_entry::wanted);
}

roster_entry* roster::find(std::string_view address) noexcept {
  auto const found = numbers_.find(address);
  return found == numbers_.end() ? nullptr : entries_[found->second].get();
}

roster_entry& roster::add(endpoint what) {
  auto number = static_cast<std::uint32_t>(entries_.size());
  if (free_.empty())
    entries_.emplace_back();
  else
    number = free_.back(), free_.pop_back();
  entries_[number] = std::make_unique<roster_entry>(std::move(what), number);
  numbers_.emplace(entries_[number]->address, number);
  return *entries_[number];
}

void roster::forget(roster_entry& one) {
  std::uint32_t const number = one.number;
  numbers_.erase(one.address);
  free_.push_back(number);
  entries_[number].reset();
}

}  // namespace millrace
