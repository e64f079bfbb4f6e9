// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/pool/grpc_access.hpp>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/impl/call.h>
#include <grpcpp/impl/call_op_set_interface.h>
#include <grpcpp/impl/codegen/interceptor_common.h>
#include <grpcpp/impl/rpc_method.h>
#include <grpcpp/support/client_interceptor.h>
#include <grpcpp/version_info.h>

#include <memory>
#include <utility>
#include <vector>

/// Whether this is a gRPC that stub channels are known to work with, which test/live/stub_channel_test.cpp says. They need
/// members that are not public, and what gRPC does behind those. With another one define this as 1 and run that test; where it
/// is 0 nothing of stub channels is compiled, and pool::stub_channel throws.
#ifndef MILLRACE_STUB_CHANNELS
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR == 51
#define MILLRACE_STUB_CHANNELS 1
#else
#define MILLRACE_STUB_CHANNELS 0
#endif
#endif

#if MILLRACE_STUB_CHANNELS

/// The private members of gRPC C++ that stub channels need, in the way of grpc_access.hpp: what a ChannelInterface has for its
/// befriended stubs, whether a context waits for ready and what it keeps, and what interception is made of.
namespace millrace::grpc_access {

struct channel_create_call {
  using type = grpc::internal::Call (grpc::ChannelInterface::*)(grpc::internal::RpcMethod const&, grpc::ClientContext*,
                                                                grpc::CompletionQueue*);
  friend type open(channel_create_call) noexcept;
};
template struct opener<channel_create_call, &grpc::ChannelInterface::CreateCall>;

struct channel_callback_queue {
  using type = grpc::CompletionQueue* (grpc::ChannelInterface::*)();
  friend type open(channel_callback_queue) noexcept;
};
template struct opener<channel_callback_queue, &grpc::ChannelInterface::CallbackCQ>;

struct context_wait_for_ready {
  using type = bool grpc::ClientContext::*;
  friend type open(context_wait_for_ready) noexcept;
};
template struct opener<context_wait_for_ready, &grpc::ClientContext::wait_for_ready_>;

struct context_channel {
  using type = std::shared_ptr<grpc::Channel> grpc::ClientContext::*;
  friend type open(context_channel) noexcept;
};
template struct opener<context_channel, &grpc::ClientContext::channel_>;

struct rpc_interceptors {
  using type = std::vector<std::unique_ptr<grpc::experimental::Interceptor>> grpc::experimental::ClientRpcInfo::*;
  friend type open(rpc_interceptors) noexcept;
};
template struct opener<rpc_interceptors, &grpc::experimental::ClientRpcInfo::interceptors_>;

struct batch_call {
  using type = grpc::internal::Call* grpc::internal::InterceptorBatchMethodsImpl::*;
  friend type open(batch_call) noexcept;
};
template struct opener<batch_call, &grpc::internal::InterceptorBatchMethodsImpl::call_>;

struct batch_operations {
  using type = grpc::internal::CallOpSetInterface* grpc::internal::InterceptorBatchMethodsImpl::*;
  friend type open(batch_operations) noexcept;
};
template struct opener<batch_operations, &grpc::internal::InterceptorBatchMethodsImpl::ops_>;

struct queue_complete_avalanching {
  using type = void (grpc::CompletionQueue::*)();
  friend type open(queue_complete_avalanching) noexcept;
};
template struct opener<queue_complete_avalanching, &grpc::CompletionQueue::CompleteAvalanching>;

inline grpc::internal::Call create_call(grpc::ChannelInterface& on, grpc::internal::RpcMethod const& method,
                                        grpc::ClientContext* context, grpc::CompletionQueue* queue) {
  return (on.*open(channel_create_call{}))(method, context, queue);
}

inline grpc::CompletionQueue* callback_queue_of(grpc::ChannelInterface& channel) {
  return (channel.*open(channel_callback_queue{}))();
}

inline bool waits_for_ready(grpc::ClientContext const& context) noexcept {
  return context.*open(context_wait_for_ready{});
}

/// The context of a call keeps its channel no longer. gRPC's core lets such a call go on; its operations need another hook.
inline void let_go_of_channel(grpc::ClientContext& context) noexcept { (context.*open(context_channel{})).reset(); }

/// After those the call has. Before its first operation.
inline void add_interceptor(grpc::internal::Call const& to, std::unique_ptr<grpc::experimental::Interceptor> one) {
  (to.client_rpc_info()->*open(rpc_interceptors{})).push_back(std::move(one));
}

/// Starts a batch, which its call's only interceptor is looking at, as one that is not intercepted: it does not go through its
/// queue again when it is done. False, and nothing is done, when there are more. Instead of `Proceed`; not of a cancellation.
inline bool start_unintercepted(grpc::experimental::InterceptorBatchMethods& methods) {
  auto& batch = static_cast<grpc::internal::InterceptorBatchMethodsImpl&>(methods);
  grpc::internal::Call& call = *(batch.*open(batch_call{}));
  if ((call.client_rpc_info()->*open(rpc_interceptors{})).size() != 1) return false;
  grpc::CompletionQueue& queue = *call.cq();
  call = grpc::internal::Call(call.call(), nullptr, &queue, nullptr);
  (queue.*open(queue_complete_avalanching{}))();  // an intercepted batch holds up its queue's shutdown
  (batch.*open(batch_operations{}))->ContinueFillOpsAfterInterception();
  return true;
}

}  // namespace millrace::grpc_access

#endif  // MILLRACE_STUB_CHANNELS
