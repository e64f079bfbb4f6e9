// SPDX-License-Identifier: Apache-2.0
#include "stub.hpp"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include <array>
#include <deque>
#include <string_view>

namespace millrace::peers {
namespace {

constexpr char const* path = "/millrace.echo.Echo/Say";

// gRPC's retries off: as the engine does; and without the filters a unary call can spare
grpc_channel* open_channel(std::string const& target) {
  std::array<grpc_arg, 3> settings{};
  std::array<char const*, 3> const keys{GRPC_ARG_ENABLE_RETRIES, GRPC_ARG_MINIMAL_STACK, GRPC_ARG_ENABLE_CHANNELZ};
  std::array<int, 3> const values{0, 1, 0};
  for (std::size_t at = 0; at < settings.size(); ++at) {
    settings[at].type = GRPC_ARG_INTEGER;
    settings[at].key = const_cast<char*>(keys[at]);
    settings[at].value.integer = values[at];
  }
  grpc_channel_args const args{settings.size(), settings.data()};
  grpc_channel_credentials* const plain = grpc_insecure_credentials_create();
  grpc_channel* const made = grpc_channel_create(target.c_str(), plain, &args);
  grpc_channel_credentials_release(plain);
  return made;
}

class core_client {
 public:
  core_client(work const& task, meter& measure)
      : task_(task),
        measure_(measure),
        request_(request_of(task)),
        queue_(grpc_completion_queue_create_for_next(nullptr)),
        channel_(open_channel(task.target)),
        method_(grpc_channel_register_call(channel_, path, nullptr, nullptr)) {}
  core_client(core_client const&) = delete;
  core_client& operator=(core_client const&) = delete;
  ~core_client() {
    grpc_channel_destroy(channel_);
    grpc_completion_queue_shutdown(queue_);
    while (grpc_completion_queue_next(queue_, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr).type !=
           GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(queue_);
  }

  void run() {
    connect();
    unsigned running = 0;
    for (; running < task_.in_flight; ++running) {
      auto const begin = measure_.begin();
      if (!begin) break;
      start(lanes_.emplace_back(), *begin);
    }
    while (running > 0) {
      grpc_event const event = grpc_completion_queue_next(queue_, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr);
      auto& one = *static_cast<lane*>(event.tag);
      if (auto const next = finish(one)) {
        start(one, *next);
      } else {
        --running;
      }
    }
  }

 private:
  // what a call needs, used again by the next one
  struct lane {
    lane() {
      grpc_metadata_array_init(&initial);
      grpc_metadata_array_init(&trailing);
    }
    lane(lane const&) = delete;
    lane& operator=(lane const&) = delete;
    ~lane() {
      grpc_metadata_array_destroy(&initial);
      grpc_metadata_array_destroy(&trailing);
    }

    time_point began{};
    grpc_call* call = nullptr;
    grpc_metadata_array initial{};
    grpc_metadata_array trailing{};
    grpc_byte_buffer* received = nullptr;
    grpc_status_code code = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    EchoReply reply;
  };

  void connect() {
    auto const until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(connect_timeout.count(), GPR_TIMESPAN));
    for (auto state = grpc_channel_check_connectivity_state(channel_, 1); state != GRPC_CHANNEL_READY;
         state = grpc_channel_check_connectivity_state(channel_, 1)) {
      grpc_channel_watch_connectivity_state(channel_, state, until, queue_, nullptr);
      grpc_event const event = grpc_completion_queue_next(queue_, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr);
      if (event.success == 0) throw std::runtime_error("cannot connect to " + task_.target);
    }
  }

  grpc_byte_buffer* serialised() const {
    std::size_t const size = request_.ByteSizeLong();
    grpc_slice slice = grpc_slice_malloc(size);
    request_.SerializeWithCachedSizesToArray(GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer* const buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
  }

  void start(lane& one, time_point began) {
    one.began = began;
    auto const deadline = gpr_time_from_nanos(
        std::chrono::nanoseconds((began + call_timeout).time_since_epoch()).count(), GPR_CLOCK_MONOTONIC);
    one.call = grpc_channel_create_registered_call(channel_, nullptr, GRPC_PROPAGATE_DEFAULTS, queue_, method_,
                                                   deadline, nullptr);
    grpc_byte_buffer* const message = serialised();
    std::array<grpc_op, 6> ops{};
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = message;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &one.initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &one.received;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &one.trailing;
    ops[5].data.recv_status_on_client.status = &one.code;
    ops[5].data.recv_status_on_client.status_details = &one.details;
    grpc_call_error const error = grpc_call_start_batch(one.call, ops.data(), ops.size(), &one, nullptr);
    grpc_byte_buffer_destroy(message);
    if (error != GRPC_CALL_OK) throw std::runtime_error(grpc_call_error_to_string(error));
  }

  std::optional<time_point> finish(lane& one) {
    bool const good = one.code == GRPC_STATUS_OK && one.received != nullptr && parse(one) &&
                      one.reply.text().size() == task_.text.size();
    std::string why;
    if (!good)
      why.assign(reinterpret_cast<char const*>(GRPC_SLICE_START_PTR(one.details)), GRPC_SLICE_LENGTH(one.details));
    if (one.received != nullptr) grpc_byte_buffer_destroy(one.received);
    one.received = nullptr;
    grpc_slice_unref(one.details);
    one.details = grpc_empty_slice();
    one.initial.count = one.trailing.count = 0;
    grpc_call_unref(one.call);
    return good ? measure_.next(one.began) : measure_.failed(one.began, "core: " + why);
  }

  static bool parse(lane& one) {
    grpc_byte_buffer_reader reader;
    if (grpc_byte_buffer_reader_init(&reader, one.received) == 0) return false;
    grpc_slice const whole = grpc_byte_buffer_reader_readall(&reader);
    bool const parsed =
        one.reply.ParseFromArray(GRPC_SLICE_START_PTR(whole), static_cast<int>(GRPC_SLICE_LENGTH(whole)));
    grpc_slice_unref(whole);
    grpc_byte_buffer_reader_destroy(&reader);
    return parsed;
  }

  // from the first user to the last
  struct grpc_in_use {
    grpc_in_use() { grpc_init(); }
    ~grpc_in_use() { grpc_shutdown(); }
  };

  grpc_in_use in_use_;
  work const& task_;
  meter& measure_;
  EchoRequest const request_;
  grpc_completion_queue* queue_;
  grpc_channel* channel_;
  void* method_;
  std::deque<lane> lanes_;
};

}  // namespace

void run_core(work const& task, meter& measure) { core_client(task, measure).run(); }

}  // namespace millrace::peers
