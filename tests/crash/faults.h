// Which errors a system call can be made to fail with: of ENOMEM, ENOSPC, EIO, EMFILE, EINTR, EPERM, EBUSY,
// ENOBUFS and EAGAIN those that its manual page or the kernel's source name for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::crash {

// SystemCall is a call as it is entered.
struct SystemCall {
  long number = -1;
  uint64_t args[6] = {};
};

// nameOf() is a call's name, "syscall 333" for one that is not known here.
std::string nameOf(long number);
bool isKnown(long number);

// errorsOf() are the errors that this call can give; empty for one that cannot fail, or whose failure says
// nothing about the program (rseq, set_robust_list).
std::vector<int> errorsOf(const SystemCall& call);

// errorName() is "ENOMEM" for ENOMEM.
std::string errorName(int error);

}  // namespace fairlead::crash
