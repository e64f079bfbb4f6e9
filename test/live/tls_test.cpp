// SPDX-License-Identifier: Apache-2.0
// Calls over TLS.
#include <millrace/pool/pool.hpp>

#include <support/call_once.hpp>
#include <support/certificates.hpp>
#include <support/echo_server.hpp>

#include <grpcpp/security/credentials.h>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<grpc::ServerCredentials> server_credentials() {
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({test_key, test_certificate});
  return grpc::SslServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> trusting(char const* certificate) {
  return grpc::SslCredentials({.pem_root_certs = certificate, .pem_private_key = {}, .pem_cert_chain = {}});
}

}  // namespace

TEST_CASE("tls: a call to a server whose certificate is trusted", "[live][tls]") {
  echo_server server(0, server_credentials());
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .credentials = trusting(test_certificate)}};
  auto const reply = call_once(loop, pool, saying("secret"), {.timeout = 20s});
  INFO(why(reply));
  REQUIRE(reply.has_value());
  CHECK(reply->text() == "secret");
}

TEST_CASE("tls: a server whose certificate is not trusted is unavailable, and the call says why", "[live][tls]") {
  echo_server server(0, server_credentials());
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .credentials = trusting(other_certificate)}};
  auto const reply = call_once(loop, pool, saying("secret"), {.timeout = 20s});
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK_THAT(reply.error().error_message(), Catch::Contains(server.address()));
  CHECK_THAT(reply.error().error_message(), Catch::Contains("certificate verify failed", Catch::CaseSensitive::No));
  CHECK(server.calls() == 0);
}

TEST_CASE("tls: plain text to a TLS server fails, with a reason", "[live][tls]") {
  echo_server server(0, server_credentials());
  millrace::loop loop;
  millrace::pool pool{loop, {.target = server.address(), .slot = {.dial_timeout = 5s}}};
  auto const reply = call_once(loop, pool, saying("not so secret"), {.timeout = 20s});
  INFO(why(reply));
  REQUIRE(reply.has_error());
  CHECK(reply.error().error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK_THAT(reply.error().error_message(), Catch::Contains(server.address()));
  CHECK(server.calls() == 0);
}

TEST_CASE("tls: a server is expected to be its endpoint's authority, which a name's addresses have", "[live][tls]") {
  // the certificate is for localhost and 127.0.0.1
  echo_server server("127.0.0.2:0", server_credentials());
  std::string const port = std::to_string(server.port());
  auto const ask = [&](std::string authority) {
    millrace::loop loop;
    millrace::pool pool{loop, {.target = "127.0.0.2:" + port, .credentials = trusting(test_certificate)}};
    pool.update_endpoints({{.address = "127.0.0.2:" + port, .authority = std::move(authority)}});
    return call_once(loop, pool, saying("secret"), {.timeout = 20s});
  };
  auto const right = ask("localhost:" + port);
  INFO(why(right));
  CHECK(right.has_value());
  CHECK(ask("elsewhere:" + port).has_error());
  CHECK(ask("").has_error());
}

TEST_CASE("tls: a name that the engine looks up is what the certificate must be for", "[live][tls]") {
  echo_server server(0, server_credentials());
  millrace::loop loop;
  millrace::pool pool{
      loop, {.target = "dns:///localhost:" + std::to_string(server.port()), .credentials = trusting(test_certificate)}};
  auto const reply = call_once(loop, pool, saying("secret"), {.timeout = 20s});
  INFO(why(reply));
  CHECK(reply.has_value());
}
