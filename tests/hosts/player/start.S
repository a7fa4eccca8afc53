/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry of the player: a boot loader that knows Multiboot (specification
 * 0.6.96) comes here in 32-bit protected mode with interrupts off, EBX
 * pointing to its information structure.
 */
	.set MAGIC, 0x1badb002
	.set FLAGS, 0x00000003	/* modules on page boundaries, memory map */

	.section .multiboot, "a"
	.balign 4
	.long MAGIC
	.long FLAGS
	.long -(MAGIC + FLAGS)

	.text
	.globl _start
_start:
	movl	$stack_top, %esp
	pushl	%ebx
	pushl	%eax
	call	play
	/* fall through */

	.globl idle
idle:
	cli
	hlt
	jmp	idle

	.globl spin_here
spin_here:
	jmp	spin_here

	.globl triple_fault
triple_fault:
	lidt	no_idt
	int3

	.balign 8
no_idt:
	.word	0
	.long	0

	.bss
	.balign 16
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", @progbits
