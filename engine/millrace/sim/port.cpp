// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/port.hpp>

#include <millrace/loop/loop.hpp>

#include <algorithm>
#include <limits>
#include <string>

namespace millrace::sim {

void port::wait(time_point until, std::size_t limit, sink deliver) {
  if (on_turn_) on_turn_();
  for (;;) {
    outside_.run_due(now_, std::numeric_limits<std::size_t>::max());
    bool const woken = woken_.exchange(false, std::memory_order_acq_rel);
    if (woken || any_due() || until <= now_) break;
    time_point const at = std::min(next(), until);
    if (at == never) {
      throw stuck("sim::port: the loop would wait for ever: nothing is scripted, and " + std::to_string(tags_out()) +
                  " operations are out");
    }
    now_ = std::max(now_, at);
  }
  for (; limit > 0 && any_due(); --limit) {
    coming const one = coming_.top();
    coming_.pop();
    scripted_.erase(one.op);
    deliver(*one.op, one.how);
  }
}

void port::complete_at(time_point at, void* tag, completion how) {
  expected_.erase(tag);
  if (!scripted_.insert(tag).second) throw std::logic_error("sim::port: a tag is completed twice");
  coming_.push({at, sequence_++, static_cast<operation*>(tag), how});
}

time_point port::next() const noexcept {
  return std::min(outside_.next_due(), coming_.empty() ? never : coming_.top().at);
}

port& port_of(loop& on) {
  if (auto* const simulated = dynamic_cast<port*>(&on.events())) return *simulated;
  throw std::logic_error("sim: the loop does not run on a sim::port");
}

}  // namespace millrace::sim
