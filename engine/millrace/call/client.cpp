// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/client.hpp>

#include <millrace/call/grpc_transport.hpp>

namespace millrace {

std::shared_ptr<client_core> make_grpc_client(pool& from, client_params params) {
  return std::make_shared<client_core>(from, std::make_unique<grpc_transport>(from.context()), std::move(params));
}

}  // namespace millrace
