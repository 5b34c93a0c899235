// The plugins that are built in: one accessor each, defined in the plugin's own .cpp and listed in
// registry.cpp. findPlugin() and plugins() (plugin/plugin.h) look through that list.
#pragma once

#include "plugin/plugin.h"

namespace fairlead::plugin {

// Each returns the one object of its kind: stateless, constant-initialised or made on first use, alive until
// exit.
const Plugin& bridgePlugin();
const Plugin& loopbackPlugin();
const Plugin& hostLocalPlugin();
const Plugin& staticPlugin();
const Plugin& chainPlugin();

}  // namespace fairlead::plugin
