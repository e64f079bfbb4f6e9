// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/socket_tap.hpp>

#include <millrace/resolve/impl/address.hpp>

#include <arpa/inet.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <string>
#include <utility>

namespace millrace {
namespace {

bool is_connected(int descriptor, sockaddr_storage& peer) noexcept {
  socklen_t size = sizeof peer;
  return getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

void drop(int descriptor) noexcept {
  if (descriptor >= 0) close(descriptor);
}

bool same(in6_addr const& a, in6_addr const& b) noexcept { return std::memcmp(&a, &b, sizeof a) == 0; }

in6_addr mapped(in_addr const& v4) noexcept {
  in6_addr made{};
  made.s6_addr[10] = made.s6_addr[11] = 0xff;
  std::memcpy(&made.s6_addr[12], &v4, sizeof v4);
  return made;
}

// none for a name, which may be any address, and for the unspecified one, which is connected to as this host's own
std::optional<in6_addr> address_of(std::string const& host) {
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1 && v4.s_addr != INADDR_ANY) return mapped(v4);
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6)) return v6;
  return std::nullopt;
}

}  // namespace

socket_tap::socket_tap(std::string_view endpoint) {
  if (endpoint.starts_with("dns:")) endpoint.remove_prefix(endpoint.starts_with("dns:///") ? 7 : 4);
  if (endpoint.find("://") != endpoint.npos) return;
  auto const [host, port] = resolve::impl::split_host_port(endpoint);
  address_ = address_of(host);
  std::from_chars(port.data(), port.data() + port.size(),
                  port_);  // what is no number stays 0, as for sockets without one
}

socket_tap::~socket_tap() {
  drop(current_);
  drop(dialing_);
  drop(caught_.load(std::memory_order_acquire));
}

void socket_tap::install(grpc::ChannelArguments& args) {
  show_sockets(args, socket_use::client_connection, shared_from_this());
}

void socket_tap::take(int descriptor) noexcept {
  drop(caught_.exchange(second_descriptor(descriptor), std::memory_order_acq_rel));
}

int socket_tap::descriptor() {
  if (int const fresh = caught_.exchange(-1, std::memory_order_acq_rel); fresh >= 0) {
    drop(std::exchange(dialing_, fresh));
  }
  sockaddr_storage peer{};
  if (dialing_ < 0 || !is_connected(dialing_, peer)) return current_;
  elsewhere_ = !is_endpoint(peer);
  if (!elsewhere_) std::swap(current_, dialing_);
  drop(std::exchange(dialing_, -1));
  return current_;
}

std::string_view socket_tap::why_none() const noexcept {
  if (current_ >= 0 || dialing_ >= 0 || caught_.load(std::memory_order_relaxed) >= 0) return {};
  return elsewhere_ ? "gRPC's socket is connected to another address than the endpoint's"
                    : "gRPC has shown no TCP socket";
}

bool socket_tap::is_endpoint(sockaddr_storage const& peer) const noexcept {
  if (port_ == 0) return true;
  if (peer.ss_family == AF_INET) {
    auto const& v4 = reinterpret_cast<sockaddr_in const&>(peer);
    return ntohs(v4.sin_port) == port_ && (!address_ || same(*address_, mapped(v4.sin_addr)));
  }
  auto const& v6 = reinterpret_cast<sockaddr_in6 const&>(peer);
  return ntohs(v6.sin6_port) == port_ && (!address_ || same(*address_, v6.sin6_addr));
}

}  // namespace millrace
