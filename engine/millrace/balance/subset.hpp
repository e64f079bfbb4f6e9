// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace::balance {

/// How many of a service's endpoints one client connects to. With hundreds of clients and hundreds of endpoints, everybody
/// connected to everybody is mostly idle connections and health checks.
struct aperture_params {
  /// Endpoints of each priority; a pool does not count those that are drained. 0: all.
  std::uint32_t size = 0;
  /// This client's number among `clients`, from 0, such as a StatefulSet's ordinal: no two clients have the same. None: the subset is
  /// chosen at random.
  std::optional<std::uint32_t> client_index{};
  /// How many clients there are, when this one has an index.
  std::uint32_t clients = 0;
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(aperture_params const& params, std::string_view field_prefix);

/// The indices of the endpoints to use, in the order given; all of them when there are no more than `size`. Expects validated
/// params. O(n log n).
///
/// With a client's index (after Finagle's deterministic aperture): the endpoints, ordered by hash, stand in a ring around which the
/// clients' subsets start at even distances. Of C clients each of n endpoints has size × C / n, rounded up or down: no two differ by
/// more than one. An endpoint that goes or comes changes at most one other in a subset, in about a third of the clients; a client
/// that goes or comes moves the others' starts.
///
/// Without (gRFC A68, random_subsetting): those with the greatest hash of endpoint and `seed` (rendezvous hashing), where the seed is
/// the client's own and stays what it is. Nobody has to know the others, and an endpoint that goes is replaced in the subsets that had
/// it and changes no other; but how many clients an endpoint has is chance: ± √(size × C / n).
std::vector<std::uint32_t> choose_subset(std::span<std::uint64_t const> endpoint_hashes, aperture_params const& params,
                                         std::uint64_t seed);

}  // namespace millrace::balance
