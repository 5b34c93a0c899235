#include "tests/crash/faults.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <string_view>
#include <utility>

namespace fairlead::crash {
namespace {

constexpr size_t kMaxErrors = 8;

struct Row {
  long number;
  std::string_view name;
  std::array<int, kMaxErrors> errors;  // 0 ends them
};

constexpr Row kRows[] = {
    // memory
    {SYS_brk, "brk", {ENOMEM}},
    {SYS_mmap, "mmap", {ENOMEM}},
    {SYS_mprotect, "mprotect", {ENOMEM}},
    {SYS_mremap, "mremap", {ENOMEM}},
    {SYS_munmap, "munmap", {ENOMEM}},
    {SYS_madvise, "madvise", {ENOMEM, EAGAIN}},
    // threads and processes
    {SYS_clone, "clone", {EAGAIN, ENOMEM, EPERM}},
    {SYS_clone3, "clone3", {EAGAIN, ENOMEM, EPERM}},
    {SYS_fork, "fork", {EAGAIN, ENOMEM}},
    {SYS_vfork, "vfork", {EAGAIN, ENOMEM}},
    {SYS_execve, "execve", {EAGAIN, ENOMEM, EIO, EMFILE, EPERM}},
    {SYS_wait4, "wait4", {EINTR}},
    {SYS_waitid, "waitid", {EINTR}},
    {SYS_futex, "futex", {EINTR, EAGAIN}},
    {SYS_sigaltstack, "sigaltstack", {ENOMEM}},
    {SYS_prlimit64, "prlimit64", {EPERM}},
    {SYS_close_range, "close_range", {EMFILE, ENOMEM}},
    {SYS_pidfd_open, "pidfd_open", {EMFILE, ENOMEM}},
    {SYS_pidfd_send_signal, "pidfd_send_signal", {EPERM}},
    {SYS_unshare, "unshare", {ENOMEM, ENOSPC, EPERM}},
    {SYS_setns, "setns", {ENOMEM, EPERM}},
    // waiting
    {SYS_nanosleep, "nanosleep", {EINTR}},
    {SYS_clock_nanosleep, "clock_nanosleep", {EINTR}},
    {SYS_poll, "poll", {EINTR, ENOMEM}},
    {SYS_ppoll, "ppoll", {EINTR, ENOMEM}},
    {SYS_epoll_create1, "epoll_create1", {EMFILE, ENOMEM}},
    {SYS_epoll_ctl, "epoll_ctl", {ENOMEM, ENOSPC, EPERM}},
    {SYS_epoll_wait, "epoll_wait", {EINTR}},
    {SYS_epoll_pwait, "epoll_pwait", {EINTR}},
    {SYS_epoll_pwait2, "epoll_pwait2", {EINTR}},
    {SYS_eventfd2, "eventfd2", {EMFILE, ENOMEM}},
    {SYS_pipe2, "pipe2", {EMFILE}},
    {SYS_timer_create, "timer_create", {EAGAIN, ENOMEM}},
    {SYS_timerfd_create, "timerfd_create", {EMFILE, ENOMEM}},
    {SYS_getrandom, "getrandom", {EINTR, EAGAIN}},
    // files
    {SYS_openat, "openat", {ENOMEM, EMFILE, EINTR, EIO, EPERM, ENOSPC}},
    {SYS_open, "open", {ENOMEM, EMFILE, EINTR, EIO, EPERM, ENOSPC}},
    {SYS_close, "close", {EINTR, EIO, ENOSPC}},
    {SYS_fcntl, "fcntl", {EMFILE}},
    {SYS_dup, "dup", {EMFILE}},
    {SYS_dup2, "dup2", {EMFILE, EINTR, EBUSY}},
    {SYS_dup3, "dup3", {EMFILE, EINTR, EBUSY}},
    {SYS_ioctl, "ioctl", {EPERM, EIO, ENOMEM}},
    {SYS_read, "read", {EINTR, EIO}},
    {SYS_pread64, "pread64", {EINTR, EIO}},
    {SYS_write, "write", {EINTR, EIO, ENOSPC, EPERM}},
    {SYS_writev, "writev", {EINTR, EIO, ENOSPC, EPERM}},
    {SYS_pwrite64, "pwrite64", {EINTR, EIO, ENOSPC, EPERM}},
    {SYS_ftruncate, "ftruncate", {EINTR, EIO, EPERM}},
    {SYS_fallocate, "fallocate", {EINTR, EIO, ENOSPC, EPERM}},
    {SYS_fsync, "fsync", {EINTR, EIO, ENOSPC}},
    {SYS_fdatasync, "fdatasync", {EINTR, EIO, ENOSPC}},
    {SYS_flock, "flock", {EINTR, ENOMEM, EAGAIN}},
    {SYS_stat, "stat", {ENOMEM, EIO}},
    {SYS_fstat, "fstat", {ENOMEM, EIO}},
    {SYS_lstat, "lstat", {ENOMEM, EIO}},
    {SYS_newfstatat, "newfstatat", {ENOMEM, EIO}},
    {SYS_statx, "statx", {ENOMEM, EIO}},
    {SYS_statfs, "statfs", {EINTR, EIO, ENOMEM}},
    {SYS_fstatfs, "fstatfs", {EINTR, EIO, ENOMEM}},
    {SYS_access, "access", {ENOMEM, EIO}},
    {SYS_faccessat, "faccessat", {ENOMEM, EIO}},
    {SYS_faccessat2, "faccessat2", {ENOMEM, EIO, EPERM}},
    {SYS_readlink, "readlink", {ENOMEM, EIO}},
    {SYS_readlinkat, "readlinkat", {ENOMEM, EIO}},
    {SYS_getdents64, "getdents64", {ENOMEM, EIO}},
    {SYS_mkdir, "mkdir", {ENOMEM, ENOSPC, EIO, EPERM}},
    {SYS_mkdirat, "mkdirat", {ENOMEM, ENOSPC, EIO, EPERM}},
    {SYS_rmdir, "rmdir", {EBUSY, ENOMEM, EIO, EPERM}},
    {SYS_unlink, "unlink", {EBUSY, ENOMEM, EIO, EPERM}},
    {SYS_unlinkat, "unlinkat", {EBUSY, ENOMEM, EIO, EPERM}},
    {SYS_linkat, "linkat", {ENOMEM, ENOSPC, EIO, EPERM}},
    {SYS_symlinkat, "symlinkat", {ENOMEM, ENOSPC, EIO, EPERM}},
    {SYS_rename, "rename", {EBUSY, ENOMEM, ENOSPC, EIO, EPERM}},
    {SYS_renameat, "renameat", {EBUSY, ENOMEM, ENOSPC, EIO, EPERM}},
    {SYS_renameat2, "renameat2", {EBUSY, ENOMEM, ENOSPC, EIO, EPERM}},
    {SYS_fchmod, "fchmod", {ENOMEM, EIO, EPERM}},
    {SYS_utimensat, "utimensat", {ENOMEM, EIO, EPERM}},
    // sockets
    {SYS_socket, "socket", {EMFILE, ENOMEM, ENOBUFS, EPERM}},
    {SYS_socketpair, "socketpair", {EMFILE, ENOMEM}},
    {SYS_bind, "bind", {ENOMEM, EPERM}},
    {SYS_listen, "listen", {ENOMEM, EPERM}},
    {SYS_connect, "connect", {EINTR, ENOMEM, EPERM, EAGAIN}},
    {SYS_getsockname, "getsockname", {ENOBUFS}},
    {SYS_getsockopt, "getsockopt", {ENOMEM, ENOBUFS, EPERM}},
    {SYS_setsockopt, "setsockopt", {ENOMEM, ENOBUFS, EPERM}},
    {SYS_sendto, "sendto", {ENOMEM, ENOBUFS, EINTR, EPERM, EAGAIN}},
    {SYS_sendmsg, "sendmsg", {ENOMEM, ENOBUFS, EINTR, EPERM, EAGAIN}},
    {SYS_recvfrom, "recvfrom", {ENOMEM, ENOBUFS, EINTR, EAGAIN}},
    {SYS_recvmsg, "recvmsg", {ENOMEM, ENOBUFS, EINTR, EAGAIN}},
    // cannot fail, or nobody needs the result
    {SYS_arch_prctl, "arch_prctl", {}},
    {SYS_clock_gettime, "clock_gettime", {}},
    {SYS_exit, "exit", {}},
    {SYS_exit_group, "exit_group", {}},
    {SYS_getcpu, "getcpu", {}},
    {SYS_getegid, "getegid", {}},
    {SYS_geteuid, "geteuid", {}},
    {SYS_getgid, "getgid", {}},
    {SYS_getpid, "getpid", {}},
    {SYS_getppid, "getppid", {}},
    {SYS_gettid, "gettid", {}},
    {SYS_getuid, "getuid", {}},
    {SYS_kill, "kill", {}},
    {SYS_lseek, "lseek", {}},
    {SYS_prctl, "prctl", {}},
    {SYS_restart_syscall, "restart_syscall", {}},
    {SYS_rseq, "rseq", {}},
    {SYS_rt_sigaction, "rt_sigaction", {}},
    {SYS_rt_sigprocmask, "rt_sigprocmask", {}},
    {SYS_rt_sigreturn, "rt_sigreturn", {}},
    {SYS_sched_getaffinity, "sched_getaffinity", {}},
    {SYS_sched_yield, "sched_yield", {}},
    {SYS_set_robust_list, "set_robust_list", {}},
    {SYS_set_tid_address, "set_tid_address", {}},
    {SYS_tgkill, "tgkill", {}},
    {SYS_timer_delete, "timer_delete", {}},
    {SYS_timer_settime, "timer_settime", {}},
    {SYS_umask, "umask", {}},
    {SYS_uname, "uname", {}},
};

const Row* find(long number) {
  const auto* row = std::ranges::find(kRows, number, &Row::number);
  return row == std::end(kRows) ? nullptr : row;
}

// canGive() excludes what a call cannot give the way it is used here.
bool canGive(const SystemCall& call, int error) {
  const auto flag = [&](int arg, uint64_t bits) { return (call.args[arg] & bits) != 0; };
  switch (call.number) {
    case SYS_brk:
      return call.args[0] != 0;  // 0 asks where the break is
    case SYS_fcntl:
      return call.args[1] == F_DUPFD || call.args[1] == F_DUPFD_CLOEXEC;
    case SYS_flock:
      return error != EAGAIN || flag(1, LOCK_NB);
    case SYS_openat:
      return error != ENOSPC || flag(2, O_CREAT | (O_TMPFILE & ~O_DIRECTORY));
    case SYS_futex: {
      const auto operation = static_cast<int>(call.args[1]) & FUTEX_CMD_MASK;
      return operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET;
    }
    default:
      return true;
  }
}

}  // namespace

std::string nameOf(long number) {
  const Row* row = find(number);
  return row != nullptr ? std::string(row->name) : "syscall " + std::to_string(number);
}

std::vector<int> errorsOf(const SystemCall& call) {
  std::vector<int> errors;
  const Row* row = find(call.number);
  if (row == nullptr) return errors;
  for (const int error : row->errors)
    if (error != 0 && canGive(call, error)) errors.push_back(error);
  return errors;
}

bool isKnown(long number) { return find(number) != nullptr; }

std::string errorName(int error) {
  constexpr std::pair<int, std::string_view> kNames[] = {
      {ENOMEM, "ENOMEM"}, {ENOSPC, "ENOSPC"}, {EIO, "EIO"},         {EMFILE, "EMFILE"}, {EINTR, "EINTR"},
      {EPERM, "EPERM"},   {EBUSY, "EBUSY"},   {ENOBUFS, "ENOBUFS"}, {EAGAIN, "EAGAIN"}};
  const auto* found = std::ranges::find(kNames, error, &std::pair<int, std::string_view>::first);
  return found == std::end(kNames) ? std::to_string(error) : std::string(found->second);
}

}  // namespace fairlead::crash
