// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/impl/endpoint_table.hpp>
#include <millrace/base/rng.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::balance {

struct ring_hash_params {
  /// Points on the ring over all endpoints: at least so many. 1 to `max_ring_size`.
  std::size_t min_ring_size = 1024;
  /// And at most, but one an endpoint. To 8 388 608.
  std::size_t max_ring_size = 4096;
  /// Endpoints to share the points out over, or the sum of their weights when they have any, if that is more than the pool has:
  /// room for some to come. An endpoint that is not ready has its share in any case (`candidate::pool_weight`), so that who leaves
  /// does not change the points of who stays.
  std::size_t endpoints = 0;
  /// An endpoint takes no call of a key's while that would give it more than so many times its part of the calls in flight, by
  /// weight; the next one on the ring does (Mirrokni, Thorup and Zadimoghaddam 2017). 1 to 1000; 0: no bound.
  double load_bound = 1.25;
};

/// A key's calls to one endpoint, by consistent hashing: each endpoint has points on a ring, and a call goes to the one whose
/// point is next after its key's hash (Ketama; gRFC A42, whose ring sizes these are). An endpoint that goes hands its keys on to
/// its neighbours, and takes them back when it returns; no other key moves. Of the endpoint's slots the least loaded is taken.
/// Calls without a key go anywhere. Every client with the same endpoints sends a key to the same one.
///
/// An endpoint has points by the weight that its source gave it (`candidate::endpoint_weight`). A slow start moves no keys, and has
/// no effect here.
///
/// With n points an endpoint shares differ by about 1 / √n, which is 5 % for three endpoints, and much with hundreds: then prefer
/// `maglev`. A pick is O(log ring size), and looks at the slots of the endpoints it passes, of which there are few. A rebuild that
/// changes endpoints or their weights sorts the ring.
class ring_hash {
 public:
  static constexpr std::string_view name = "ring_hash";

  /// std::invalid_argument names the field that is wrong.
  explicit ring_hash(std::uint64_t seed, ring_hash_params params = {});

  void rebuild(std::span<candidate const> candidates);
  std::optional<std::size_t> pick(pick_info const& info) noexcept;
  void on_done(done_info const&) noexcept {}

 private:
  std::size_t points_of(std::size_t group) const noexcept;

  impl::endpoint_table table_;         // one entry a point
  std::vector<std::uint64_t> points_;  // in order
  std::uint64_t pool_weight_ = 0;
  rng random_;
  ring_hash_params params_;
};

}  // namespace millrace::balance
