// Kernel parameters below /proc/sys, which show the namespace of the thread that opens them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "netns/netns.h"

namespace fairlead::netns::sysctl {

// Setting is one parameter, as `sysctl -w` takes it but with slashes: a dot may be part of an interface's
// name.
struct Setting {
  // "net/ipv4/conf/eth0/arp_notify", relative to /proc/sys; ".", ".." and empty components are refused.
  std::string key;
  std::string value;
  bool optional = false;  // a kernel without it (IPv6 switched off) is not an error
};

// read() returns the value without its newline; nullopt when the kernel has no such parameter.
std::optional<std::string> read(const std::string& key);
std::optional<std::string> read(const NetNS& ns, const std::string& key);

// set() writes those that differ. The variant with `ns` enters it for the time of the calls only; the calling
// goroutine must be locked to its thread.
void set(std::span<const Setting> settings);
void set(const NetNS& ns, std::span<const Setting> settings);

// text() is the command that does the same: "sysctl -w net/ipv4/ip_forward=1".
std::string text(const Setting& setting);

}  // namespace fairlead::netns::sysctl
