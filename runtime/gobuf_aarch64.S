// The switch between two stacks, AAPCS64. See gobuf.h.
//
// Saved, lowest address first: x29 x30, x19 to x28, d8 to d15 (the callee saves their low halves only). x29 and x30 lie
// at the bottom as they do in every frame record, so that a walk along frame pointers passes through.

        .text

// void fairleadSwitch(void** from /* x0 */, void* to /* x1 */)
// Both stacks have the same layout at the point where sp changes, so the unwind rules hold on either side of it.
        .globl  fairleadSwitch
        .hidden fairleadSwitch
        .type   fairleadSwitch, %function
        .p2align 4
fairleadSwitch:
        .cfi_startproc
        hint    #34             // bti c
        stp     x29, x30, [sp, #-160]!
        .cfi_adjust_cfa_offset 160
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        stp     x19, x20, [sp, #16]
        .cfi_rel_offset x19, 16
        .cfi_rel_offset x20, 24
        stp     x21, x22, [sp, #32]
        .cfi_rel_offset x21, 32
        .cfi_rel_offset x22, 40
        stp     x23, x24, [sp, #48]
        .cfi_rel_offset x23, 48
        .cfi_rel_offset x24, 56
        stp     x25, x26, [sp, #64]
        .cfi_rel_offset x25, 64
        .cfi_rel_offset x26, 72
        stp     x27, x28, [sp, #80]
        .cfi_rel_offset x27, 80
        .cfi_rel_offset x28, 88
        stp     d8, d9, [sp, #96]
        .cfi_rel_offset d8, 96
        .cfi_rel_offset d9, 104
        stp     d10, d11, [sp, #112]
        .cfi_rel_offset d10, 112
        .cfi_rel_offset d11, 120
        stp     d12, d13, [sp, #128]
        .cfi_rel_offset d12, 128
        .cfi_rel_offset d13, 136
        stp     d14, d15, [sp, #144]
        .cfi_rel_offset d14, 144
        .cfi_rel_offset d15, 152

        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1

        ldp     x19, x20, [sp, #16]
        .cfi_restore x19
        .cfi_restore x20
        ldp     x21, x22, [sp, #32]
        .cfi_restore x21
        .cfi_restore x22
        ldp     x23, x24, [sp, #48]
        .cfi_restore x23
        .cfi_restore x24
        ldp     x25, x26, [sp, #64]
        .cfi_restore x25
        .cfi_restore x26
        ldp     x27, x28, [sp, #80]
        .cfi_restore x27
        .cfi_restore x28
        ldp     d8, d9, [sp, #96]
        .cfi_restore d8
        .cfi_restore d9
        ldp     d10, d11, [sp, #112]
        .cfi_restore d10
        .cfi_restore d11
        ldp     d12, d13, [sp, #128]
        .cfi_restore d12
        .cfi_restore d13
        ldp     d14, d15, [sp, #144]
        .cfi_restore d14
        .cfi_restore d15
        ldp     x29, x30, [sp], #160
        .cfi_adjust_cfa_offset -160
        .cfi_restore x29
        .cfi_restore x30
        // Not br, although the processor's return stack still belongs to the context that was left: where branch targets
        // are checked, a br must land on a bti, and what follows a call is none.
        ret
        .cfi_endproc
        .size   fairleadSwitch, . - fairleadSwitch

// Entered by fairleadSwitch's ret, never called: x19 holds the function, x29 is 0. The return address is undefined,
// which tells unwinders that the stack ends here. The bti comes first also because some ignore the rules of a function
// when the address is exactly its start.
        .globl  fairleadEntry
        .hidden fairleadEntry
        .type   fairleadEntry, %function
        .p2align 4
fairleadEntry:
        .cfi_startproc
        .cfi_undefined x30
        hint    #34             // bti c
        blr     x19
        brk     #1
        .cfi_endproc
        .size   fairleadEntry, . - fairleadEntry

        .section .note.GNU-stack, "", %progbits
