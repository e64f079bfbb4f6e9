// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/roster.hpp>

#include <millrace/base/hash_key.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace millrace {

roster_entry::roster_entry(endpoint what, std::uint32_t with_number)
    : address(what.address), is(std::move(what)), number(with_number), hash(stable_hash(address)) {}

roster::change roster::apply(endpoint_set set) {
  for (roster_entry* const one : std::exchange(listed_, {})) one->listed = false;
  for (endpoint& what : set) {
    roster_entry* one = find(what.address);
    if (one == nullptr)
      one = &add(std::move(what));
    else
      one->is = std::move(what);
    one->listed = true;
    listed_.push_back(one);
  }
  return refresh();
}

roster::change roster::refresh() {
  change made;
  std::vector<roster_entry*> const before = std::exchange(wanted_, {});
  choose();
  weight_ = 0;
  for (roster_entry const* const one : listed_) {
    if (one->within_aperture || one->drained) weight_ += one->is.weight;
  }
  std::ranges::copy_if(listed_, std::back_inserter(wanted_), &roster_entry::wanted);
  std::ranges::copy_if(before, std::back_inserter(made.removed), [](roster_entry* one) { return !one->wanted(); });
  made.added = static_cast<std::uint32_t>(wanted_.size() - (before.size() - made.removed.size()));
  return made;
}

// who is drained leaves its place to another
void roster::choose() {
  struct level {
    std::vector<roster_entry*> entries;
    std::vector<std::uint64_t> hashes;
  };
  std::map<std::uint32_t, level> levels;  // by priority
  for (roster_entry* const one : listed_) {
    one->within_aperture = false;
    if (one->drained) continue;
    level& of = levels[one->is.priority];
    of.entries.push_back(one);
    of.hashes.push_back(one->hash);
  }
  for (auto const& [priority, of] : levels) {
    for (std::uint32_t const at : balance::choose_subset(of.hashes, aperture_, seed_)) {
      of.entries[at]->within_aperture = true;
    }
  }
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
