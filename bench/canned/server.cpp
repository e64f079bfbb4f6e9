// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <fmt/format.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>

namespace millrace::canned {
namespace {

// a batch of requests: what a client wrote since the last read
constexpr std::size_t read_size = 256 * 1024;

int checked(int result, char const* what) {
  if (result < 0) throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno)));
  return result;
}

int open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return checked(signalfd(-1, &signals, SFD_CLOEXEC), "signalfd");
}

}  // namespace

struct server::peer {
  peer(int fd, std::optional<std::uint32_t> reply_bytes) : socket(fd), http(reply_bytes) {}

  descriptor socket;
  connection http;
  std::string in = std::string(read_size, '\0');
  std::size_t kept = 0;  // bytes at the front of `in`: the beginning of a frame
  std::string out;
  std::size_t written = 0;
};

descriptor::~descriptor() { close(number_); }

server::server(options const& wanted)
    : wanted_(wanted),
      listener_(checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")),
      signals_(open_signals()),
      epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
  int const on = 1;
  setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(wanted.port);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (bind(listener_.get(), any, size) != 0 || listen(listener_.get(), 128) != 0 ||
      getsockname(listener_.get(), any, &size) != 0) {
    throw std::runtime_error(fmt::format("cannot listen on 127.0.0.1:{}: {}", wanted.port, std::strerror(errno)));
  }
  address_ = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
  watch(listener_.get(), EPOLLIN, &listener_);
  watch(signals_.get(), EPOLLIN, &signals_);
}

server::~server() = default;

void server::watch(int fd, std::uint32_t events, void* what, bool known) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = what;
  checked(epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void server::run() {
  std::array<epoll_event, 64> events{};
  for (;;) {
    int const count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (count < 0 && errno == EINTR) continue;
    checked(count, "epoll_wait");
    for (epoll_event const& event : std::span(events.data(), static_cast<std::size_t>(count))) {
      if (event.data.ptr == &signals_) return;
      if (event.data.ptr == &listener_) {
        accept_one();
      } else if (auto& one = *static_cast<peer*>(event.data.ptr); !serve(one)) {
        forget(one);
      }
    }
  }
}

void server::accept_one() {
  int const fd = accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;  // it went away before we came
  auto& one = *peers_.emplace_back(std::make_unique<peer>(fd, wanted_.reply_bytes));
  int const on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  watch(fd, EPOLLIN, &one);
}

// false when the connection is over
bool server::serve(peer& one) {
  // a peer that does not read is not read from either
  if (!one.out.empty()) return write(one);
  return read(one) && write(one);
}

bool server::read(peer& one) {
  ssize_t const got = recv(one.socket.get(), one.in.data() + one.kept, one.in.size() - one.kept, 0);
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
  std::size_t const size = one.kept + static_cast<std::size_t>(got);
  std::uint64_t const before = one.http.answered();
  std::size_t const taken = one.http.receive({one.in.data(), size}, one.out);
  answered_ += one.http.answered() - before;
  one.kept = size - taken;
  if (one.kept > 0) std::memmove(one.in.data(), one.in.data() + taken, one.kept);
  return true;
}

bool server::write(peer& one) {
  if (one.out.empty()) return true;
  ssize_t const put = send(one.socket.get(), one.out.data() + one.written, one.out.size() - one.written, MSG_NOSIGNAL);
  if (put < 0 && errno != EAGAIN && errno != EINTR) return false;
  bool const was_waiting = one.written > 0 || put < 0;
  if (put > 0) one.written += static_cast<std::size_t>(put);
  if (one.written < one.out.size()) {
    watch(one.socket.get(), EPOLLOUT, &one, true);
    return true;
  }
  if (was_waiting) watch(one.socket.get(), EPOLLIN, &one, true);
  one.out.clear();
  one.written = 0;
  return !one.http.closing();
}

void server::forget(peer& one) {
  std::erase_if(peers_, [&one](auto const& each) { return each.get() == &one; });
}

}  // namespace millrace::canned
