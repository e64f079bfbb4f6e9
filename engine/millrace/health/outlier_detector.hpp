// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace {
class rng;
}

namespace millrace::health {

/// Ejects who succeeds markedly less often than the others do (gRFC A50, `success_rate_ejection`).
struct success_rate_params {
  std::uint32_t stdev_factor = 1900;   ///< Thousandths of a standard deviation below the mean.
  std::uint32_t enforcement = 100;     ///< Percent of those found that are ejected; 0 to 100.
  std::uint32_t minimum_hosts = 5;     ///< With fewer that have the volume, nobody is judged.
  std::uint32_t request_volume = 100;  ///< Calls in an interval, below which an endpoint is not judged; 1 or more.
};

/// Ejects who fails too often, whatever the others do (gRFC A50, `failure_percentage_ejection`).
struct failure_percentage_params {
  std::uint32_t threshold = 85;       ///< Percent of calls that may fail; 0 to 100.
  std::uint32_t enforcement = 100;    ///< As above.
  std::uint32_t minimum_hosts = 5;    ///< As above.
  std::uint32_t request_volume = 50;  ///< As above.
};

/// How endpoints are compared with each other. The defaults are those of gRFC A50.
struct outlier_params {
  duration interval = std::chrono::seconds(10);  ///< Between sweeps; more than 0.
  duration base_ejection_time =
      std::chrono::seconds(30);  ///< Of the first ejection, and of each in succession more; more than 0.
  duration max_ejection_time = std::chrono::seconds(300);  ///< At most, but never less than `base_ejection_time`.
  std::uint32_t max_ejection_percent = 10;  ///< Of those that take calls, but always one; 0 to 100, and at 0 none.
  std::optional<success_rate_params> success_rate = success_rate_params{};                    ///< None: off.
  std::optional<failure_percentage_params> failure_percentage = failure_percentage_params{};  ///< None: off.
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(outlier_params const& params, std::string_view field_prefix);

/// By what an outlier was found.
enum class outlier_method : std::uint8_t { success_rate, failure_percentage };

constexpr std::string_view to_string(outlier_method value) noexcept {
  switch (value) {
    case outlier_method::success_rate: return "success_rate";
    case outlier_method::failure_percentage: return "failure_percentage";
  }
  return "?";
}

/// What a sweep did with an endpoint.
enum class outlier_decision : std::uint8_t {
  ejected,
  spared_by_enforcement,  ///< Found, and let off because `enforcement` is below 100.
  spared_by_limit,        ///< Found, and let off because enough others are ejected.
  readmitted,             ///< Its time was over.
};

constexpr std::string_view to_string(outlier_decision value) noexcept {
  switch (value) {
    case outlier_decision::ejected: return "ejected";
    case outlier_decision::spared_by_enforcement: return "spared_by_enforcement";
    case outlier_decision::spared_by_limit: return "spared_by_limit";
    case outlier_decision::readmitted: return "readmitted";
  }
  return "?";
}

struct outlier_change {
  std::uint32_t endpoint;
  outlier_decision decision;
  outlier_method method;  ///< What it was found by, also when it is readmitted.
  time_point until;       ///< When ejected: the first sweep from then on readmits it.
};

/// Compares the endpoints of a pool and ejects the outliers (gRFC A50). Where the algorithm's text leaves room, or says two things:
///
/// - an endpoint is ejected only while `max_ejection_percent` is kept with it, or nobody else is ejected (so does Envoy; the
///   algorithm as written may exceed the percentage by one). Endpoints that are removed do not readmit others;
/// - who is ejected already is not ejected again, neither by the other method nor for what it had in flight;
/// - a failure percentage must be *more* than the threshold, as the algorithm says, not equal to it, as its proto says.
///
/// Endpoints are small numbers, which may be used again.
class outlier_detector {
 public:
  /// Expects validated params, which outlive it. The first sweep is an interval after `now`.
  outlier_detector(outlier_params const& params, time_point now) noexcept;

  /// A new endpoint, without any history.
  void add(std::uint32_t endpoint);
  bool has(std::uint32_t endpoint) const noexcept { return endpoint < hosts_.size() && hosts_[endpoint].present; }

  /// It is gone: it no longer counts as ejected, nor among those of whom a percentage may be.
  void remove(std::uint32_t endpoint) noexcept;

  /// A call came back from an endpoint that was added, if it was removed since.
  void record(std::uint32_t endpoint, bool success) noexcept { ++hosts_[endpoint].calls[success ? 1 : 0]; }

  /// Ends an interval: judges it, and readmits those whose time is over. What it did, by the endpoints' numbers within each method; valid until the next call
  /// of a function that is not const.
  std::span<outlier_change const> sweep(time_point now, rng& random) noexcept;

  /// When to sweep next; `never` while both methods are off.
  time_point next_sweep() const noexcept { return next_sweep_; }

  /// Nothing was counted in the interval that was swept last, and nobody is or was lately ejected: until the next `record`
  /// there is no need to sweep.
  bool at_rest() const noexcept { return at_rest_; }

  std::uint32_t ejected() const noexcept { return ejected_; }
  bool is_ejected(std::uint32_t endpoint) const noexcept { return hosts_[endpoint].ejected; }

 private:
  struct host {
    std::array<std::uint32_t, 2> calls{};  // in this interval: failures, successes
    bool present = false;
    bool ejected = false;
    outlier_method method{};
    std::uint32_t multiplier = 0;  // ejections in succession
    time_point until{};

    std::uint32_t volume() const noexcept { return calls[0] + calls[1]; }
    double success_rate() const noexcept { return static_cast<double>(calls[1]) / volume(); }
  };

  bool enough_hosts(std::uint32_t minimum, std::uint32_t volume) const noexcept;
  double least_success_rate(success_rate_params const& by) const noexcept;
  void judge_success_rates(success_rate_params const& by, time_point now, rng& random) noexcept;
  void judge_failure_percentages(failure_percentage_params const& by, time_point now, rng& random) noexcept;
  void found(host& one, outlier_method method, std::uint32_t enforcement, time_point now, rng& random) noexcept;
  void eject(host& one, outlier_method method, time_point now) noexcept;
  void settle(host& one, time_point now) noexcept;
  void tell(host const& one, outlier_decision decision, outlier_method method) noexcept;
  bool may_eject_one_more() const noexcept;

  outlier_params const& params_;
  std::vector<host> hosts_;  // by the endpoint's number
  std::vector<outlier_change> changes_;
  std::uint32_t present_ = 0;
  std::uint32_t ejected_ = 0;
  time_point next_sweep_;
  bool at_rest_ = true;
};

}  // namespace millrace::health
