// SPDX-License-Identifier: Apache-2.0
// Which socket is a channel's connection.
#include <millrace/pool/socket_mutator.hpp>
#include <millrace/pool/socket_tap.hpp>

#include <support/corked.hpp>

#include <sys/stat.h>

#include <array>
#include <string>
#include <vector>

using namespace millrace;
using namespace millrace::test;

namespace {

bool same_socket(int one, int other) {
  struct stat a {};
  struct stat b {};
  return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_ino == b.st_ino;
}

}  // namespace

TEST_CASE("tap: gRPC is one whose sockets are known, at build time and at run time", "[live][cork]") {
  CHECK(impl::why_no_sockets(1, 51, "1.51.1").empty());
  CHECK(impl::why_no_sockets(1, 38, "1.38.0").empty());
  CHECK(impl::why_no_sockets(1, 51, "1.54.0") == "built with gRPC 1.51, running with 1.54.0");
  CHECK(impl::why_no_sockets(1, 51, "1.5.1") == "built with gRPC 1.51, running with 1.5.1");
  CHECK(impl::why_no_sockets(1, 52, "1.52.0") == "built with gRPC 1.52, whose sockets are not known how to reach");
  CHECK_FALSE(impl::why_no_sockets(1, 37, "1.37.0").empty());
  CHECK_FALSE(impl::why_no_sockets(2, 40, "2.40.0").empty());
}

TEST_CASE("tap: a socket is the connection's once it is connected; until then, the one before it", "[live][cork]") {
  tcp_listener const listener;
  socket_tap tap("127.0.0.1:" + std::to_string(listener.port()));
  CHECK(tap.why_none() == "gRPC has shown no TCP socket");
  std::array<int, 3> sockets{};
  int before = -1;
  for (int& one : sockets) {
    one = socket(AF_INET, SOCK_STREAM, 0);
    tap.take(one);
    CHECK(tap.descriptor() == before);
    CHECK(tap.descriptor() == before);
    CHECK(tap.why_none().empty());
    listener.connect(one);
    before = tap.descriptor();
    CHECK(before != one);
    CHECK(same_socket(before, one));
  }
  for (int const one : sockets) close(one);
}

TEST_CASE("tap: a dial that failed leaves the connection before it, and one that is to be dialed is found",
          "[live][cork]") {
  tcp_listener const listener;
  socket_tap tap("localhost:" + std::to_string(listener.port()));
  tcp_pair const elsewhere;
  int const first = socket(AF_INET, SOCK_STREAM, 0);
  listener.connect(first);
  tap.take(first);
  CHECK(same_socket(tap.descriptor(), first));
  int const failed = socket(AF_INET, SOCK_STREAM, 0);
  tap.take(failed);
  CHECK(same_socket(tap.descriptor(), first));
  tap.take(elsewhere.near());
  CHECK(same_socket(tap.descriptor(), first));
  int const next = socket(AF_INET, SOCK_STREAM, 0);
  tap.take(next);
  listener.connect(next);
  CHECK(same_socket(tap.descriptor(), next));
  for (int const one : {first, failed, next}) close(one);
}

TEST_CASE("tap: a socket's peer is the endpoint, as far as it says", "[live][cork]") {
  tcp_listener const listener;
  std::string const port = std::to_string(listener.port());
  auto const taps = [&](std::string const& endpoint, int family) {
    INFO(endpoint);
    socket_tap tap(endpoint);
    int const one = socket(family, SOCK_STREAM, 0);
    if (family == AF_INET) {
      listener.connect(one);
    } else {  // as gRPC does: an IPv4 address, mapped
      sockaddr_in6 mapped{};
      mapped.sin6_family = AF_INET6;
      mapped.sin6_port = htons(static_cast<std::uint16_t>(listener.port()));
      REQUIRE(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr) == 1);
      REQUIRE(connect(one, reinterpret_cast<sockaddr const*>(&mapped), sizeof mapped) == 0);
    }
    int const far = listener.accept();
    tap.take(one);
    bool const tapped = tap.descriptor() >= 0;
    CHECK(tapped == tap.why_none().empty());
    if (!tapped) CHECK(tap.why_none() == "gRPC's socket is connected to another address than the endpoint's");
    close(one);
    close(far);
    return tapped;
  };
  std::vector<int> families{AF_INET};
  if (std::filesystem::exists("/proc/net/if_inet6")) families.push_back(AF_INET6);
  for (int const family : families) {
    INFO((family == AF_INET ? "IPv4" : "IPv6, mapped"));
    for (auto const* const host : {"127.0.0.1", "localhost", "some.where", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]",
                                   "dns:127.0.0.1", "dns:///127.0.0.1", "dns:///localhost", "[fe80::1%lo]"}) {
      CHECK(taps(host + (':' + port), family));
    }
    CHECK(taps("xds:///service", family));
    CHECK_FALSE(taps("127.0.0.2:" + port, family));
    CHECK_FALSE(taps("[::1]:" + port, family));
    CHECK_FALSE(taps("127.0.0.1:1", family));
    CHECK_FALSE(taps("localhost:1", family));
    CHECK_FALSE(taps("dns:///localhost:1", family));
  }
}
