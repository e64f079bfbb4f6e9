// SPDX-License-Identifier: Apache-2.0
#include <millrace/config/impl/write.hpp>

namespace millrace::config::impl {

json written_codes(status_code_set codes) {
  json list = json::array();
  for (int code = 0; code < status_code_count; ++code) {
    if (codes.contains(static_cast<status_code>(code))) list.push_back(to_string(static_cast<status_code>(code)));
  }
  return list;
}

json written_duration(duration value) { return value == duration::max() ? json(forever) : json(to_text(value)); }

}  // namespace millrace::config::impl
