// A resolv.conf as DNS settings of a result.
#pragma once

#include <string>
#include <string_view>

#include "plugin/result.h"

namespace fairlead::plugin {

// parseResolvConf() reads resolv.conf(5) text as the reference host-local does: every nameserver, all search
// domains and options of all lines, the last domain. What it does not know it passes over.
DNS parseResolvConf(std::string_view text);

// readResolvConf() throws netns::Error "open /x: no such file or directory".
DNS readResolvConf(const std::string& path);

}  // namespace fairlead::plugin
