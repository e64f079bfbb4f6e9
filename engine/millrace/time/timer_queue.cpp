// SPDX-License-Identifier: Apache-2.0
#include <millrace/time/timer_queue.hpp>

#include <algorithm>
#include <bit>
#include <limits>

namespace millrace {

void timer::leave() noexcept { queue_->disarm(*this); }

timer_queue::~timer_queue() {
  while (timer* const one = first()) disarm(*one);
}

void timer_queue::arm(timer& timer, time_point at) noexcept {
  if (timer.armed()) disarm(timer);
  if (at == never) return;
  // while due timers run, one armed for the past stands behind them, or it would starve them
  timer.due_ = std::max(at, running_at_);
  timer.order_ = next_order_++;
  timer.queue_ = this;
  ++size_;
  std::int64_t const day = day_of(timer.due_);
  bool const dated = day >= today_ && day - today_ < static_cast<std::int64_t>(days);
  timer.page_ = dated ? page_of(day) : days;
  calendar_[timer.page_].insert(timer);
  if (dated) mark(timer.page_, true);
}

void timer_queue::disarm(timer& timer) noexcept {
  if (!timer.armed()) return;
  timer.queue_ = nullptr;
  --size_;
  heap& page = calendar_[timer.page_];
  page.remove(timer);
  if (page.empty() && timer.page_ != days) mark(timer.page_, false);
}

time_point timer_queue::next_due() const noexcept {
  timer const* const one = first();
  return one == nullptr ? never : one->due_;
}

timer* timer_queue::first() const noexcept {
  timer* const dated = calendar_[page_of(first_day())].top();
  timer* const undated = calendar_[days].top();
  if (dated == nullptr || undated == nullptr) return dated != nullptr ? dated : undated;
  return timer::before{}(*undated, *dated) ? undated : dated;
}

// from today on the first day that has timers; the last of all days without any
std::int64_t timer_queue::first_day() const noexcept {
  std::size_t const today = page_of(today_);
  // the last word is the first one again, for the pages before today's
  for (std::size_t step = 0; step <= used_.size(); ++step) {
    std::size_t const word = (today / word_bits + step) % used_.size();
    std::uint64_t const since_today = ~std::uint64_t{0} << today % word_bits;
    std::uint64_t const pages = step == 0 ? used_[word] & since_today : used_[word];
    if (pages == 0) continue;
    std::size_t const page = word * word_bits + static_cast<std::size_t>(std::countr_zero(pages));
    return today_ + static_cast<std::int64_t>((page - today) % days);
  }
  return std::numeric_limits<std::int64_t>::max();
}

void timer_queue::mark(std::size_t page, bool used) noexcept {
  std::uint64_t const bit = std::uint64_t{1} << page % word_bits;
  std::uint64_t& word = used_[page / word_bits];
  word = used ? word | bit : word & ~bit;
}

std::size_t timer_queue::run_due(time_point now, std::size_t limit) {
  // no page is turned while it has timers
  today_ = std::max(today_, std::min(day_of(now), first_day()));
  std::uint64_t const armed_before = next_order_;
  running_at_ = now;
  std::size_t ran = 0;
  while (ran < limit) {
    timer* const one = first();
    // a timer that a callback armed waits for the next round, so that one which re-arms itself for "now" starves nobody
    if (one == nullptr || one->due_ > now || one->order_ >= armed_before) break;
    disarm(*one);
    ++ran;
    one->on_due_();
  }
  running_at_ = time_point::min();
  return ran;
}

}  // namespace millrace
