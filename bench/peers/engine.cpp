// SPDX-License-Identifier: Apache-2.0
#include "stub.hpp"

#include <support/interceptors.hpp>

#include <millrace/call/client.hpp>
#include <millrace/metrics/counters.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>

namespace millrace::peers {
namespace {

namespace asio = boost::asio;

// in what the clients differ
struct setting {
  bool coroutines = false;
  bool cork = true;
  transparent_retry transparent = transparent_retry::engine;
};

pool_params pool_of(work const& task, observer& told, setting how) {
  pool_params params;
  params.target = task.target;
  // one connection, as all the others have
  params.min_slots = params.max_slots = 1;
  params.max_calls_per_slot = std::max(task.in_flight, 100u);
  params.observer = &told;
  params.cork = how.cork;
  params.transparent_retry = how.transparent;
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
  engine_client(work const& task, meter& measure, setting how)
      : how_(how),
        task_(task),
        measure_(measure),
        request_(request_of(task)),
        interceptors_(bench::two_interceptors(call_timeout)),
        pool_(loop_, pool_of(task, counters_, how)),
        echo_(pool_, client_of(interceptors_)) {}

  void run() {
    error_code failure;
    pool_.async_ready({.min_ready = 1, .timeout = connect_timeout}, [&](error_code error) {
      failure = error;
      if (!error) start_lanes();
    });
    loop_.run();
    if (failure) throw std::runtime_error("cannot connect to " + task_.target + ": " + failure.message());
  }

 private:
  using reply_or = rpc_result<EchoReply>;

  void start_lanes() {
    for (unsigned lane = 0; lane < task_.in_flight; ++lane) {
      if (how_.coroutines) {
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

  setting const how_;
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

void run_millrace(work const& task, meter& measure) { engine_client(task, measure, {}).run(); }
void run_millrace_coro(work const& task, meter& measure) { engine_client(task, measure, {.coroutines = true}).run(); }
void run_millrace_nocork(work const& task, meter& measure) { engine_client(task, measure, {.cork = false}).run(); }
void run_millrace_transparent_core(work const& task, meter& measure) {
  engine_client(task, measure, {.transparent = transparent_retry::core}).run();
}

}  // namespace millrace::peers
