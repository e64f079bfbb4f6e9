// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything that a program with clients over gRPC uses. Parts of it compile faster alone; the simulator is apart, in
// <millrace/sim/world.hpp>.

#include <millrace/balance/any_picker.hpp>
#include <millrace/balance/least_request.hpp>
#include <millrace/balance/maglev.hpp>
#include <millrace/balance/peak_ewma.hpp>
#include <millrace/balance/pick_first.hpp>
#include <millrace/balance/ring_hash.hpp>
#include <millrace/balance/round_robin.hpp>
#include <millrace/call/client.hpp>
#include <millrace/intercept/bearer_token.hpp>
#include <millrace/intercept/chain.hpp>
#include <millrace/intercept/logging.hpp>
#include <millrace/intercept/static_chain.hpp>
#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/loop/loop_group.hpp>
#include <millrace/loop/steady_timer.hpp>
#include <millrace/metrics/counters.hpp>
#include <millrace/metrics/logging_observer.hpp>
#include <millrace/metrics/observer_list.hpp>
#include <millrace/pool/grpc_channel.hpp>
#include <millrace/pool/pool.hpp>
#include <millrace/resolve/make_resolver.hpp>
#include <millrace/resolve/manual_endpoints.hpp>
