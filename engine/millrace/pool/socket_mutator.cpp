// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/socket_mutator.hpp>

#include <grpc/support/sync.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/version_info.h>

#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

// The layout of gRPC's src/core/lib/iomgr/socket_mutator.h, unchanged from 1.38 to 1.51; grpc_socket_mutator_init is exported.
// gRPC declares these at global scope.
enum grpc_fd_usage { GRPC_FD_CLIENT_CONNECTION_USAGE, GRPC_FD_SERVER_LISTENER_USAGE, GRPC_FD_SERVER_CONNECTION_USAGE };

struct grpc_mutate_socket_info {
  int fd;
  grpc_fd_usage usage;
};

struct grpc_socket_mutator_vtable {
  bool (*mutate_fd)(int fd, grpc_socket_mutator* mutator);
  int (*compare)(grpc_socket_mutator* a, grpc_socket_mutator* b);
  void (*destroy)(grpc_socket_mutator* mutator);
  bool (*mutate_fd_2)(grpc_mutate_socket_info const* info, grpc_socket_mutator* mutator);
};

struct grpc_socket_mutator {
  grpc_socket_mutator_vtable const* vtable;
  gpr_refcount refcount;
};

void grpc_socket_mutator_init(grpc_socket_mutator* mutator, grpc_socket_mutator_vtable const* vtable);

namespace millrace {
namespace {

constexpr bool is_layout_known(int major, int minor) noexcept { return major == 1 && minor >= 38 && minor <= 51; }

grpc_fd_usage to_grpc(socket_use use) noexcept {
  switch (use) {
    case socket_use::client_connection: return GRPC_FD_CLIENT_CONNECTION_USAGE;
    case socket_use::server_connection: return GRPC_FD_SERVER_CONNECTION_USAGE;
  }
  return GRPC_FD_CLIENT_CONNECTION_USAGE;
}

/// What gRPC holds; it goes with gRPC's last copy of the arguments.
class mutator final : public grpc_socket_mutator {
 public:
  mutator(socket_use use, std::shared_ptr<socket_catcher> catcher) : use_(to_grpc(use)), catcher_(std::move(catcher)) {
    static constexpr grpc_socket_mutator_vtable functions = {
        .mutate_fd = nullptr,  // not called where there is the other
        .compare = [](grpc_socket_mutator* a, grpc_socket_mutator* b) { return a == b ? 0 : (a < b ? -1 : 1); },
        .destroy = [](grpc_socket_mutator* self) { delete static_cast<mutator*>(self); },
        .mutate_fd_2 =
            [](grpc_mutate_socket_info const* info, grpc_socket_mutator* self) {
              auto const& mine = *static_cast<mutator*>(self);
              if (info->usage == mine.use_) mine.catcher_->take(info->fd);
              return true;
            },
    };
    grpc_socket_mutator_init(this, &functions);
  }

 private:
  grpc_fd_usage const use_;
  std::shared_ptr<socket_catcher> const catcher_;
};

bool is_tcp(int descriptor) noexcept {
  int domain = 0;
  int type = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
  size = sizeof type;
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return false;
  return (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM;
}

}  // namespace

std::string impl::why_no_sockets(int major, int minor, std::string_view loaded) {
  std::string const built = std::to_string(major) + '.' + std::to_string(minor);
  if (!is_layout_known(major, minor)) return "built with gRPC " + built + ", whose sockets are not known how to reach";
  if (!loaded.starts_with(built + '.')) return "built with gRPC " + built + ", running with " + std::string(loaded);
  return {};
}

std::string_view why_no_sockets() {
  static std::string const why = impl::why_no_sockets(GRPC_CPP_VERSION_MAJOR, GRPC_CPP_VERSION_MINOR, grpc::Version());
  return why;
}

void show_sockets(grpc::ChannelArguments& args, socket_use use, std::shared_ptr<socket_catcher> catcher) {
  // an unknown gRPC need not even have what the mutator calls
  if constexpr (is_layout_known(GRPC_CPP_VERSION_MAJOR, GRPC_CPP_VERSION_MINOR)) {
    if (can_tap_sockets()) args.SetSocketMutator(new mutator(use, std::move(catcher)));
  }
}

int second_descriptor(int of) noexcept { return is_tcp(of) ? fcntl(of, F_DUPFD_CLOEXEC, 0) : -1; }

}  // namespace millrace
