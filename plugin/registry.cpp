#include "plugin/registry.h"

#include <array>

namespace fairlead::plugin {

namespace {

// The most called first: each one that is asked for its type is a page of the binary to map.
constexpr std::array kPlugins = {bridgePlugin, hostLocalPlugin, loopbackPlugin, staticPlugin, chainPlugin};

}  // namespace

std::vector<const Plugin*> plugins() {
  std::vector<const Plugin*> all;
  all.reserve(kPlugins.size());
  for (const auto plugin : kPlugins) all.push_back(&plugin());
  return all;
}

const Plugin* findPlugin(std::string_view type) {
  for (const auto plugin : kPlugins)
    if (plugin().type() == type) return &plugin();
  return nullptr;
}

}  // namespace fairlead::plugin
