// SPDX-License-Identifier: Apache-2.0
#include "stub.hpp"

#include <support/interceptors.hpp>

#include <millrace/call/client.hpp>
#include <millrace/metrics/counters.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>
#include <concepts>

namespace millrace::peers {
namespace {

namespace asio = boost::asio;

enum class corking { on, off };

// true when there is such an option
template <class Params>
constexpr bool set_cork([[maybe_unused]] Params& params, [[maybe_unused]] bool on) {
  constexpr bool known = requires {
    { params.cork } -> std::convertible_to<bool>;
  };
  if constexpr (known) params.cork = on;
  return known;
}

pool_params pool_of(work const& task, observer& told, corking mode) {
  pool_params params;
  params.target = task.target;
  // one connection, as all the others have
  params.min_slots = params.max_slots = 1;
  params.max_calls_per_slot = std::max(task.in_flight, 100u);
  params.observer = &told;
  set_cork(params, mode == corking::on);
  return params;
}

client_params client_of(chain& interceptors) {
  client_params params;
  params.default_timeout = call_timeout;
  params.interceptors = interceptors;
  return params;
}

class engine_client {
 public:
  engine_client(work const& task, meter& measure, corking mode)
      : task_(task),
        measure_(measure),
        request_(request_of(task)),
        interceptors_(bench::two_interceptors(call_timeout)),
        pool_(loop_, pool_of(task, counters_, mode)),
        echo_(pool_, client_of(interceptors_)) {}

  void run(bool with_coroutines) {
    error_code failure;
    pool_.async_ready({.min_ready = 1, .timeout = connect_timeout}, [&](error_code error) {
      failure = error;
      if (!error) start_lanes(with_coroutines);
    });
    loop_.run();
    if (failure) throw std::runtime_error("cannot connect to " + task_.target + ": " + failure.message());
  }

 private:
  using reply_or = rpc_result<EchoReply>;

  void start_lanes(bool with_coroutines) {
    for (unsigned lane = 0; lane < task_.in_flight; ++lane) {
      if (with_coroutines) {
        ++running_;
        asio::co_spawn(loop_, make_calls(), asio::detached);
      } else if (auto const begin = measure_.begin()) {
        ++running_;
        start(*begin);
      }
    }
    if (running_ == 0) leave();
  }

  void start(time_point began) {
    echo_.async_call<&Echo::Stub::PrepareAsyncSay>(request_, {.timeout = call_timeout}, [this, began](reply_or reply) {
      if (auto const next = judge(began, reply)) return start(*next);
      lane_ended();
    });
  }

  asio::awaitable<void> make_calls() {
    for (auto began = measure_.begin(); began;) {
      reply_or const reply =
          co_await echo_.async_call<&Echo::Stub::PrepareAsyncSay>(request_, {.timeout = call_timeout});
      began = judge(*began, reply);
    }
    lane_ended();
  }

  std::optional<time_point> judge(time_point began, reply_or const& reply) {
    if (reply && reply->text().size() == task_.text.size()) return measure_.next(began);
    return measure_.failed(began, reply ? wrong(grpc::Status::OK) : reply.error().error_message());
  }

  void lane_ended() {
    if (--running_ == 0) leave();
  }

  void leave() {
    pool_.async_drain(connect_timeout, [](error_code) {});
  }

  work const& task_;
  meter& measure_;
  EchoRequest const request_;
  unsigned running_ = 0;
  counters counters_;
  chain interceptors_;
  millrace::loop loop_;
  millrace::pool pool_;
  millrace::client<Echo> echo_;
};

}  // namespace

bool corking_is_optional() noexcept {
  pool_params params;
  return set_cork(params, true);
}

void run_millrace(work const& task, meter& measure) { engine_client(task, measure, corking::on).run(false); }
void run_millrace_coro(work const& task, meter& measure) { engine_client(task, measure, corking::on).run(true); }
void run_millrace_nocork(work const& task, meter& measure) { engine_client(task, measure, corking::off).run(false); }

}  // namespace millrace::peers
