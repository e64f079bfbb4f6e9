// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace millrace::echo {

/// What a tag of the completion queue points to.
class event {
 public:
  virtual void complete(bool ok) = 0;

 protected:
  ~event() = default;
};

}  // namespace millrace::echo
