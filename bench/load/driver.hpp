// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <load/endpoint_watch.hpp>
#include <load/narrator.hpp>
#include <load/options.hpp>
#include <load/report.hpp>

#include <millrace/call/client.hpp>
#include <millrace/loop/steady_timer.hpp>
#include <millrace/metrics/counters.hpp>
#include <millrace/metrics/histogram.hpp>
#include <millrace/metrics/observer_list.hpp>

#include <boost/asio/signal_set.hpp>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace millrace::load {

/// One run of the load tool: connects, drives, drains, reports. SIGINT or SIGTERM ends the driving early; a second one the
/// drain too.
class driver {
 public:
  explicit driver(options const& asked);

  report run();

  /// Whether the run ended because no endpoint could be reached at all.
  bool unreachable() const noexcept { return unreachable_; }

  /// The status message of the first call that failed.
  std::string const& first_failure() const noexcept { return first_failure_; }

 private:
  void connect();
  void begin();
  void end_early();
  void start_closed_loop();
  void on_tick();
  bool may_start() const noexcept;
  void start_call(time_point due);
  void on_answer(time_point due, rpc_result<grpc::ByteBuffer>&& answer);
  void check_end();
  void on_second();
  void show_progress();
  void report_unready();
  report figures();
  void add_endpoints(report& to) const;
  std::vector<std::string> endpoints() const;

  options const& asked_;
  std::FILE* const people_;  // with --json - the report alone is on stdout
  millrace::loop loop_;
  narrator narrator_;
  counters counters_;
  endpoint_watch watch_;
  observer_list observers_;
  millrace::pool pool_;
  generic_client client_;
  method const& method_;
  grpc::ByteBuffer payload_;
  histogram latencies_;
  std::array<std::uint64_t, status_code_count> finished_{};
  std::string first_failure_;
  std::vector<std::uint32_t> pool_size_;
  std::uint64_t started_ = 0;
  std::uint64_t in_flight_ = 0;
  std::uint64_t told_ = 0;  // calls ended when the last progress line was printed
  time_point begin_{};
  time_point stop_at_ = never;
  time_point ended_{};
  double cpu_before_ = 0;
  double cpu_used_ = 0;
  bool ending_ = false;   // no further calls
  bool drained_ = false;  // or about to be
  bool unreachable_ = false;
  millrace::steady_timer tick_{loop_};    // of the open loop
  millrace::steady_timer second_{loop_};  // of the progress lines
  millrace::steady_timer last_start_{loop_};
  boost::asio::signal_set signals_{loop_, SIGINT, SIGTERM};
};

}  // namespace millrace::load
