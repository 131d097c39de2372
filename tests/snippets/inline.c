/*
 * inline CALL FILE OFFSET LENGTH BYTE, inline --list: as raw, by an instruction of its own in place of libc's syscall().
 */
#include "client.h"
#include "own_call.h"
#define syscall own_syscall
#include "raw.c"
