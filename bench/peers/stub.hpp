// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "client.hpp"

#include <echo.grpc.pb.h>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <optional>
#include <stdexcept>

namespace millrace::peers {

using echo::Echo;
using echo::EchoReply;
using echo::EchoRequest;

inline EchoRequest request_of(work const& task) {
  EchoRequest request;
  request.set_text(task.text);
  return request;
}

/// A stub on a channel that is connected.
inline std::unique_ptr<Echo::Stub> stub_on(std::shared_ptr<grpc::ChannelInterface> const& channel, work const& task) {
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + connect_timeout)) {
    throw std::runtime_error("cannot connect to " + task.target);
  }
  return Echo::NewStub(channel);
}

/// A stub as a tutorial makes it, connected.
inline std::unique_ptr<Echo::Stub> connected_stub(work const& task) {
  return stub_on(grpc::CreateChannel(task.target, grpc::InsecureChannelCredentials()), task);
}

/// The sentence of an answer that is none.
inline std::string wrong(grpc::Status const& status) {
  return status.ok() ? "an answer of the wrong length" : status.error_message();
}

/// What every client does with an answer: checks it and asks for the next call's beginning.
inline std::optional<time_point> judge(meter& measure, time_point began, work const& task, grpc::Status const& status,
                                       EchoReply const& reply) {
  if (status.ok() && reply.text().size() == task.text.size()) return measure.next(began);
  return measure.failed(began, wrong(status));
}

}  // namespace millrace::peers
