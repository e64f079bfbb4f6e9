// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/grpc_channel.hpp>

#include <millrace/loop/cq_port.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/pool/grpc_access.hpp>
#include <millrace/pool/grpc_health.hpp>
#include <millrace/pool/grpc_time.hpp>
#include <millrace/pool/method.hpp>
#include <millrace/pool/pool.hpp>
#include <millrace/pool/socket_tap.hpp>
#include <millrace/pool/turn_cork.hpp>

#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <limits>
#include <span>

namespace millrace {
namespace {

connectivity from_grpc(grpc_connectivity_state state) noexcept {
  switch (state) {
    case GRPC_CHANNEL_IDLE: return connectivity::idle;
    case GRPC_CHANNEL_CONNECTING: return connectivity::connecting;
    case GRPC_CHANNEL_READY: return connectivity::ready;
    case GRPC_CHANNEL_TRANSIENT_FAILURE: return connectivity::transient_failure;
    case GRPC_CHANNEL_SHUTDOWN: return connectivity::shutdown;
  }
  return connectivity::shutdown;
}

int milliseconds(duration value) noexcept {
  auto const ms = std::chrono::ceil<std::chrono::milliseconds>(value).count();
  return static_cast<int>(std::min<decltype(ms)>(ms, std::numeric_limits<int>::max()));
}

// host:port becomes an address or a name to resolve, a target with a scheme stays as it is. The target must differ from every peer name, by which the engine knows a
// call that reached no connection (docs/design/0004-what-never-left.md): a scheme does that for names, and a query, which its
// resolver does not look at, for sockets of this machine
std::string grpc_target(std::string const& endpoint) {
  if (endpoint.starts_with("unix:") || endpoint.starts_with("unix-abstract:")) return endpoint + "?m=1";
  if (endpoint.starts_with("dns:") || endpoint.find("://") != endpoint.npos) return endpoint;
  return "dns:///" + endpoint;
}

}  // namespace

pool::pool(loop& on, pool_params params) : pool(on, params, std::make_unique<grpc_channel_factory>(on, params)) {}

/// A call on a channel in TRANSIENT_FAILURE that does not wait for it: gRPC answers at once with the reason of the failure and
/// sends nothing, which is the only way its public API tells. Outlives the channel if need be.
class grpc_channel::question {
 public:
  question(loop& on, std::string const& endpoint, bound<void(std::string_view)> say)
      : loop_(on), endpoint_(endpoint), say_(say) {}

  void ask(std::shared_ptr<grpc::Channel> const& channel, grpc::CompletionQueue& queue) {
    loop_.start(answer_, op_kind::probe, endpoint_, [&](void* tag) {
      context_.set_deadline(to_timespec(loop_.now() + std::chrono::seconds(1)));
      grpc::GenericStub stub(channel);
      reader_ = stub.PrepareUnaryCall(&context_, "/millrace.Probe/Why", grpc::ByteBuffer(), &queue);
      reader_->StartCall();
      reader_->Finish(&reply_, &status_, tag);
    });
  }

  void forget() noexcept {
    asker_ = nullptr;
    say_ = {};
  }

  grpc_channel* asker_ = nullptr;

 private:
  void on_answer(completion how) {
    if (asker_ != nullptr) asker_->question_ = nullptr;
    auto const say = say_;
    std::string const why = status_.error_message();
    delete this;
    if (say && how != completion::abandoned) say(why);
  }

  loop& loop_;
  std::string endpoint_;
  bound<void(std::string_view)> say_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  grpc::ByteBuffer reply_;
  grpc::Status status_;
  tag<&question::on_answer> answer_{*this};
};

grpc_channel::grpc_channel(loop& on, std::string const& endpoint, std::shared_ptr<grpc::Channel> made,
                           std::shared_ptr<socket_tap> tap, cork_params rule, message_limits limits,
                           duration keepalive_time)
    : channel(endpoint),
      loop_(on),
      queue_(completion_queue(on)),
      channel_(std::move(made)),
      core_(grpc_access::core_of(*channel_)),
      tap_(std::move(tap)),
      limits_(limits),
      keepalive_time_(keepalive_time) {
  if (tap_ != nullptr) {
    cork_ = std::make_unique<turn_cork>(on, rule, turn_cork::source::to<&socket_tap::descriptor>(*tap_));
  }
}

grpc_channel::~grpc_channel() { forget_explain(); }

connectivity grpc_channel::state() { return from_grpc(channel_->GetState(false)); }

void grpc_channel::connect() { channel_->GetState(true); }

void grpc_channel::watch(tracked_operation& op, std::string_view owner, connectivity last, time_point until) {
  loop_.start(op, op_kind::watch, owner, [&](void* tag) {
    channel_->NotifyOnStateChange(static_cast<grpc_connectivity_state>(last), to_timespec(until), &queue_, tag);
  });
}

void grpc_channel::explain(bound<void(std::string_view)> say) {
  question_ = new question(loop_, endpoint(), say);
  question_->asker_ = this;
  question_->ask(channel_, queue_);
}

void grpc_channel::forget_explain() noexcept {
  if (question_ != nullptr) std::exchange(question_, nullptr)->forget();
}

health_call* grpc_channel::ask_health(health_question const& question, health_listener& listener) {
  return start_health_call(loop_, channel_, endpoint(), question, listener);
}

void grpc_channel::before_start() noexcept {
  if (cork_ != nullptr) cork_->before_write(users() - 1);
}

coalescing_stats grpc_channel::coalescing() const { return cork_ != nullptr ? cork_->stats() : coalescing_stats{}; }

std::string_view grpc_channel::why_not_coalesced() const {
  if (tap_ != nullptr) return tap_->why_none();
  return can_tap_sockets() ? "pool_params.cork is false" : why_no_sockets();
}

void grpc_channel::uncork() noexcept {
  if (cork_ != nullptr) cork_->uncork();
}

void* grpc_channel::registered(method const& one) {
  if (one.number() == method::no_number) return nullptr;
  if (one.number() >= registered_.size()) registered_.resize(one.number() + 1, nullptr);
  void*& handle = registered_[one.number()];
  if (handle == nullptr) handle = grpc_channel_register_call(core_, one.path().c_str(), nullptr, nullptr);
  return handle;
}

namespace {

std::span<grpc_arg const> list_of(grpc::ChannelArguments const& args) {
  grpc_channel_args const list = args.c_channel_args();
  return {list.args, list.num_args};
}

grpc_arg const* found_in(grpc::ChannelArguments const& args, std::string_view key) {
  auto const list = list_of(args);
  auto const at = std::ranges::find_if(list, [&](grpc_arg const& one) { return key == one.key; });
  return at == list.end() ? nullptr : &*at;
}

bool sets(grpc::ChannelArguments const& args, std::string_view key) { return found_in(args, key) != nullptr; }

// every grpc::ChannelArguments begins with one of its own, to which a program may have put a prefix
void add_user_agent(grpc::ChannelArguments& to, std::string_view theirs) {
  std::string_view const own = list_of(to).front().value.string;
  if (theirs.size() <= own.size() + 1 || !theirs.ends_with(own)) return;
  to.SetUserAgentPrefix(std::string(theirs.substr(0, theirs.size() - own.size() - 1)));
}

// gRPC heeds the first of several with one key, so these lose against what `to` has; the keepalive time is each dial's
void append(grpc::ChannelArguments& to, grpc::ChannelArguments const& from) {
  for (grpc_arg const& one : list_of(from)) {
    if (std::string_view(one.key) == GRPC_ARG_KEEPALIVE_TIME_MS) continue;
    switch (one.type) {
      case GRPC_ARG_INTEGER: to.SetInt(one.key, one.value.integer); break;
      case GRPC_ARG_POINTER: to.SetPointerWithVtable(one.key, one.value.pointer.p, one.value.pointer.vtable); break;
      case GRPC_ARG_STRING:
        if (std::string_view(one.key) == GRPC_ARG_PRIMARY_USER_AGENT_STRING)
          add_user_agent(to, one.value.string);
        else
          to.SetString(one.key, one.value.string);
        break;
    }
  }
}

int limit(std::size_t bytes) noexcept {
  constexpr std::size_t most = std::numeric_limits<int>::max();
  return bytes == 0 ? -1 : static_cast<int>(std::min(bytes, most));
}

// the engine does itself what the filters do, and paces its dials, so that gRPC must not dial by itself in between
void set_for_engine(grpc::ChannelArguments& args, pool_params const& params) {
  bool const by_core = params.transparent_retry == transparent_retry::core;
  bool const minimal = params.minimal_stack && !by_core;
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, by_core ? 1 : 0);
  // no policy for core's retries, be it of a name server's or of channel_args: they would multiply with the engine's
  if (by_core) args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  if (by_core) args.SetServiceConfigJSON("{}");
  if (minimal) args.SetInt(GRPC_ARG_MINIMAL_STACK, 1);
  // servers that compress do not ask whether their client can read it (test/live/traps_test.cpp)
  if (minimal) args.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 1);
  args.SetMaxReceiveMessageSize(-1);
  args.SetMaxSendMessageSize(-1);
  int const hour = milliseconds(std::chrono::hours(1));
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, hour);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, hour);
}

// what gRPC does not allow is never to it
duration keepalive_time_of(pool_params const& params) {
  auto const* const theirs = params.channel_args ? found_in(*params.channel_args, GRPC_ARG_KEEPALIVE_TIME_MS) : nullptr;
  if (theirs == nullptr) return params.keepalive.time;
  int const time = theirs->type == GRPC_ARG_INTEGER ? theirs->value.integer : 0;
  return std::chrono::milliseconds(time > 0 && time < std::numeric_limits<int>::max() ? time : 0);
}

void set_keepalive(grpc::ChannelArguments& args, keepalive_params const& with) {
  if (!sets(args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS))
    args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(with.timeout));
  if (!sets(args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS))
    args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, with.without_calls ? 1 : 0);
}

// gRPC enforces what it always does. A slot lets go of a channel whose dial failed, but calls that wait for ready stay on it, and
// gRPC redials for them
void set_for_stubs(grpc::ChannelArguments& args, pool_params const& params) {
  args.SetMaxReceiveMessageSize(limit(params.max_response_bytes));
  args.SetMaxSendMessageSize(limit(params.max_request_bytes));
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, milliseconds(params.slot.backoff.initial));
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, milliseconds(params.slot.backoff.max));
}

// all but the keepalive time
grpc::ChannelArguments lasting_arguments(pool_params const& params) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, milliseconds(params.slot.dial_timeout));
  // an idle slot is meant to stay connected
  args.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, std::numeric_limits<int>::max());
  params.stub_calls ? set_for_stubs(args, params) : set_for_engine(args, params);
  if (params.channel_args) append(args, *params.channel_args);
  // its counting costs each call; who wants it says so
  if (!sets(args, GRPC_ARG_ENABLE_CHANNELZ)) args.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  set_keepalive(args, params.keepalive);
  return args;
}

void set_keepalive_time(grpc::ChannelArguments& args, duration time) {
  if (time > duration::zero()) args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(time));
}

}  // namespace

grpc::ChannelArguments channel_arguments(pool_params const& params) {
  grpc::ChannelArguments args = lasting_arguments(params);
  set_keepalive_time(args, keepalive_time_of(params));
  return args;
}

grpc_dialer::grpc_dialer(pool_params const& params)
    : credentials_(params.credentials ? params.credentials : grpc::InsecureChannelCredentials()),
      args_(lasting_arguments(params)),
      keepalive_time_(keepalive_time_of(params)) {}

duration grpc_dialer::keepalive_time(duration least) const noexcept {
  return keepalive_time_ == duration::zero() ? keepalive_time_ : std::max(keepalive_time_, least);
}

std::shared_ptr<grpc::Channel> grpc_dialer::dial(std::string const& endpoint, std::string const& authority,
                                                 duration min_keepalive_time,
                                                 std::shared_ptr<socket_tap> const& tap) const {
  grpc::ChannelArguments args = args_;
  set_keepalive_time(args, keepalive_time(min_keepalive_time));
  // what TLS expects in the certificate, too
  if (!authority.empty() && !sets(args_, GRPC_ARG_DEFAULT_AUTHORITY))
    args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
  if (tap != nullptr) tap->install(args);
  return grpc::CreateCustomChannel(grpc_target(endpoint), credentials_, args);
}

grpc_channel_factory::grpc_channel_factory(loop& on, pool_params const& params)
    : loop_(on),
      dialer_(params),
      cork_(params.cork && can_tap_sockets()),
      cork_rule_(params.cork_rule),
      limits_{.request = params.max_request_bytes, .response = params.max_response_bytes} {}

channel* grpc_channel_factory::open(endpoint const& to, duration min_keepalive_time) {
  std::shared_ptr<socket_tap> const tap = cork_ ? socket_tap::create(to.address) : nullptr;
  return new grpc_channel(loop_, to.address, dialer_.dial(to.address, to.authority, min_keepalive_time, tap), tap,
                          cork_rule_, limits_, dialer_.keepalive_time(min_keepalive_time));
}

}  // namespace millrace
