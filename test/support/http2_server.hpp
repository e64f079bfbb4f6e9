// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/catch.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::test {

/// A server that knows just enough of HTTP/2 to answer a unary call byte by byte, as no real server would. Its script runs
/// once a request, on the connection's thread, and says what to send.
class http2_server {
 public:
  using fields = std::vector<std::pair<std::string, std::string>>;

  /// One request of which all has arrived.
  class exchange {
   public:
    /// Which request this is to the server, from 1.
    int number() const noexcept { return number_; }

    /// Its headers, compressed: names and values that gRPC has not sent before are in it as they are, each behind its length.
    std::string const& block() const noexcept { return block_; }

    /// `:status: 200` and content-type, as a response begins, with `more` behind them.
    void headers(fields const& more = {}, bool end = false) {
      std::string block = "\x88";
      append(block, "content-type", "application/grpc");
      for (auto const& [key, value] : more) append(block, key, value);
      frame(1, end ? 0x5 : 0x4, block);
    }
    void trailers(fields const& all) {
      std::string block;
      for (auto const& [key, value] : all) append(block, key, value);
      frame(1, 0x5, block);
    }
    /// A gRPC message, uncompressed.
    void message(std::string const& bytes) {
      std::string framed(1, '\0');
      for (int shift = 24; shift >= 0; shift -= 8) framed += static_cast<char>(bytes.size() >> shift);
      frame(0, 0, framed + bytes);
    }
    void data(std::string const& bytes) { frame(0, 0, bytes); }
    void reset(std::uint32_t error) {
      std::string code;
      for (int shift = 24; shift >= 0; shift -= 8) code += static_cast<char>(error >> shift);
      frame(3, 0, code);
    }
    /// The connection takes no more streams, and has processed none after `last`.
    void go_away(std::uint32_t last) {
      std::string payload;
      for (std::uint32_t const word : {last, std::uint32_t{0}}) {
        for (int shift = 24; shift >= 0; shift -= 8) payload += static_cast<char>(word >> shift);
      }
      send_all(socket_, http2_server::frame(7, 0, 0, payload));
    }
    std::uint32_t stream() const noexcept { return stream_; }
    void raw(std::string const& bytes) { send_all(socket_, bytes); }
    /// Cuts the connection off.
    void cut() { shutdown(socket_, SHUT_RDWR); }

   private:
    friend class http2_server;
    exchange(int socket, std::uint32_t stream, int number, std::string const& block)
        : socket_(socket), stream_(stream), number_(number), block_(block) {}

    static void append(std::string& block, std::string_view key, std::string_view value) {
      block += '\0';  // literal, not indexed, with a new name
      (block += static_cast<char>(key.size())).append(key);
      (block += static_cast<char>(value.size())).append(value);
    }
    void frame(int type, int flags, std::string const& payload) {
      send_all(socket_, http2_server::frame(type, flags, stream_, payload));
    }

    int socket_;
    std::uint32_t stream_;
    int number_;
    std::string const& block_;
  };
  using script = std::function<void(exchange&)>;

  /// With `greeting`, each new connection gets these bytes instead of HTTP/2's SETTINGS.
  explicit http2_server(script on_request, std::string greeting = frame(4, 0, 0, ""))
      : script_(std::move(on_request)), greeting_(std::move(greeting)), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(listen(listener_, 64) == 0);
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~http2_server() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    close(listener_);
    for (connection& one : connections_) shutdown(one.socket, SHUT_RDWR);
    for (connection& one : connections_) {
      one.thread.join();
      close(one.socket);
    }
  }
  http2_server(http2_server const&) = delete;
  http2_server& operator=(http2_server const&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int requests() const noexcept { return requests_; }
  int connections() const noexcept { return accepted_; }

  static std::string frame(int type, int flags, std::uint32_t stream, std::string const& payload) {
    std::string bytes;
    for (int shift = 16; shift >= 0; shift -= 8) bytes += static_cast<char>(payload.size() >> shift);
    (bytes += static_cast<char>(type)) += static_cast<char>(flags);
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(stream >> shift);
    return bytes + payload;
  }

 private:
  struct connection {
    int socket;
    std::thread thread{};
  };

  static void send_all(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t const sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  static bool receive(int socket, std::string& into, std::size_t size) {
    into.resize(size);
    return size == 0 || recv(socket, into.data(), size, MSG_WAITALL) == static_cast<ssize_t>(size);
  }

  void accept_all() {
    for (;;) {
      int const accepted = accept(listener_, nullptr, nullptr);
      if (accepted < 0) return;
      ++accepted_;
      connection& one = connections_.emplace_back(connection{accepted});
      one.thread = std::thread([this, accepted] { serve(accepted); });
    }
  }

  void serve(int socket) {
    send_all(socket, greeting_);
    std::string head, payload;
    std::map<std::uint32_t, std::string> blocks;
    if (!receive(socket, head, 24)) return;  // PRI * HTTP/2.0 …
    while (receive(socket, head, 9)) {
      auto const byte = [&](std::size_t at) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(head[at]));
      };
      std::uint32_t const size = byte(0) << 16 | byte(1) << 8 | byte(2);
      std::uint32_t const type = byte(3), flags = byte(4);
      std::uint32_t const stream = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
      if (!receive(socket, payload, size)) return;
      if ((type == 4 || type == 6) && (flags & 1) == 0)
        send_all(socket, frame(static_cast<int>(type), 1, 0, type == 6 ? payload : ""));
      if (type == 1 || type == 9) blocks[stream] += payload;  // HEADERS or CONTINUATION
      if (type <= 1 && (flags & 1) != 0) {                    // DATA or HEADERS that ends the request
        exchange one(socket, stream, ++requests_, blocks[stream]);
        script_(one);
        blocks.erase(stream);
      }
    }
  }

  script script_;
  std::string greeting_;
  int listener_;
  int port_ = 0;
  std::atomic<int> requests_ = 0;
  std::atomic<int> accepted_ = 0;
  std::list<connection> connections_;  // the acceptor's until it is joined
  std::thread acceptor_;
};

}  // namespace millrace::test
