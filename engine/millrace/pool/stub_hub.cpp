// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/stub_hub.hpp>

#include <millrace/base/errc.hpp>
#include <millrace/loop/loop.hpp>
#include <millrace/pool/grpc_stub_access.hpp>

#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <bit>
#include <unordered_set>
#include <utility>

#if MILLRACE_STUB_CHANNELS

namespace millrace {
namespace {

// on which every call fails at once
std::shared_ptr<grpc::Channel> refusing_channel(std::string const& why) {
  return grpc::CreateChannelInternal("", grpc_lame_client_channel_create(nullptr, GRPC_STATUS_UNAVAILABLE, why.c_str()),
                                     {});
}

// idle until it is destroyed, which ends the watches on it
std::shared_ptr<grpc::Channel> idle_channel() {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  return grpc::CreateCustomChannel("unix:/nowhere", grpc::InsecureChannelCredentials(), args);
}

// of a pool: of its slots the best state counts
grpc_connectivity_state combined(std::span<published_slot const> slots) {
  auto const any = [&](auto... wanted) {
    return std::ranges::any_of(slots, [&](published_slot const& one) { return ((one.state == wanted) || ...); });
  };
  if (any(slot_state::ready)) return GRPC_CHANNEL_READY;
  if (any(slot_state::idle, slot_state::connecting)) return GRPC_CHANNEL_CONNECTING;
  if (any(slot_state::backing_off)) return GRPC_CHANNEL_TRANSIENT_FAILURE;
  return GRPC_CHANNEL_IDLE;
}

// not with each call beyond `limit`: the loop is woken for this
bool crowds(std::uint32_t calls, std::uint32_t limit) noexcept {
  return calls > limit && std::has_single_bit(calls - limit);
}

}  // namespace

stub_hub::stub_hub(loop& on, bound<void()> tell, params with)
    : loop_(&on),
      tell_(tell),
      max_calls_per_slot_(with.max_calls_per_slot),
      grow_at_(with.grow_at),
      dialer_(std::move(with.dialer)),
      picker_(std::move(with.picker)) {
  outcomes_.reserve(most_outcomes);
}

stub_hub::~stub_hub() = default;

// ---- calls

stub_hub::place stub_hub::pick(bool wait_for_ready) {
  std::lock_guard const lock(mutex_);
  if (closed_) return {.channel = refusing()};
  if (!board_.ready.empty()) {
    balance::pick_info const info{.now = clock::now(), .in_flight = in_flight_};
    return take(with_room(picker_.pick(info).value_or(0)));
  }
  if (wait_for_ready && !board_.connected) return {.channel = waiting()};
  if (!board_.connecting.empty()) return take(board_.connecting[turn_++ % board_.connecting.size()]);
  bool const hopeless = board_.connected || board_.state == GRPC_CHANNEL_TRANSIENT_FAILURE;
  return {.channel = hopeless ? refusing() : waiting()};
}

stub_hub::place stub_hub::take(place const& one) {
  one.slot->calls->add();
  ++in_flight_;
  if (one.on_trial != nullptr) *one.on_trial = true;
  place taken = one;
  taken.since = clock::now();
  bool const crowded = crowds(one.slot->calls->all(), grow_at_) ||
                       crowds(in_flight_, grow_at_ * static_cast<std::uint32_t>(board_.ready.size()));
  if (grow_at_ != 0 && crowded) wish(outside_wish::look);
  return taken;
}

// as pool::with_room; but calls that gRPC is asked for cannot wait here: when all are full they go to the least loaded, and when
// all are on trial, where they would without that
stub_hub::place const& stub_hub::with_room(std::size_t picked) {
  auto const& ready = board_.ready;
  place const* least = nullptr;
  for (std::size_t step = 0; step < ready.size(); ++step) {
    place const& one = ready[(picked + step) % ready.size()];
    if (one.on_trial != nullptr && *one.on_trial) continue;
    if (one.slot->calls->all() < max_calls_per_slot_) return one;
    if (least == nullptr || one.slot->calls->all() < least->slot->calls->all()) least = &one;
  }
  if (least == nullptr) return ready[picked];
  wish(outside_wish::room);
  return *least;
}

void stub_hub::done(place const& of, status_code code) noexcept {
  slot& at = *of.slot;
  time_point const now = clock::now();
  duration const latency = now - of.since;
  std::lock_guard const lock(mutex_);
  at.calls->remove();
  --in_flight_;
  if (of.on_trial != nullptr) *of.on_trial = false;
  picker_.on_done({.now = now, .slot = at.number, .code = code, .latency = latency});
  if (loop_ == nullptr) return;
  bool const urgent = worth_telling(of, code);
  if (outcomes_.size() < most_outcomes) outcomes_.push_back({at.number, at.calls.get(), code, latency});
  if (urgent || outcomes_.size() >= batch) wake();
}

// a failure, the first success, a trial's, and the end of what somebody waits for; the rest can wait
bool stub_hub::worth_telling(place const& of, status_code code) noexcept {
  if (code != status_code::ok) return true;
  return !std::exchange(of.slot->succeeded, true) || of.on_trial != nullptr || of.slot->left || tell_each_;
}

// gRPC redials such a channel at its own pace, and forgets it when the calls on it are over
std::shared_ptr<grpc::Channel> const& stub_hub::waiting() {
  if (board_.waiting == nullptr) {
    if (board_.targets.empty()) return refusing();
    auto const& to = board_.targets[turn_++ % board_.targets.size()];
    board_.waiting = dialer_.dial(to.is->address, to.is->authority, to.min_keepalive_time);
    board_.waiting_for = to.is;
  }
  return board_.waiting;
}

std::shared_ptr<grpc::Channel> const& stub_hub::refusing() {
  if (board_.refusing == nullptr) board_.refusing = refusing_channel(board_.why_not_ready);
  return board_.refusing;
}

// ---- the pool's state

grpc_connectivity_state stub_hub::state() const noexcept {
  std::lock_guard const lock(mutex_);
  return board_.state;
}

// there is no public way to put a tag into a queue when one likes, but a watch on a channel that goes comes back at once
void stub_hub::watch(grpc_connectivity_state last, gpr_timespec deadline, grpc::CompletionQueue* queue, void* tag) {
  std::shared_ptr<grpc::Channel> on;
  {
    std::lock_guard const lock(mutex_);
    if (board_.state == last) {
      if (pulse_ == nullptr) pulse_ = idle_channel();
      on = pulse_;
    }
  }
  if (on == nullptr) on = idle_channel();
  on->NotifyOnStateChange(GRPC_CHANNEL_IDLE, deadline, queue, tag);
}

grpc::CompletionQueue* stub_hub::callback_queue() {
  std::lock_guard const lock(mutex_);
  if (callback_ == nullptr) callback_ = refusing_channel("no call goes here");
  return grpc_access::callback_queue_of(*callback_);
}

void stub_hub::add_user() noexcept {
  std::lock_guard const lock(mutex_);
  if (closed_) return;
  ++users_;
  loop_->work_started();
}

void stub_hub::drop_user() noexcept {
  std::lock_guard const lock(mutex_);
  if (users_ == 0) return;
  --users_;
  loop_->work_finished();
}

// ---- the pool

void stub_hub::publish(std::span<published_slot const> slots, std::string why_not_ready) {
  board next;
  std::vector<balance::candidate> const candidates = fill(next, slots);
  next.why_not_ready = std::move(why_not_ready);
  next.state = combined(slots);
  post(std::move(next), candidates);
}

std::vector<balance::candidate> stub_hub::fill(board& with, std::span<published_slot const> slots) const {
  std::vector<balance::candidate> candidates;
  std::unordered_set<std::uint32_t> endpoints;
  for (published_slot const& one : slots) {
    with.connected = with.connected || one.connected;
    if (one.state == slot_state::draining || one.state == slot_state::closed) continue;
    if (endpoints.insert(one.endpoint).second) with.targets.push_back({one.is, one.min_keepalive_time});
    if (one.channel == nullptr) continue;
    if (one.state == slot_state::connecting) with.connecting.push_back(as_known(one));
    if (one.state != slot_state::ready) continue;
    with.ready.push_back(as_known(one));
    with.known.emplace(with.ready.back().channel.get(), with.ready.back().slot);
    with.ready.back().on_trial = one.probing ? trial_of(with, one.endpoint) : nullptr;
    candidates.push_back({.slot = one.number,
                          .endpoint = one.endpoint,
                          .weight = one.weight,
                          .endpoint_weight = one.is->weight,
                          .endpoint_hash = one.endpoint_hash,
                          .pool_weight = one.pool_weight,
                          .in_flight = &one.calls->plain(),
                          .attributes = one.is.get()});
  }
  return candidates;
}

// the board is the pool's to change, so its thread reads it without the mutex
stub_hub::place stub_hub::as_known(published_slot const& one) const {
  std::shared_ptr<grpc::Channel> const& channel = static_cast<grpc_channel*>(one.channel)->get();
  auto const known = board_.known.find(channel.get());
  if (known != board_.known.end()) return {.channel = channel, .slot = known->second};
  return {.channel = channel, .slot = std::make_shared<slot>(slot{.number = one.number, .calls = one.calls})};
}

// a trial goes on while others change
std::shared_ptr<bool> stub_hub::trial_of(board& with, std::uint32_t endpoint) const {
  std::shared_ptr<bool>& trial = with.trials[endpoint];
  if (trial != nullptr) return trial;
  auto const known = board_.trials.find(endpoint);
  return trial = known != board_.trials.end() ? known->second : std::make_shared<bool>(false);
}

void stub_hub::mark(board const& all, bool left) noexcept {
  for (auto const* list : {&all.ready, &all.connecting}) {
    for (place const& one : *list) one.slot->left = left;
  }
}

// those who wait there go on; others join them only while that endpoint is one for new calls
void stub_hub::keep_waiting(board& next) noexcept {
  auto const leads_there = [&](target const& to) {
    return to.is->address == board_.waiting_for->address && to.is->authority == board_.waiting_for->authority;
  };
  if (board_.waiting == nullptr || std::ranges::none_of(next.targets, leads_there)) return;
  next.waiting = std::move(board_.waiting);
  next.waiting_for = std::move(board_.waiting_for);
}

void stub_hub::post(board next, std::span<balance::candidate const> candidates) {
  std::shared_ptr<grpc::Channel> pulse;  // goes, like what `next` will hold, after the mutex
  std::lock_guard const lock(mutex_);
  if (closed_) return;
  if (next.ready.empty()) keep_waiting(next);
  if (next.state != board_.state) std::swap(pulse, pulse_);
  picker_.rebuild(candidates);
  mark(board_, true);
  mark(next, false);
  std::swap(board_, next);
}

std::vector<outside_outcome> stub_hub::take_outcomes() {
  std::vector<outside_outcome> taken;
  taken.reserve(most_outcomes);
  std::lock_guard const lock(mutex_);
  std::swap(taken, outcomes_);
  return taken;
}

outside_wish stub_hub::take_wish() noexcept {
  std::lock_guard const lock(mutex_);
  return std::exchange(wish_, outside_wish::none);
}

void stub_hub::tell_each(bool on) noexcept {
  std::lock_guard const lock(mutex_);
  tell_each_ = on;
}

std::uint32_t stub_hub::in_flight() const noexcept { return in_flight_; }

void stub_hub::close() noexcept {
  board last;
  last.why_not_ready = make_error_code(errc::pool_closed).message();
  last.state = GRPC_CHANNEL_SHUTDOWN;
  post(std::move(last), {});
  std::lock_guard const lock(mutex_);
  closed_ = true;
  for (; users_ > 0; --users_) loop_->work_finished();
}

void stub_hub::detach() noexcept {
  close();
  std::lock_guard const lock(mutex_);
  loop_ = nullptr;
  outcomes_.clear();
}

void stub_hub::wish(outside_wish what) noexcept {
  wish_ = std::max(wish_, what);
  wake();
}

// with the mutex held: nothing is injected once `detach` is through
void stub_hub::wake() noexcept {
  if (loop_ == nullptr || messenger_.of != nullptr) return;
  messenger_.of = shared_from_this();
  loop_->inject(messenger_);
}

void stub_hub::messenger::run(operation& self, completion how) {
  auto& one = static_cast<messenger&>(self);
  std::shared_ptr<stub_hub> const hub = one.of;
  {
    std::lock_guard const lock(hub->mutex_);
    one.of = nullptr;
    if (hub->loop_ == nullptr || how == completion::abandoned) return;
  }
  hub->tell_();
}

}  // namespace millrace

#endif  // MILLRACE_STUB_CHANNELS
