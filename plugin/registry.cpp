#include "plugin/registry.h"

#include <array>

namespace fairlead::plugin {

std::span<const Plugin* const> plugins() {
  static const std::array kPlugins = {
      &bridgePlugin(), &loopbackPlugin(), &hostLocalPlugin(), &staticPlugin(), &chainPlugin(),
  };
  return kPlugins;
}

const Plugin* findPlugin(std::string_view type) {
  for (const Plugin* plugin : plugins())
    if (plugin->type() == type) return plugin;
  return nullptr;
}

}  // namespace fairlead::plugin
