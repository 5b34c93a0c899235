// The switch between two stacks, System V x86-64. See gobuf.h.

        .text

// void fairleadSwitch(void** from /* rdi */, void* to /* rsi */)
// Both stacks have the same layout at the point where rsp changes, so the unwind rules hold on either side of it.
        .globl  fairleadSwitch
        .hidden fairleadSwitch
        .type   fairleadSwitch, @function
        .p2align 4
fairleadSwitch:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0

        movq    %rsp, (%rdi)
        movq    %rsi, %rsp

        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        // Who was left and who comes back called from the same place, one deep in the same functions mostly: so the
        // processor, whose return stack is that of the one who was left, predicts this return and those after it. A jump
        // instead would leave one address too many on that stack, and every return after it would be mispredicted.
        ret
        .cfi_endproc
        .size   fairleadSwitch, . - fairleadSwitch

// Entered by fairleadSwitch's return, never called: r12 holds the function, rbp is 0. The return address is undefined,
// which tells unwinders that the stack ends here. The nop comes first because some ignore the rules of a function when
// the address is exactly its start.
        .globl  fairleadEntry
        .hidden fairleadEntry
        .type   fairleadEntry, @function
        .p2align 4
fairleadEntry:
        .cfi_startproc
        .cfi_undefined %rip
        nop
        callq   *%r12
        ud2
        .cfi_endproc
        .size   fairleadEntry, . - fairleadEntry

        .section .note.GNU-stack, "", @progbits
