#!/usr/bin/env bats
# blkverify doctor: what it says of programs, and that it says no more than is so.

load functions
load qemu
load command

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	# a program with a plugin of its own kind, and what of it is asked for
	cat >program.c <<-'END'
		#include <fcntl.h>
		#include <stdio.h>
		#include <unistd.h>
		#ifdef __x86_64__
		#define ENTER "syscall"
		#define LOAD "mov $17, %%eax\n\t"
		#define DATA ".byte 0xb8, 0x0f, 0x05, 0x0f, 0x05, 0x48, 0xb8, 0x0f, 0x05, 0, 0, 0, 0, 0x0f, 0x05"
		#else
		#define ENTER "svc #0"
		#define LOAD "mov x8, #67\n\t"
		#define DATA "nop"
		#endif
		int plain(void), raw(void), data(void), function(void);
		#ifdef RAW
		int raw(void) { __asm__ volatile(LOAD ENTER : : : "memory"); return 0; }
		#endif
		#ifdef NUMBERS
		int raw(void) { __asm__ volatile(DATA : : : "memory"); return 0; }
		#endif
		#ifdef OWN
		ssize_t pread64(int fd, void *p, size_t n, off64_t at) { (void)fd; (void)p; (void)at; return (ssize_t)n; }
		#endif
		#ifdef NEW
		int io_uring_from_the_future(void);
		#endif
		#ifdef MAIN
		int main(void)
		{
			char c;
			int fd = open("/dev/null", O_RDONLY);
		#ifdef NEW
			io_uring_from_the_future();
		#endif
			return pread64(fd, &c, 1, 0) == 1 ? puts("read") : 0;
		}
		#else
		int function(void) { return lockf(0, F_TEST, 0); }
		#endif
	END
	cc=${CC:-cc}
	local raw="-D_GNU_SOURCE -w -O2 program.c"
	$cc $raw -DMAIN -o plain
	$cc $raw -DMAIN -DRAW -o raw
	$cc $raw -DMAIN -DNUMBERS -o numbers
	$cc $raw -DMAIN -DOWN -rdynamic -o own
	$cc $raw -DMAIN -static -o static
	$cc $raw -shared -fPIC -o libplugin.so
	$cc $raw -shared -fPIC -DRAW -o librawplugin.so
	echo 'int io_uring_from_the_future(void) { return 0; }' >future.c
	$cc -shared -fPIC -w future.c -o libfuture.so
	$cc $raw -DMAIN -DNEW -o new libfuture.so -Wl,-rpath,"$BATS_FILE_TMPDIR"
	echo 'int gone(void); int main(void) { return gone(); }' >lost.c
	echo 'int gone(void) { return 0; }' >gone.c
	$cc -shared -fPIC -w gone.c -o libgone.so
	$cc -w lost.c -o lost libgone.so -Wl,-rpath,"$BATS_FILE_TMPDIR"
	rm libgone.so
}

setup() {
	need_command
	cd "$BATS_FILE_TMPDIR"
}

doctor() { run blkverify doctor "$@"; }

# assert_verdict STATUS [PROBLEM...]: that status, and just those problems, each a part of its line
assert_verdict() {
	local problem lines
	assert_status "$1" || return
	shift
	lines=$(sed -n 's/^not covered: //p' <<<"$output")
	[ "$(grep -c . <<<"$lines")" = $# ] || fail_with "expected $# problems" || return
	for problem; do
		grep -q -F -e "$problem" <<<"$lines" || fail_with "expected the problem: $problem" || return
	done
	case $# in
	0) assert_says "verdict: all is covered" ;;
	1) assert_says "verdict: one thing is not covered" ;;
	*) assert_says "verdict: not all is covered" ;;
	esac
}

# treated FUNCTION: the words above the list that has it
treated() {
	awk -v function_name="$1" '
		/^  [^ ]/ { words = (listed ? "" : words " ") substr($0, 3); listed = 0; next }
		/^      [^ ]/ {
			listed = 1
			n = split($0, names, /[ ,:]+/)
			for (i = 1; i <= n; i++)
				if (names[i] == function_name) {
					sub(/^ /, "", words)
					print words
					exit
				}
		}
		/^[^ ]/ { words = ""; listed = 0 }' <<<"$output"
}

# ---- what is called ----

@test "a program of which all is covered" {
	doctor ./plain
	assert_verdict 0
	assert_says "./plain: can load the library, and has 2 libraries"
	[ "$(treated pread64)" = "verified read" ]
	[[ $(treated open) == "noted (makes a descriptor)"* ]]
	[[ $(treated puts) == "stdio: "* ]]
	# only what it calls
	[ -z "$(treated pwrite64)" ]
}

@test "every name of the table is found by its words" {
	local name words
	"$BLK_SRCDIR/tests/coverage/table" "$BLK_SRCDIR"/shim/{symbols,passed}.def |
		grep -E '^(wrapped|passed) ' >"$BATS_TEST_TMPDIR/table"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/table")" -gt 500 ]
	# a library that calls them all
	cut -d ' ' -f 2 "$BATS_TEST_TMPDIR/table" | sort -u >"$BATS_TEST_TMPDIR/names"
	sed 's/.*/extern char name_&[] __asm__("&"); char *p_& = name_&;/' "$BATS_TEST_TMPDIR/names" |
		${CC:-cc} -w -fno-builtin -shared -fPIC -x c - -o "$BATS_TEST_TMPDIR/liball.so" 2>/dev/null
	doctor --verbose --also "$BATS_TEST_TMPDIR/liball.so" ./plain
	assert_verdict 0
	sed -n 's/^      \([^ :]*\):.* liball.so$/\1/p' <<<"$output" | sort -u | diff "$BATS_TEST_TMPDIR/names" -
	# and what is left alone has the table's reason above it: some of them
	awk '$1 == "passed" && NR % 25 == 0' "$BATS_TEST_TMPDIR/table" >"$BATS_TEST_TMPDIR/some"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/some")" -gt 10 ]
	while read -r _ name words; do
		[ "$(treated "$name")" = "$words" ] || fail_with "$name is not under: $words" || return
	done <"$BATS_TEST_TMPDIR/some"
}

@test "--verbose tells who calls" {
	doctor --verbose --also ./libplugin.so ./plain
	assert_verdict 0
	assert_says "      pread64: plain" "      lockf: libplugin.so"
}

@test "--also" {
	doctor ./plain
	[ -z "$(treated lockf)" ]
	doctor --also ./libplugin.so ./plain
	assert_verdict 0
	[ "$(treated lockf)" = "locks, no bytes" ]
	doctor ./plain --also ./libplugin.so --also=./librawplugin.so
	assert_verdict 1 "./librawplugin.so: 1 system call by instructions of its own: "
	doctor --also ./none ./plain
	assert_trouble 2 "./none: does not exist"
	doctor --also ./program.c ./plain
	assert_trouble 2 "./program.c: the dynamic linker cannot load it"
}

@test "a function of liburing that is newer than the table" {
	doctor ./new
	assert_verdict 1 "./new: calls io_uring_from_the_future, which is not known"
}

@test "a function of the program's own, before the library's" {
	doctor ./own
	assert_verdict 1 "./own: has a function pread64 of its own"
}

# ---- what goes past libc ----

@test "system calls by instructions of the program's own" {
	doctor ./raw
	assert_verdict 1 "./raw: 1 system call by instructions of its own: pread64 (1)"
	# of the library's own way to catch them it is told where there is one
	if BLKVERIFY_TRAP=1 LD_PRELOAD=$BLK_LIB /bin/true 2>/dev/null; then
		assert_says "BLKVERIFY_TRAP=1 catches system calls past libc, here"
	else
		lacks BLKVERIFY_TRAP=1.catches
	fi
}

@test "numbers that look like such instructions" {
	doctor ./numbers
	assert_verdict 0
	# the bytes are there
	[ "$(uname -m)" != x86_64 ] || LC_ALL=C grep -q -a -P '\x0f\x05\x0f\x05' ./numbers
}

@test "as many of them as the disassembler finds" {
	need_program objdump
	[ "$(uname -m)" = x86_64 ] || skip "x86-64's instructions"
	local library found
	for library in liburing.so.2 libgnutls.so.30 libglib-2.0.so.0; do
		library=/usr/lib/x86_64-linux-gnu/$library
		[ -e "$library" ] || skip "no $library"
		found=$(objdump -d --no-show-raw-insn "$library" | grep -c -P '\tsyscall *$' || :)
		doctor --also "$library" ./plain
		[ "$(sed -n "s|^  $library: ||p" <<<"$output" | grep -o '([0-9]*)' | tr -d '()' | awk "{ n += \$1 } END { print n }")" = \
			"$([ "$found" = 0 ] || echo "$found")" ] || fail_with "$library: $found" || return
	done
}

@test "liburing's are covered, and fio's where they can be trapped" {
	doctor qemu-img
	assert_verdict 0
	[[ $output == */liburing.so.2:*"caught in the functions that lead there"* ]]
	[ "$(treated io_uring_submit)" = "carried out by the engine, verified, before the completion can be seen" ]
	need_program strace
	doctor fio
	if BLKVERIFY_TRAP=1 LD_PRELOAD=$BLK_LIB /bin/true 2>/dev/null; then
		assert_verdict 0
		[[ $output == *"/fio: io_uring_enter (3)"$'\n'"      trapped from the first ring on"* ]]
	fi
	run strace -o /dev/null -e trace=prctl -e inject=prctl:error=EINVAL "$BLK_COMMAND" doctor fio
	assert_verdict 1 "fio: 3 system calls by instructions of its own: io_uring_enter (3)"
}

@test "emulators" {
	for program in qemu-system-x86_64 qemu-io bochs-bin dosbox pdp11; do
		need_program "$program"
		doctor "$program"
		assert_verdict 0 || fail_with "$program" || return
	done
}

# ---- what cannot load the library ----

@test "a static program" {
	doctor ./static
	assert_verdict 1 "./static: cannot load the library: statically linked"
	doctor busybox
	assert_verdict 1 "statically linked"
}

# changed NAME OFFSET HEX: the plain program with other bytes there
changed() {
	cp plain "$BATS_TEST_TMPDIR/$1"
	printf "$(sed 's/../\\x&/g' <<<"$3")" | dd of="$BATS_TEST_TMPDIR/$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "a program of another word size, machine or C library" {
	changed small 4 01
	doctor "$BATS_TEST_TMPDIR/small"
	assert_verdict 1 "another machine or word size"
	changed foreign 18 1600
	doctor "$BATS_TEST_TMPDIR/foreign"
	assert_verdict 1 "another machine or word size"
	local at
	at=$(LC_ALL=C grep -a -b -o -m 1 '/lib[0-9]*/ld-linux' plain | head -n 1 | cut -d : -f 1)
	changed musl "$at" "$(printf '/lib/ld-musl-x86_64.so.1\0' | od -An -v -tx1 | tr -d ' \n')"
	doctor "$BATS_TEST_TMPDIR/musl"
	assert_verdict 1 "another C library"
}

@test "a set-user-id program, and one with capabilities" {
	need_root
	need_program setcap
	command_for_nobody
	install -m 755 plain "$BATS_TEST_TMPDIR/nobody/plain"
	chmod 777 "$TMPDIR"
	run as_nobody "$BLK_COMMAND" doctor "$BATS_TEST_TMPDIR/nobody/plain"
	assert_verdict 0
	chmod u+s "$BATS_TEST_TMPDIR/nobody/plain"
	run as_nobody "$BLK_COMMAND" doctor "$BATS_TEST_TMPDIR/nobody/plain"
	assert_verdict 1 "another user or group"
	chmod u-s "$BATS_TEST_TMPDIR/nobody/plain"
	setcap cap_net_raw+ep "$BATS_TEST_TMPDIR/nobody/plain" || skip "no file capabilities here"
	run as_nobody "$BLK_COMMAND" doctor "$BATS_TEST_TMPDIR/nobody/plain"
	assert_verdict 1 "file capabilities"
}

@test "a script is as good as its interpreter" {
	printf '#!%s/plain -x\n' "$PWD" >"$BATS_TEST_TMPDIR/good"
	printf '#!%s/static\n' "$PWD" >"$BATS_TEST_TMPDIR/bad"
	printf '#!%s\n' "$BATS_TEST_TMPDIR/bad" >"$BATS_TEST_TMPDIR/worse"
	printf '#! /usr/bin/env -S plain -x\n' >"$BATS_TEST_TMPDIR/env"
	printf '#!/no/such/shell\n' >"$BATS_TEST_TMPDIR/none"
	chmod +x "$BATS_TEST_TMPDIR"/{good,bad,worse,env,none}
	doctor "$BATS_TEST_TMPDIR/good"
	assert_verdict 0
	assert_says "$BATS_TEST_TMPDIR/good: a script for $PWD/plain"
	doctor "$BATS_TEST_TMPDIR/bad"
	assert_verdict 1 "$PWD/static: cannot load the library"
	doctor "$BATS_TEST_TMPDIR/worse"
	assert_verdict 1 "$PWD/static: cannot load the library"
	PATH="$PWD:$PATH" doctor "$BATS_TEST_TMPDIR/env"
	assert_verdict 0
	assert_says "$PWD/plain: can load the library, and has 2 libraries"
	doctor "$BATS_TEST_TMPDIR/none"
	assert_status 2
	assert_one_line "/no/such/shell: does not exist"
}

# ---- trouble ----

@test "what is no program" {
	doctor ./none
	assert_trouble 2 "./none: does not exist"
	doctor no-such-program
	assert_trouble 2 "no-such-program: not found"
	doctor ./
	assert_trouble 2 "./: is a directory"
	doctor ./program.c
	assert_trouble 2 "./program.c: cannot be executed"
	cp program.c "$BATS_TEST_TMPDIR/text"
	chmod +x "$BATS_TEST_TMPDIR/text"
	doctor "$BATS_TEST_TMPDIR/text"
	assert_trouble 2 "$BATS_TEST_TMPDIR/text: no ELF file"
	head -c 3000 plain >"$BATS_TEST_TMPDIR/torn"
	chmod +x "$BATS_TEST_TMPDIR/torn"
	doctor "$BATS_TEST_TMPDIR/torn"
	assert_trouble 2 "$BATS_TEST_TMPDIR/torn: "
	doctor ./lost
	assert_trouble 2 "./lost: the dynamic linker cannot load it: libgone.so: "
}

@test "bad usage" {
	doctor
	assert_trouble 2 PROGRAM
	doctor ./plain ./plain
	assert_trouble 2 PROGRAM
	doctor --no-such ./plain
	assert_trouble 2 --no-such
	doctor ./plain --also
	assert_trouble 2 --also
}

@test "an output that takes nothing" {
	run bash -c '"$@" >/dev/full' - "$BLK_COMMAND" doctor ./plain
	assert_trouble 2 "standard output"
}

@test "--help, -h, --version" {
	doctor --help
	[ "$status" = 0 ] && [[ $output == "usage: blkverify doctor"* ]]
	for option in --also --verbose --version; do grep -q -e "$option" <<<"$output"; done
	doctor -h
	[ "$status" = 0 ] && [[ $output == "usage: blkverify doctor"* ]]
	doctor --version
	[ "$status" = 0 ] && [[ $output == "blkverify "[0-9]* ]]
}

# ---- the machine ----

# has_from VERSION FACT: that is there from this kernel on, and not before
has_from() {
	if [ "$(printf '%s\n' "$1" "$(uname -r)" | sort -V | head -n 1)" = "$1" ]; then
		assert_says "  $2: there"
	else
		lacks "  $2: there"
	fi
}

@test "what the machine has" {
	need_fuse
	doctor ./plain
	assert_verdict 0
	[[ $output == *"/libblkverify.so: takes effect"* ]]
	assert_says "  FUSE, for --format: there" "  qemu-storage-daemon, for --format: there" "  io_uring: there" \
		"  Linux $(uname -r) on $(uname -m), glibc $(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)"
	has_from 5.18 "io_uring: MSG_RING, for requests on targets"
	has_from 6.10 "io_uring: NOP with a result"
	[ "$(uname -m)" != x86_64 ] || has_from 5.11 "Syscall User Dispatch, for BLKVERIFY_TRAP=1"
	# the user's own settings are not for the trial
	BLKVERIFY_TARGET=/none BLKVERIFY_NONSENSE=1 doctor ./plain
	assert_verdict 0
}

@test "what the machine lacks" {
	need_program strace
	mkdir "$BATS_TEST_TMPDIR/empty"
	PATH="$BATS_TEST_TMPDIR/empty" run "$BLK_COMMAND" doctor ./plain
	assert_verdict 0
	assert_says "  qemu-storage-daemon, for --format: not found; it is in the Debian package qemu-system-common"
	run strace -o /dev/null -e trace=io_uring_setup -e inject=io_uring_setup:error=EPERM "$BLK_COMMAND" doctor ./plain
	assert_verdict 0
	[[ $output == *"io_uring: not allowed: "*"MSG_RING, for requests on targets: no io_uring"* ]]
	run strace -o /dev/null -e trace=io_uring_register -e inject=io_uring_register:error=EINVAL "$BLK_COMMAND" doctor ./plain
	assert_says "  io_uring: MSG_RING, for requests on targets: the kernel is older than 5.18"
	run strace -o /dev/null -e trace=openat -P /dev/fuse -e inject=openat:error=EACCES "$BLK_COMMAND" doctor ./plain
	assert_says "  FUSE, for --format: /dev/fuse: permission denied; it has to be readable and writable, and a container has to be given it"
	run strace -o /dev/null -e trace=prctl -e inject=prctl:error=EINVAL "$BLK_COMMAND" doctor ./plain
	[[ $output == *"Syscall User Dispatch, for BLKVERIFY_TRAP=1: the kernel has none"* ]]
}

@test "a signal leaves nothing" {
	# while the library is tried; Ctrl-C comes to all
	printf '#include <unistd.h>\n__attribute__((constructor)) static void wait(void) { write(1, "begun", 5); sleep(100); }\n' >"$TMPDIR/slow.c"
	mkdir -p "$TMPDIR/there/shim/.libs"
	${CC:-cc} -shared -fPIC -o "$TMPDIR/there/shim/.libs/libblkverify.so" "$TMPDIR/slow.c"
	cp "$BLK_COMMAND" "$TMPDIR/there"
	background "$TMPDIR/there/blkverify" doctor ./plain
	until_true 10 compgen -G "$TMPDIR/blkverify-doctor.*/shadow"
	sleep 0.1
	kill "$PID" $(pgrep -P "$PID")
	wait_for_background
	assert_status 143
	assert_nothing_left
}

@test "a library that has no effect" {
	need_root
	command_for_nobody
	install -m 755 plain "$BATS_TEST_TMPDIR/nobody/plain"
	chmod 777 "$TMPDIR"
	chmod 600 "$BATS_TEST_TMPDIR/nobody/shim/.libs/libblkverify.so"
	run as_nobody "$BLK_COMMAND" doctor "$BATS_TEST_TMPDIR/nobody/plain"
	assert_verdict 1 "libblkverify.so: the dynamic linker ignores LD_PRELOAD"
	# one that is something else
	echo 'int nothing;' | ${CC:-cc} -shared -fPIC -x c - -o "$BATS_TEST_TMPDIR/nobody/shim/.libs/libblkverify.so"
	run "$BATS_TEST_TMPDIR/nobody/blkverify" doctor ./plain
	assert_verdict 1 "libblkverify.so: the dynamic linker ignores LD_PRELOAD"
}
