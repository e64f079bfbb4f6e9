// SPDX-License-Identifier: Apache-2.0
// pool::stub_channel: the pool as a channel for generated stubs (docs/design/0009-stub-channel.md).
#include <millrace/pool/grpc_stub_access.hpp>
#include <millrace/pool/pool.hpp>
#include <millrace/pool/stub_hub.hpp>

#include <grpc/grpc.h>
#include <grpcpp/impl/call_hook.h>
#include <grpcpp/impl/call_op_set_interface.h>
#include <grpcpp/impl/channel_interface.h>

#include <stdexcept>

#if MILLRACE_STUB_CHANNELS

namespace millrace {
namespace {

using grpc::experimental::InterceptionHookPoints;

/// One call, from its pick to its status. gRPC owns it as the call's interceptor, and destroys it with the call's context: that is
/// the end of a call whose status nobody asked for.
///
/// It does not keep the call's channel. That must go when its slot lets go of it, or the slot's watch would not end; gRPC's core
/// lets calls that are under way go on.
class flight final : public grpc::experimental::Interceptor {
 public:
  flight(std::shared_ptr<stub_hub> hub, stub_hub::place at, grpc_call* call) noexcept
      : hub_(std::move(hub)), channel_(at.channel), call_(call), at_(std::move(at)) {
    at_.channel.reset();
  }
  ~flight() override { land(status_code::cancelled); }

  // only the batch with the status needs to be seen when it is done
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_CANCEL)) return methods->Proceed();
    std::shared_ptr<grpc::Channel> kept;  // this may be gone when the operations are started
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) kept = start();
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_STATUS)) end(*methods->GetRecvStatus());
    if (methods->GetRecvStatus() == nullptr && grpc_access::start_unintercepted(*methods)) return;
    methods->Proceed();
  }

 private:
  // a call that was prepared, but is started only when its channel is gone, would wait for ever
  std::shared_ptr<grpc::Channel> start() const noexcept {
    std::shared_ptr<grpc::Channel> channel = channel_.lock();
    if (channel == nullptr) grpc_call_cancel_with_status(call_, GRPC_STATUS_UNAVAILABLE, closed, nullptr);
    return channel;
  }

  // what gRPC says of a call that was still waiting for a connection is its own name for that
  void end(grpc::Status& status) noexcept {
    if (status.error_code() == grpc::StatusCode::UNKNOWN && status.error_message() == "Channel Destroyed") {
      status = grpc::Status(grpc::StatusCode::UNAVAILABLE, closed);
    }
    land(static_cast<status_code>(status.error_code()));
  }

  void land(status_code code) noexcept {
    if (at_.slot == nullptr) return;
    hub_->done(at_, code);
    at_.slot.reset();
  }

  static constexpr char const* closed = "the pool has closed the connection";

  std::shared_ptr<stub_hub> const hub_;  // also keeps the callback API's queue
  std::weak_ptr<grpc::Channel> const channel_;
  grpc_call* const call_;
  stub_hub::place at_;
};

/// Starts a call's operations, as grpc::Channel does for calls of its own.
class own_hook final : public grpc::internal::CallHook {
 public:
  void PerformOpsOnCall(grpc::internal::CallOpSetInterface* operations, grpc::internal::Call* call) override {
    operations->FillOps(call);
  }
};

/// A channel whose every call goes where the pool's picker says. Stubs may share it, and outlive the pool with it.
class pooled_channel final : public grpc::ChannelInterface {
 public:
  explicit pooled_channel(std::shared_ptr<stub_hub> hub) noexcept : hub_(std::move(hub)) { hub_->add_user(); }
  ~pooled_channel() override { hub_->drop_user(); }

  grpc_connectivity_state GetState(bool) override { return hub_->state(); }

 private:
  grpc::internal::Call CreateCall(grpc::internal::RpcMethod const& method, grpc::ClientContext* context,
                                  grpc::CompletionQueue* queue) override {
    static own_hook hook;
    stub_hub::place const at = hub_->pick(grpc_access::waits_for_ready(*context));
    grpc::internal::Call const made = grpc_access::create_call(*at.channel, method, context, queue);
    if (at.slot != nullptr) grpc_access::let_go_of_channel(*context);
    grpc_access::add_interceptor(made, std::make_unique<flight>(hub_, at, made.call()));
    return {made.call(), &hook, queue, made.client_rpc_info()};
  }

  grpc::internal::Call CreateCallInternal(grpc::internal::RpcMethod const& method, grpc::ClientContext* context,
                                          grpc::CompletionQueue* queue, std::size_t) override {
    return CreateCall(method, context, queue);
  }

  void PerformOpsOnCall(grpc::internal::CallOpSetInterface* operations, grpc::internal::Call* call) override {
    operations->FillOps(call);
  }

  // a method's handle is good for one channel; without one gRPC goes by the method's name
  void* RegisterMethod(char const*) override { return nullptr; }

  void NotifyOnStateChangeImpl(grpc_connectivity_state last, gpr_timespec deadline, grpc::CompletionQueue* queue,
                               void* tag) override {
    hub_->watch(last, deadline, queue, tag);
  }

  bool WaitForStateChangeImpl(grpc_connectivity_state last, gpr_timespec deadline) override {
    grpc::CompletionQueue queue;
    hub_->watch(last, deadline, &queue, nullptr);
    void* tag = nullptr;
    bool changed = false;
    queue.Next(&tag, &changed);
    return changed;
  }

  grpc::CompletionQueue* CallbackCQ() override { return hub_->callback_queue(); }

  std::shared_ptr<stub_hub> const hub_;
};

}  // namespace

std::shared_ptr<grpc::ChannelInterface> pool::stub_channel() {
  if (!params_.stub_calls) throw std::logic_error("pool::stub_channel: pool_params.stub_calls is false");
  if (dynamic_cast<grpc_channel_factory*>(channels_.get()) == nullptr) {
    throw std::logic_error("pool::stub_channel: the pool's channels are not gRPC's");
  }
  if (outside_ == nullptr) {
    publish_to(std::make_shared<stub_hub>(loop_, bound<void()>::to<&pool::on_outside_calls>(*this),
                                          stub_hub::params{.picker = make_picker(),
                                                           .max_calls_per_slot = params_.max_calls_per_slot,
                                                           .grow_at = params_.scaling.grow_at,
                                                           .dialer = grpc_dialer(params_)}));
  }
  return std::make_shared<pooled_channel>(std::static_pointer_cast<stub_hub>(outside_));
}

}  // namespace millrace

#else

namespace millrace {

std::shared_ptr<grpc::ChannelInterface> pool::stub_channel() {
  throw std::logic_error("pool::stub_channel: this millrace was built with gRPC " GRPC_CPP_VERSION_STRING
                         ", which is not known to let stubs use a pool; 1.51 is (pool/grpc_stub_access.hpp)");
}

}  // namespace millrace

#endif  // MILLRACE_STUB_CHANNELS
