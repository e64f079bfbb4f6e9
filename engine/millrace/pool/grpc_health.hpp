// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/pool/channel.hpp>

#include <grpcpp/channel.h>

#include <memory>
#include <string_view>

namespace millrace {

class loop;

/// Asks over gRPC, as channel::ask_health says. The call keeps the channel's connection until gRPC has let go of it. `endpoint` names it in the
/// loop's ledger.
health_call* start_health_call(loop& on, std::shared_ptr<grpc::Channel> const& channel, std::string_view endpoint,
                               health_question const& question, health_listener& listener);

}  // namespace millrace
