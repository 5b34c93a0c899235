"""Goroutines in gdb, of a live process or a core file:

    (gdb) source runtime/gdb.py
    (gdb) info goroutines
    (gdb) goroutine 7 bt
    (gdb) goroutine 7 frame 5
    (gdb) goroutine all bt

A goroutine that runs, or that is locked to its thread, is looked at on that thread. Any other has left its stack: an
unwinder makes the thread's newest frame appear to be called from where the goroutine is parked, so `goroutine 7 CMD`
shows it from frame 1 on. Works without debug information; the program's table fairleadLayout says where things are.
"""

import struct

import gdb
from gdb.unwinder import Unwinder

LAYOUT_VERSION = 3
WORDS = ("version words mainG firstSlab slabNext slabBase slabUsed slabStackSize record colors colorSize sp goid"
         " parent createdAt status waitReason m lockedm procid reasons").split()
DEAD, RUNNABLE, RUNNING, SYSCALL, WAITING = range(5)
STATUS = ("dead", "runnable", "running", "syscall", "waiting")

# What fairleadSwitch leaves at the saved stack pointer, as at the top of gobuf.cpp: registers, lowest address first.
SWITCH_FRAME = {
    "i386:x86-64": ("r15 r14 r13 r12 rbx rbp rip".split(), "rsp", "rip", "rbp", 7),
    "aarch64": (["x29", "pc"] + ["x%d" % i for i in range(19, 29)], "sp", "pc", "x29", 20),
}
# The way off the stack is the same for all.
HIDDEN = ("fairleadSwitch", "::switchStack", "::switchAway", "::gopark")


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def word(address):
    return struct.unpack("<Q", read(address, 8))[0]


def text(address):
    return gdb.Value(address).cast(gdb.lookup_type("char").pointer()).string()


def symbol(pc):
    name = gdb.execute("info symbol %d" % pc, to_string=True)
    return name.split(" in section ")[0].strip() if " in section " in name else hex(pc)


class Layout:
    def __init__(self):
        try:
            at = int(gdb.parse_and_eval("(unsigned long)&fairleadLayout"))
        except gdb.error as error:
            raise gdb.GdbError("no fairleadLayout: not a program of this runtime, or no file loaded") from error
        version = word(at)
        if version != LAYOUT_VERSION:
            raise gdb.GdbError("this script knows layout %d, the program has %d" % (LAYOUT_VERSION, version))
        for i, name in enumerate(WORDS):
            setattr(self, name, word(at + 8 * i))
        self.reason = [text(word(at + 8 * (len(WORDS) + i))) for i in range(self.reasons)]


class Goroutine:
    """A goroutine record at an address."""

    def __init__(self, layout, at):
        self.goid = word(at + layout.goid)
        self.status = read(at + layout.status, 1)[0]
        self.parent = word(at + layout.parent)
        self.created = word(at + layout.createdAt)
        self.sp = word(at + layout.sp)
        reason = read(at + layout.waitReason, 1)[0]
        m = word(at + layout.lockedm)
        self.locked = m != 0
        if not m and self.status in (RUNNING, SYSCALL):
            m = word(at + layout.m)
        self.thread = struct.unpack("<i", read(m + layout.procid, 4))[0] if m else 0
        self.state = layout.reason[reason] if self.status == WAITING else STATUS[self.status]

    def saved(self):
        """The registers that the switch saved, by name, with the stack pointer after it."""
        names, sp, _, _, words = SWITCH_FRAME[gdb.selected_frame().architecture().name()]
        registers = {name: word(self.sp + 8 * i) for i, name in enumerate(names)}
        registers[sp] = self.sp + 8 * words
        return registers

    def place(self):
        """Where it is, without the frames of the scheduler."""
        if self.thread:
            return "thread %d" % self.thread
        _, _, pc, fp, _ = SWITCH_FRAME[gdb.selected_frame().architecture().name()]
        registers = self.saved()
        at, frame = registers[pc], registers[fp]
        for _ in range(8):
            name = symbol(at)
            if frame == 0 or not any(hidden in name for hidden in HIDDEN):
                return name
            frame, at = word(frame), word(frame + 8)
        return name


def goroutines():
    layout = Layout()
    found = [Goroutine(layout, layout.mainG)]
    slab = word(layout.firstSlab)
    while slab:
        base = word(slab + layout.slabBase)
        used = struct.unpack("<I", read(slab + layout.slabUsed, 4))[0]
        size = word(slab + layout.slabStackSize)
        found += [Goroutine(layout, base + (i + 1) * size - layout.record - i % layout.colors * layout.colorSize)
                  for i in range(used)]
        slab = word(slab + layout.slabNext)
    return sorted((g for g in found if g.status != DEAD and g.goid), key=lambda g: g.goid)


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class ParkedUnwinder(Unwinder):
    """While `goroutine` is set, the newest frame of the thread was called from where that is parked."""

    def __init__(self):
        super().__init__("fairlead")
        self.goroutine = None
        self.newest = None

    def __call__(self, pending):
        if self.goroutine is None:
            return None
        _, sp, pc, _, _ = SWITCH_FRAME[pending.architecture().name()]
        here = (int(pending.read_register(sp)), int(pending.read_register(pc)))
        if self.newest is None:
            self.newest = here
        if here != self.newest:
            return None
        # Below all frames of the goroutine, or gdb takes its stack, which is elsewhere, for a corrupt one.
        below = gdb.Value(self.goroutine.sp).cast(pending.read_register(sp).type)
        info = pending.create_unwind_info(FrameId(below, pending.read_register(pc)))
        for name, value in self.goroutine.saved_registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info


UNWINDER = ParkedUnwinder()
gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)


def run_parked(goroutine, command):
    goroutine.saved_registers = goroutine.saved()
    UNWINDER.goroutine, UNWINDER.newest = goroutine, None
    gdb.invalidate_cached_frames()
    try:
        gdb.newest_frame().older().select()
        output = gdb.execute(command, to_string=True)
        # Frame 0 is the thread that lent itself.
        print("\n".join(line for line in output.splitlines() if not line.startswith("#0 ")))
    finally:
        UNWINDER.goroutine = None
        gdb.invalidate_cached_frames()


def run_on_thread(goroutine, command):
    before = gdb.selected_thread()
    for thread in gdb.selected_inferior().threads():
        if thread.ptid[1] == goroutine.thread:
            thread.switch()
            try:
                gdb.execute(command)
            finally:
                before.switch()
            return
    print("thread %d is not there" % goroutine.thread)


class InfoGoroutines(gdb.Command):
    """List all goroutines: number, state, where it is, who made it."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, _arg, _from_tty):
        for g in goroutines():
            made = ", created by goroutine %d at %s" % (g.parent, symbol(g.created)) if g.parent else ""
            print("%s %d [%s%s] %s%s" % ("*" if g.status == RUNNING else " ", g.goid, g.state,
                                         ", locked to thread" if g.locked else "", g.place(), made))


class GoroutineCommand(gdb.Command):
    """goroutine N COMMAND: run a gdb command as if goroutine N were the selected thread. N may be `all`."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, arg, _from_tty):
        wanted, _, command = arg.partition(" ")
        if not command or not (wanted == "all" or wanted.isdigit()):
            raise gdb.GdbError("usage: goroutine N|all COMMAND")
        chosen = [g for g in goroutines() if wanted == "all" or g.goid == int(wanted)]
        if not chosen:
            raise gdb.GdbError("no goroutine %s" % wanted)
        for g in chosen:
            if wanted == "all":
                print("goroutine %d [%s]:" % (g.goid, g.state))
            (run_on_thread if g.thread else run_parked)(g, command)


InfoGoroutines()
GoroutineCommand()
# SIGRTMAX-1: a program that prints its goroutines halts its other threads.
gdb.execute("handle SIG63 nostop noprint pass", to_string=True)
