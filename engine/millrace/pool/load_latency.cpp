// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/load_latency.hpp>

#include <algorithm>

namespace millrace {
namespace {

constexpr double smoothing = 1.0 / 16;

// a best that is not reached any more, since the calls or the server became others, is forgotten in some thousands of calls
constexpr double forgetting = 1.0 / 1024;

}  // namespace

void load_latency::on_done(duration latency, std::uint32_t in_flight, std::uint32_t ready) noexcept {
  if (ready == 0) return;
  auto const sample = static_cast<double>(latency.count());
  if (in_flight <= std::uint64_t{low} * ready) {
    quiet_ = quiet_ > 0 ? quiet_ + (sample - quiet_) * smoothing : sample;
    best_ = best_ > 0 ? std::min(quiet_, best_ + (quiet_ - best_) * forgetting) : quiet_;
    loaded_calls_ = 0;
  } else {
    if (loaded_calls_ == 0) loaded_ = 0;
    // the mean of the first ones, a moving average from then on
    loaded_calls_ = std::min(loaded_calls_ + 1, window);
    loaded_ += (sample - loaded_) / loaded_calls_;
  }
}

}  // namespace millrace
