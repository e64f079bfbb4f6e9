// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/target.hpp>

#include <support/catch.hpp>
#include <support/endpoint_log.hpp>

#include <string>
#include <utility>

using namespace millrace;
using namespace millrace::resolve;

namespace {

// "list a:1 b:1", "dns host port", "file path"
std::string told(target const& from) {
  if (auto const* const set = std::get_if<endpoint_set>(&from)) return "list " + test::endpoint_log::addresses(*set);
  if (auto const* const name = std::get_if<dns_name>(&from)) return "dns " + name->host + ' ' + name->port;
  return "file " + std::get<file_name>(from).path;
}

}  // namespace

TEST_CASE("target: each form says where its endpoints come from", "[resolve]") {
  for (auto const& [text, means] : {
           std::pair{"a:1", "list a:1"},
           {"a:1,b:2", "list a:1 b:2"},
           {"[::1]:1,unix:/x,unix:x,unix:///x/y,unix-abstract:z",
            "list [::1]:1 unix:/x unix:x unix:///x/y unix-abstract:z"},
           {"static:a:1,b:2", "list a:1 b:2"},
           {"ipv4:1.2.3.4:80,5.6.7.8:81", "list 1.2.3.4:80 5.6.7.8:81"},
           {"ipv6:[::1]:80,[fe80::1%eth0]:81", "list [::1]:80 [fe80::1%eth0]:81"},
           {"dns:///a.example:1", "dns a.example 1"},
           {"dns:a.example:65535", "dns a.example 65535"},
           {"dns:///[::1]:1", "dns ::1 1"},
           {"file:///etc/x y,z.json", "file /etc/x y,z.json"},
           // gRPC's own to resolve
           {"xds:///service", "list xds:///service"},
           {"google-c2p:///service:1", "list google-c2p:///service:1"},
           {"a:1,dns:///b:2", "list a:1 dns:///b:2"},
           {"dns:///a:1,dns:b:2", "list dns:///a:1 dns:b:2"},
       }) {
    INFO(text);
    CHECK(told(parse_target(text, "here")) == means);
  }
}

TEST_CASE("target: what cannot be read is refused with the endpoint, what is wrong and what is allowed", "[resolve]") {
  for (auto const& [text, says] : {
           std::pair{"", "\"\" is empty"},
           {"a:1,", "\"\" is empty"},
           {"a:1,,b:1", "\"\" is empty"},
           {"static:", "\"\" is empty"},
           {"a", "\"a\" is not host:port"},
           {":1", "\":1\" is not host:port"},
           {"a:", "\"a:\" has no port in 1..65535"},
           {"a:0", "\"a:0\" has no port in 1..65535"},
           {"a:65536", "\"a:65536\" has no port in 1..65535"},
           {"a:+1", "\"a:+1\" has no port in 1..65535"},
           {"a:80x", "\"a:80x\" has no port in 1..65535"},
           {"::1:5", "\"::1:5\" is an IPv6 address without brackets"},
           {"a/b:1", "\"a/b:1\" has a slash in its host"},
           {"a b:1", "\"a b:1\" has a space in it"},
           {"a:1, b:1", "\" b:1\" has a space in it"},
           {"a:1,b:1,a:1", "\"a:1\" is listed twice"},
           {"unix:", "\"unix:\" has no path"},
           {"unix:///", "\"unix:///\" has no path"},
           {"unix://host/x", "\"unix://host/x\" has an authority"},
           {"unix-abstract:", "\"unix-abstract:\" has no name"},
           {"ipv4:a:80", "\"a:80\" is not an IPv4 address with a port"},
           {"ipv4:1.2.3.4", "\"1.2.3.4\" is not host:port"},
           {"ipv4:1.2.3.4:80,1.2.3:81", "\"1.2.3:81\" is not an IPv4 address with a port"},
           {"ipv4:[::1]:80", "\"[::1]:80\" is not an IPv4 address with a port"},
           {"ipv6:1.2.3.4:80", "\"1.2.3.4:80\" is not a bracketed IPv6 address with a port"},
           {"ipv6:::1:80", "\"::1:80\" is an IPv6 address without brackets"},
           {"ipv6:[::g]:80", "\"[::g]:80\" is not a bracketed IPv6 address with a port"},
           {"a:1,ipv4:1.2.3.4:80", "\"ipv4:1.2.3.4:80\" has a scheme that stands for all endpoints of a target"},
           {"a:1,file:///x", "\"file:///x\" has a scheme that stands for all endpoints of a target"},
           {"dns:///a", "\"dns:///a\" is not host:port"},
           {"dns:a", "\"dns:a\" is not host:port"},
           {"dns:///a/b:1", "\"dns:///a/b:1\" has a slash in its host"},
           {"dns://8.8.8.8/a:1",
            "\"dns://8.8.8.8/a:1\" names an authority server, which is not supported: write dns:///host:port"},
           {"dns://a:1", "\"dns://a:1\" names an authority server"},
           {"a:1,dns://8.8.8.8/a:1", "\"dns://8.8.8.8/a:1\" names an authority server"},
           {"http://a:1", "\"http://a:1\" is a web address"},
           {"xds:///", "\"xds:///\" names nothing"},
       }) {
    INFO(text);
    CHECK_THROWS_WITH(parse_target(text, "here"), Catch::StartsWith(std::string("here: endpoint ") + says) &&
                                                      Catch::Contains("; allowed are host:port"));
  }
  for (char const* const text : {"file:", "file://host/x", "file:x", "file:///", "file:///x/"}) {
    INFO(text);
    CHECK_THROWS_WITH(
        parse_target(text, "here"),
        "here: \"" + std::string(text) + "\" names no file; allowed is file:///path, with an absolute path");
  }
}
