// Masquerading rules that the reference plugins made, so that a node can be switched over with containers
// running.
#pragma once

#include "plugin/call.h"

namespace fairlead::plugin {

// forgetForeignMasquerade() removes the reference's rules for an attachment, of both its backends: the chain
// CNI-HASH of `iptables` (the nf_tables variant, which is Debian's; the legacy one is not looked at) with the
// jumps to it, and the commented rules of its nftables table. What is not there is no error. Lists rules, so
// it is for an attachment that has no record of ours.
void forgetForeignMasquerade(const Attachment& attachment);

}  // namespace fairlead::plugin
