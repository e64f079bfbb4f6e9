// SPDX-License-Identifier: Apache-2.0
#include "stub.hpp"

#include <millrace/call/client.hpp>
#include <millrace/call/grpc_transport.hpp>
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/grpc_channel.hpp>

#include <deque>

namespace millrace::peers {
namespace {

pool_params channel_of(work const& task) { return {.target = task.target}; }

// what is left of a call of millrace's when nothing but its attempt is: what the engine adds is the rest
class attempt_client {
 public:
  attempt_client(work const& task, meter& measure)
      : task_(task),
        measure_(measure),
        request_(request_of(task)),
        transport_(loop_),
        channel_(grpc_channel_factory(loop_, channel_of(task)).open({.address = task.target}, {})) {}
  attempt_client(attempt_client const&) = delete;
  attempt_client& operator=(attempt_client const&) = delete;
  ~attempt_client() { channel::drop_user(channel_); }

  void run() {
    connect();
    for (unsigned lane = 0; lane < task_.in_flight; ++lane) {
      auto const begin = measure_.begin();
      if (!begin) break;
      lanes_.emplace_back(*this).start(*begin);
    }
    loop_.run();
  }

 private:
  // makes one attempt after the other
  class lane {
   public:
    explicit lane(attempt_client& of) noexcept : of_(of) {}

    void start(time_point began) {
      began_ = began;
      payload_ = encode_request(of_.loop_, of_.request_);
      attempt_ = of_.transport_.start({.channel = *of_.channel_,
                                       .method = of_.method_,
                                       .kind = call_kind::unary,
                                       .payload = payload_,
                                       .headers = of_.headers_,
                                       .deadline = began + call_timeout,
                                       .previous_attempts = 0},
                                      bound<void(completion)>::to<&lane::on_done>(*this));
    }

   private:
    void on_done(completion) {
      EchoReply reply;
      status how = attempt_->result;
      bool const good = how.ok() && decode_response<EchoReply>::decode(std::move(attempt_->response), reply, how) &&
                        reply.text().size() == of_.task_.text.size();
      std::string why = good ? "" : "attempt: " + std::string(how.message);
      attempt_->release();
      auto const next = good ? of_.measure_.next(began_) : of_.measure_.failed(began_, std::move(why));
      if (next) start(*next);
    }

    attempt_client& of_;
    time_point began_{};
    message payload_;
    unary_attempt* attempt_ = nullptr;
  };

  void connect() {
    until_ = std::chrono::steady_clock::now() + connect_timeout;
    loop_.work_started();  // a watch alone does not keep a loop running
    on_state(completion::ok);
    loop_.run();
    if (channel_->state() != connectivity::ready) throw std::runtime_error("cannot connect to " + task_.target);
  }

  void on_state(completion how) {
    auto const state = channel_->state();
    if (state == connectivity::ready || how != completion::ok) return loop_.work_finished();
    if (state == connectivity::idle) channel_->connect();
    channel_->watch(changed_, "attempt", state, until_);
  }

  work const& task_;
  meter& measure_;
  EchoRequest const request_;
  method const& method_ = method::numbered("/millrace.echo.Echo/Say");
  metadata const headers_{};
  time_point until_{};
  loop loop_;
  grpc_transport transport_;
  channel* channel_;
  tag<&attempt_client::on_state> changed_{*this};
  std::deque<lane> lanes_;
};

}  // namespace

void run_attempt(work const& task, meter& measure) { attempt_client(task, measure).run(); }

}  // namespace millrace::peers
