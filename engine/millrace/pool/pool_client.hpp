// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/intrusive_list.hpp>

namespace millrace {

struct pool_client_tag;

/// Somebody whose calls use a pool. Unregisters itself when destroyed.
class pool_client : private list_base<pool_client_tag> {
 public:
  virtual ~pool_client() = default;

  /// The pool is closed for good: end what is under way, and do not touch the pool again. Called from the pool's destructor
  /// too, so nothing of a user's may run inside.
  virtual void on_pool_closed() noexcept = 0;

 private:
  friend class pool;
  template <class T, class Tag>
  friend class intrusive_list;
};

}  // namespace millrace
