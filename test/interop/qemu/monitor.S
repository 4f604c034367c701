# A guest that does what the host says over COM1: peek and poke in 32-bit flat mode, no firmware, no interrupts.
# A 64 KiB -bios image:
#
#	as --32 -o monitor.o monitor.S
#	ld -m elf_i386 -Ttext 0xffff0000 -e 0xffff0000 --oformat binary -o monitor.bin monitor.o
#
# monitor-image.ts holds the code that comes of it. It says "REDY" when it begins.
#
# Request, 10 bytes, little endian: u8 op, u8 width (1, 2, 4), u32 address, u32 value.  Reply: u32, except of R.
#   i in port   o out port   r read memory   w write memory
#   R read `value` bytes from address -> the bytes      W write `value` bytes, which follow -> 0
#   F fill: width is the byte, value the length -> 0    S FNV-1a (32) over `value` bytes -> hash
	.set	REQ, 0x6000
	.text
	.globl	_start
	.code16
_start:
	cli
	cld
	lgdtl	%cs:(gdt_ptr - _start)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $flat
	.code32
flat:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x7000, %esp
	movl	$0x59444552, %eax		# "REDY"
reply:
	movl	%eax, REQ+16
	movl	$REQ+16, %esi
	movl	$4, %ecx
	call	send
main:
	movl	$REQ, %edi
	movl	$10, %ecx
	call	recv
	movb	REQ, %al
	movb	REQ+1, %ah
	movl	REQ+2, %ebx
	movl	REQ+6, %ecx
	movl	%ebx, %edx
	cmpb	$'i', %al
	je	op_in
	cmpb	$'o', %al
	je	op_out
	cmpb	$'r', %al
	je	op_read
	cmpb	$'w', %al
	je	op_write
	cmpb	$'R', %al
	je	op_readn
	cmpb	$'W', %al
	je	op_writen
	cmpb	$'F', %al
	je	op_fill
	cmpb	$'S', %al
	je	op_hash
	movl	$0xbad0bad0, %eax
	jmp	reply

op_in:	cmpb	$2, %ah
	movl	$0, %eax
	ja	1f
	je	2f
	inb	%dx, %al
	jmp	reply
1:	inl	%dx, %eax
	jmp	reply
2:	inw	%dx, %ax
	jmp	reply

op_out:	cmpb	$2, %ah
	movl	%ecx, %eax
	ja	1f
	je	2f
	outb	%al, %dx
	jmp	zero
1:	outl	%eax, %dx
	jmp	zero
2:	outw	%ax, %dx
	jmp	zero

op_read:
	cmpb	$2, %ah
	movl	$0, %eax
	ja	1f
	je	2f
	movb	(%ebx), %al
	jmp	reply
1:	movl	(%ebx), %eax
	jmp	reply
2:	movw	(%ebx), %ax
	jmp	reply

op_write:
	cmpb	$2, %ah
	ja	1f
	je	2f
	movb	%cl, (%ebx)
	jmp	zero
1:	movl	%ecx, (%ebx)
	jmp	zero
2:	movw	%cx, (%ebx)
zero:	xorl	%eax, %eax
	jmp	reply

op_readn:
	movl	%ebx, %esi
	call	send
	jmp	main
op_writen:
	movl	%ebx, %edi
	call	recv
	jmp	zero
op_fill:
	movl	%ebx, %edi
	movb	%ah, %al
	rep stosb
	jmp	zero
op_hash:
	movl	$0x811c9dc5, %eax
	testl	%ecx, %ecx
	jz	reply
1:	xorb	(%ebx), %al
	imull	$0x01000193, %eax, %eax
	incl	%ebx
	loop	1b
	jmp	reply

# ecx bytes at edi from COM1 / at esi to COM1; eax, edx lost
recv:	jecxz	9f
1:	movw	$0x3fd, %dx
2:	inb	%dx, %al
	testb	$1, %al
	jz	2b
	movw	$0x3f8, %dx
	inb	%dx, %al
	stosb
	loop	1b
9:	ret
send:	jecxz	9f
1:	movw	$0x3fd, %dx
2:	inb	%dx, %al
	testb	$0x20, %al
	jz	2b
	movw	$0x3f8, %dx
	lodsb
	outb	%al, %dx
	loop	1b
9:	ret

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_ptr:
	.word	23
	.long	gdt
	.globl	end_of_code
end_of_code:
	.org	0xfff0
	.code16
	jmp	_start
	.org	0x10000
