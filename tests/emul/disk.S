# A program for a PC's first hard disk of 8 cylinders, 16 heads and 63 sectors, by its BIOS alone: it writes 16 sectors,
# reads them back, and then reads the whole disk, a track at a time. It says "disk: done", or what went wrong.
#
#   as --32                     a boot sector, at 0x7c00: says it at port 0xe9, then meets Bochs's magic breakpoint
#   as --32 --defsym DOSBOX=1   a boot sector: says it in the second sector, then goes back to DOSBox's shell
#   as --32 --defsym DOS=1      a .COM file, at 0x100: says it to DOS, then ends with status 0 or 1
	.code16
	.globl _start

	.set WRITTEN, 0x4000	# segment of what is written
	.set READ, 0x5000	# of what is read
	.set PLACE, 0x0505	# cylinder 5, sector 5
	.set HEAD, 2

_start:
.ifndef DOS
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $_start, %sp
.endif
	cld
	movw $WRITTEN, %ax
	movw %ax, %es
	xorw %di, %di
	movw $16 * 256, %cx
	movw $0x5a01, %ax
1:	stosw
	addw $0x0377, %ax
	loop 1b

	movw $0x0310, %ax
	movw $PLACE, %cx
	movb $HEAD, %dh
	call transfer
	movw $READ, %ax
	movw %ax, %es
	movw $0x0210, %ax
	call transfer

	pushw %ds
	movw $WRITTEN, %ax
	movw %ax, %ds
	xorw %si, %si
	xorw %di, %di
	movw $16 * 256, %cx
	repe cmpsw
	popw %ds
	movw $differs, %si
	jne fail

	movw $0x0001, %cx
track:	movb $0, %dh
head:	movw $0x023f, %ax
	call transfer
	incb %dh
	cmpb $16, %dh
	jb head
	incb %ch
	cmpb $8, %ch
	jb track

	movb $0, status
	movw $done, %si
	jmp say

# transfer: by the BIOS, between es:0 and the sectors from cx and dh on; ax tells which way, and how many
transfer:
	xorw %bx, %bx
	movb $0x80, %dl
	int $0x13
	jc 1f
	ret
1:	movw $failed, %si
fail:	movb $1, status

# say: what si points to, and end
say:
.ifdef DOSBOX
	pushw %ds
	popw %es
	movw %si, %bx
	movw $0x0301, %ax
	movw $0x0002, %cx
	movw $0x0080, %dx
	int $0x13
	# DOSBox's own instruction, and of its functions the one that leaves the processor
	.byte 0xfe, 0x38, 0x01, 0x00
.else
	lodsb
	testb %al, %al
	jz end
.ifdef DOS
	movb %al, %dl
	movb $2, %ah
	int $0x21
.else
	outb %al, $0xe9
.endif
	jmp say
end:
.ifdef DOS
	movb status, %al
	movb $0x4c, %ah
	int $0x21
.else
	xchgw %bx, %bx
.endif
.endif
1:	hlt
	jmp 1b

done:	.asciz "disk: done\r\n"
failed:	.asciz "disk: the BIOS reports an error\r\n"
differs: .asciz "disk: read other bytes than were written\r\n"
status:	.byte 1
.ifndef DOS
	.org 510
	.word 0xaa55
.endif
