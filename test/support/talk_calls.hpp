// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <talk.grpc.pb.h>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <future>
#include <memory>
#include <string>

/// Calls of talk.proto in each of gRPC's ways, by the book: nothing here knows what the channel is.
namespace millrace::test {

enum class api { sync, queue, callback, generic };
enum class kind { unary, client_stream, server_stream, bidi };

constexpr api every_api[] = {api::sync, api::queue, api::callback, api::generic};
constexpr kind every_kind[] = {kind::unary, kind::client_stream, kind::server_stream, kind::bidi};

namespace talking {

using talk::Line;
using talk::Talk;

constexpr int lines_a_call = 3;

inline Line line() {
  Line one;
  one.set_text("ho");
  one.set_times(lines_a_call);
  return one;
}

/// What comes back.
struct answer {
  std::string text;  // of all lines
  grpc::Status status;
};

/// A completion queue of one's own, for one operation at a time.
class own_queue {
 public:
  ~own_queue() {
    queue_.Shutdown();
    next();
  }
  grpc::CompletionQueue* get() { return &queue_; }
  void* tag() { return this; }
  bool next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

 private:
  grpc::CompletionQueue queue_;
};

// ---- synchronous

inline answer sync(Talk::Stub& stub, kind what, grpc::ClientContext& context) {
  answer got;
  Line reply;
  switch (what) {
    case kind::unary: {
      got.status = stub.Say(&context, line(), &reply);
      got.text = reply.text();
      break;
    }
    case kind::client_stream: {
      auto const writer = stub.Collect(&context, &reply);
      for (int n = 0; n < lines_a_call; ++n) writer->Write(line());
      writer->WritesDone();
      got.status = writer->Finish();
      got.text = reply.text();
      break;
    }
    case kind::server_stream: {
      auto const reader = stub.Repeat(&context, line());
      while (reader->Read(&reply)) got.text += reply.text();
      got.status = reader->Finish();
      break;
    }
    case kind::bidi: {
      auto const stream = stub.Chat(&context);
      for (int n = 0; n < lines_a_call && stream->Write(line()) && stream->Read(&reply); ++n) got.text += reply.text();
      stream->WritesDone();
      got.status = stream->Finish();
      break;
    }
  }
  return got;
}

// ---- on a completion queue of one's own

template <class Stream>
void finish(Stream& stream, own_queue& queue, answer& got) {
  stream.Finish(&got.status, queue.tag());
  queue.next();
}

template <class Writer>
void write_lines(Writer& to, own_queue& queue, int count) {
  to.StartCall(queue.tag());
  queue.next();
  for (int n = 0; n < count; ++n) {
    to.Write(line(), queue.tag());
    queue.next();
  }
  to.WritesDone(queue.tag());
  queue.next();
}

template <class Reader>
void read_lines(Reader& from, own_queue& queue, answer& got) {
  Line reply;
  for (from.Read(&reply, queue.tag()); queue.next(); from.Read(&reply, queue.tag())) got.text += reply.text();
}

inline answer on_queue(Talk::Stub& stub, kind what, grpc::ClientContext& context) {
  own_queue queue;
  answer got;
  Line reply;
  switch (what) {
    case kind::unary: {
      auto const call = stub.PrepareAsyncSay(&context, line(), queue.get());
      call->StartCall();
      call->Finish(&reply, &got.status, queue.tag());
      queue.next();
      got.text = reply.text();
      break;
    }
    case kind::client_stream: {
      auto const writer = stub.PrepareAsyncCollect(&context, &reply, queue.get());
      write_lines(*writer, queue, lines_a_call);
      finish(*writer, queue, got);
      got.text = reply.text();
      break;
    }
    case kind::server_stream: {
      auto const reader = stub.PrepareAsyncRepeat(&context, line(), queue.get());
      reader->StartCall(queue.tag());
      queue.next();
      read_lines(*reader, queue, got);
      finish(*reader, queue, got);
      break;
    }
    case kind::bidi: {
      auto const stream = stub.PrepareAsyncChat(&context, queue.get());
      write_lines(*stream, queue, lines_a_call);
      read_lines(*stream, queue, got);
      finish(*stream, queue, got);
      break;
    }
  }
  return got;
}

// ---- callbacks

class writing final : public grpc::ClientWriteReactor<Line> {
 public:
  explicit writing(answer& got) : got_(got) {}
  void start() {
    StartWrite(&line_);
    StartCall();
  }
  void OnWriteDone(bool) override { ++written_ < lines_a_call ? StartWrite(&line_) : StartWritesDone(); }
  void OnDone(grpc::Status const& status) override {
    got_.status = status;
    got_.text = reply.text();
    done.set_value();
  }
  Line reply;
  std::promise<void> done;

 private:
  answer& got_;
  Line const line_ = line();
  int written_ = 0;
};

class reading final : public grpc::ClientReadReactor<Line> {
 public:
  explicit reading(answer& got) : got_(got) {}
  void start() {
    StartRead(&reply_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    got_.text += reply_.text();
    StartRead(&reply_);
  }
  void OnDone(grpc::Status const& status) override {
    got_.status = status;
    done.set_value();
  }
  std::promise<void> done;

 private:
  answer& got_;
  Line reply_;
};

class chatting final : public grpc::ClientBidiReactor<Line, Line> {
 public:
  explicit chatting(answer& got) : got_(got) {}
  void start() {
    StartRead(&reply_);
    StartWrite(&line_);
    StartCall();
  }
  void OnWriteDone(bool) override { ++written_ < lines_a_call ? StartWrite(&line_) : StartWritesDone(); }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    got_.text += reply_.text();
    StartRead(&reply_);
  }
  void OnDone(grpc::Status const& status) override {
    got_.status = status;
    done.set_value();
  }
  std::promise<void> done;

 private:
  answer& got_;
  Line const line_ = line();
  Line reply_;
  int written_ = 0;
};

inline answer with_callbacks(Talk::Stub& stub, kind what, grpc::ClientContext& context) {
  answer got;
  switch (what) {
    case kind::unary: {
      Line const request = line();
      Line reply;
      std::promise<void> done;
      stub.async()->Say(&context, &request, &reply, [&](grpc::Status status) {
        got = {reply.text(), status};
        done.set_value();
      });
      done.get_future().wait();
      break;
    }
    case kind::client_stream: {
      writing call(got);
      stub.async()->Collect(&context, &call.reply, &call);
      call.start();
      call.done.get_future().wait();
      break;
    }
    case kind::server_stream: {
      Line const request = line();
      reading call(got);
      stub.async()->Repeat(&context, &request, &call);
      call.start();
      call.done.get_future().wait();
      break;
    }
    case kind::bidi: {
      chatting call(got);
      stub.async()->Chat(&context, &call);
      call.start();
      call.done.get_future().wait();
      break;
    }
  }
  return got;
}

// ---- a generic stub: on the wire all streams are alike

inline answer generic(std::shared_ptr<grpc::ChannelInterface> const& channel, kind what, grpc::ClientContext& context) {
  grpc::TemplatedGenericStub<Line, Line> stub(channel);
  own_queue queue;
  answer got;
  if (what == kind::unary) {
    Line reply;
    auto const call = stub.PrepareUnaryCall(&context, "/millrace.talk.Talk/Say", line(), queue.get());
    call->StartCall();
    call->Finish(&reply, &got.status, queue.tag());
    queue.next();
    got.text = reply.text();
    return got;
  }
  char const* const method = what == kind::client_stream   ? "/millrace.talk.Talk/Collect"
                             : what == kind::server_stream ? "/millrace.talk.Talk/Repeat"
                                                           : "/millrace.talk.Talk/Chat";
  auto const stream = stub.PrepareCall(&context, method, queue.get());
  write_lines(*stream, queue, what == kind::server_stream ? 1 : lines_a_call);
  read_lines(*stream, queue, got);
  finish(*stream, queue, got);
  return got;
}

}  // namespace talking

/// One call. The text of what came back is `expected_text(what)` when all went well.
inline talking::answer talk_once(std::shared_ptr<grpc::ChannelInterface> const& channel, api how, kind what,
                                 grpc::ClientContext& context) {
  auto const stub = talk::Talk::NewStub(channel);
  switch (how) {
    case api::sync: return talking::sync(*stub, what, context);
    case api::queue: return talking::on_queue(*stub, what, context);
    case api::callback: return talking::with_callbacks(*stub, what, context);
    case api::generic: return talking::generic(channel, what, context);
  }
  return {};
}

inline std::string expected_text(kind what) { return what == kind::unary ? "ho" : "hohoho"; }

}  // namespace millrace::test
