# The smallest guest that does what every guest does: protected mode, paging, long mode, a stack, cpuid; then it ends
# QEMU through the isa-debug-exit device with exit status 33. Loaded as a multiboot kernel.
#
#   as --32 -o probe.o probe.s && objcopy -O binary -j .text probe.o probe.bin

        .set    BASE, 0x100000          # where it is loaded
        .set    TABLES, 0x8000          # three page tables
        .set    STACK, 0x8000           # grows down from there
        .set    ROUNDS, 200000
        .set    PORT, 0xf4
        .set    VALUE, 16               # exit status 2 * VALUE + 1

        .text
        .code32
start:
        jmp     entry
        .balign 4
header: .long   0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
        .long   BASE + (header - start), BASE, 0, 0, BASE + (entry - start)

        .balign 8
gdt:    .quad   0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   BASE + (gdt - start)

entry:  cld
        xorl    %eax, %eax
        movl    $TABLES, %edi
        movl    $(2 * 4096 / 4), %ecx
        rep stosl
        movl    $(TABLES + 0x1003), TABLES
        movl    $(TABLES + 0x2003), TABLES + 0x1000
        movl    $0x83, %eax             # the first GiB, in pages of 2 MiB
        movl    $512, %ecx
1:      movl    %eax, (%edi)
        movl    $0, 4(%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    1b

        movl    %cr4, %eax
        orl     $0x20, %eax
        movl    %eax, %cr4
        movl    $TABLES, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        lgdt    BASE + (gdt_pointer - start)
        ljmp    $8, $(BASE + (long_mode - start))

        .code64
long_mode:
        movw    $16, %ax
        movw    %ax, %ss
        movw    %ax, %ds
        movl    $STACK, %esp
        movl    $ROUNDS, %esi
2:      pushq   %rsi
        popq    %rax
        testl   $0xffff, %esi
        jnz     3f
        cpuid
3:      decl    %esi
        jnz     2b
        movb    $VALUE, %al
        movw    $PORT, %dx
        outb    %al, %dx
4:      hlt
        jmp     4b
