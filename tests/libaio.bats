# Linux AIO: by libaio, by syscall(), and by programs that take events from the ring's memory without any call.
load functions
load requests
load qemu

CLIENT=libaio_rw
AT=4096
LENGTH=8192
BAD=9000
FIO=libaio

# ---- single requests ----

@test "every way of libaio does what it does without the shim, and is verified" {
	need_client libaio_rw
	for_each "$(libaio_rw --list)" moves_as_native
}

named_in() { echo io_submit; }

@test "every read of libaio stops at one wrong byte" {
	need_client libaio_rw
	for_each "$(reads)" stops
}

@test "with eio, the event says EIO" {
	need_client libaio_rw
	for_each "$(reads)" fails
}

@test "with log, the event says what the target gave" {
	need_client libaio_rw
	make_pair 64K
	damage_shadow 9000
	BLKVERIFY_ON_MISMATCH=log run shim libaio_rw read "$TARGET" $AT $LENGTH 0
	assert_mismatch read 17 9000 0
	[[ $output == *"ret=$LENGTH"* ]]
}

@test "the bytes on either side of a request are let alone" {
	need_client libaio_rw
	for_each "$(libaio_rw --list)" goes_on
}

@test "a target's failure is reported, or handed on in the event" {
	need_client libaio_rw
	make_pair 64K
	FAULT_OP=read FAULT_ERRNO=EIO run shim_with fail libaio_rw read "$TARGET" $AT $LENGTH 0
	assert_return_mismatch read -5 $LENGTH
	FAULT_OP=read FAULT_ERRNO=EIO BLKVERIFY_ON_ERROR=pass run shim_with fail libaio_rw read "$TARGET" $AT $LENGTH 0
	assert_silent 1
	[[ $output == *"ret=-1 EIO"* ]]
	make_pair 64K
	FAULT_OP=write FAULT_ERRNO=ENOSPC run shim_with fail libaio_rw raw_write "$TARGET" $AT $LENGTH 0
	assert_return_mismatch write -28 $LENGTH
}

# ---- what a program can see of it ----

behaves_on() {
	local which=$1 native file
	make_pair 1M
	head -c 1M /dev/urandom >"$BATS_TEST_TMPDIR/other"
	file=$TARGET
	[ "$which" = target ] || file="$BATS_TEST_TMPDIR/other"
	cp "$file" "$BATS_TEST_TMPDIR/before"
	run libaio_manner "$2" "$file"
	skip_if_absent
	assert_status 0
	native=$output
	mv "$file" "$BATS_TEST_TMPDIR/native"
	cp "$BATS_TEST_TMPDIR/before" "$file"
	run shim timeout 60 libaio_manner "$2" "$file"
	assert_clean
	[ "$output" = "$native" ] || fail_with "$(diff <(echo "$native") <(echo "$output"))"
	cmp "$file" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
}

@test "a program sees of Linux AIO on a target what it sees without the shim" {
	need_client libaio_manner
	for_each "$(libaio_manner --list)" behaves_on target
}

@test "a program sees of Linux AIO on other files what it sees without the shim" {
	need_client libaio_manner
	for_each "$(libaio_manner --list)" behaves_on other
}

@test "without a target Linux AIO is not touched" {
	need_client libaio_manner
	make_pair 1M
	local native
	run libaio_manner events "$TARGET"
	native=$output
	cp "$SHADOW" "$TARGET"
	run env LD_PRELOAD="$BLK_LIB" libaio_manner events "$TARGET"
	assert_silent 0
	[ "$output" = "$native" ]
}

slow_behaves() {
	local native
	make_pair 1M
	run libaio_manner "$1" "$TARGET"
	skip_if_absent
	assert_status 0
	native=$output
	cp "$SHADOW" "$TARGET"
	FAULT_DELAY=200000 run shim_with delay timeout 60 libaio_manner "$1" "$TARGET"
	assert_clean
	[ "$output" = "$native" ] || fail_with "$(diff <(echo "$native") <(echo "$output"))"
	assert_same_contents
}

@test "what ends while requests are in flight on a slow target waits for them" {
	need_client libaio_manner
	for_each "stale closing clobbered destroying forked leaving" slow_behaves
}

# the twin: what each of them reads is compared
notices() {
	make_pair 1M
	damage_shadow 9000
	run shim timeout 60 libaio_manner "$1" "$TARGET"
	assert_mismatch read 17 9000
	[[ $output == *io_submit* ]] || fail_with "expected the call to be named"
	in_sync lacks seen || fail_with "seen by the program"
}

@test "a wrong byte is noticed before the program can see it in the ring" {
	need_client libaio_manner
	for_each "peeking spinning stale clobbered destroying threads events" notices
}

# each thread reads only what it wrote: the fault is that a write is lost
@test "a lost write is noticed in the context of each thread" {
	need_client libaio_manner
	make_pair 1M
	FAULT_SKIP=100 run shim_with lose timeout 60 libaio_manner apart "$TARGET"
	[ "$status" = 134 ]
	assert_first_line 'contents mismatch'
	[[ $output == *io_submit* ]] || fail_with "expected the call to be named"
}

@test "requests in flight when the process ends are carried out on both sides" {
	need_client libaio_manner
	make_pair 1M
	run shim libaio_manner leaving "$TARGET"
	assert_clean
	assert_filled "$TARGET" 0 65536 5a
	assert_same_contents
}

# ---- libaio out of the program's sight ----

# a plugin that is linked with libaio, both in no scope but its own
@test "libaio that a plugin brings along" {
	need_client libaio_rw
	cat >"$BATS_TEST_TMPDIR/plugin.c" <<-'C'
		#define _GNU_SOURCE
		#include <fcntl.h>
		#include <libaio.h>
		#include <stdlib.h>
		long go(const char *path, int writes) {
			io_context_t context = 0;
			struct iocb cb, *list[1] = { &cb };
			struct io_event event = { 0 };
			void *bytes = aligned_alloc(4096, 8192);
			int fd = open(path, O_RDWR | O_DIRECT);
			if (io_setup(4, &context))
				return -1;
			if (writes)
				io_prep_pwrite(&cb, fd, bytes, 8192, 4096);
			else
				io_prep_pread(&cb, fd, bytes, 8192, 4096);
			if (io_submit(context, 1, list) != 1 || io_getevents(context, 1, 1, &event, 0) != 1)
				return -2;
			return (long)event.res;
		}
	C
	cat >"$BATS_TEST_TMPDIR/main.c" <<-'C'
		#include <dlfcn.h>
		#include <stdio.h>
		int main(int n, char **a) {
			long (*go)(const char *, int);
			void *plugin = dlopen(a[1], RTLD_NOW | RTLD_LOCAL);
			if (!plugin || !(go = (long (*)(const char *, int))dlsym(plugin, "go")))
				return 2;
			printf("%ld\n", go(a[2], n > 3));
			return 0;
		}
	C
	${CC:-cc} -w -shared -fPIC -o "$BATS_TEST_TMPDIR/plugin.so" "$BATS_TEST_TMPDIR/plugin.c" -laio
	${CC:-cc} -w -o "$BATS_TEST_TMPDIR/main" "$BATS_TEST_TMPDIR/main.c"
	make_pair 64K
	local way
	for way in "" writes; do
		# shellcheck disable=SC2086
		BLKVERIFY_STATS=1 run shim "$BATS_TEST_TMPDIR/main" "$BATS_TEST_TMPDIR/plugin.so" "$TARGET" $way
		assert_clean
		[[ $output == *8192* ]]
		assert_counted "${way:-reads}"
		assert_same_contents
	done
	damage_shadow 9000
	run shim "$BATS_TEST_TMPDIR/main" "$BATS_TEST_TMPDIR/plugin.so" "$TARGET"
	assert_mismatch read 17 9000
}

# ---- fio ----

WAYS="--iodepth=1 --iodepth=32 --iodepth=32,--userspace_reap --iodepth=32,--thread,--numjobs=2,--size=2M,--offset_increment=2M
	--iodepth=32,--numjobs=2,--size=2M,--offset_increment=2M --iodepth=32,--iodepth_batch=8,--bsrange=512-64k
	--iodepth=8,--fsync=16 --iodepth=8,--direct=0"

@test "fio's libaio engine, clean" {
	need_program fio
	for_each "$WAYS" fio_verifies
}

@test "fio's libaio engine, one wrong byte in the shadow" {
	need_program fio
	for_each "$WAYS" fio_stops
}

# ---- QEMU ----

@test "qemu-io with aio=native" {
	need_program qemu-io
	make_pair 4M
	run shim timeout 60 qemu-io -f raw -t none -n -i native -c 'write -P 1 0 1M' -c 'writev -P 2 2M 1024 4608' \
		-c 'aio_write -P 3 3M 64k' -c 'aio_write -P 4 3200k 64k' -c aio_flush -c 'aio_read -P 3 3M 64k' -c aio_flush \
		-c 'discard 1M 64k' -c 'write -z 512k 64k' -c flush -c 'read -P 1 0 512k' "$TARGET"
	assert_clean
	assert_same_contents
	damage_shadow 3300000
	run shim timeout 60 qemu-io -f raw -t none -n -i native -c 'read 0 4M' "$TARGET"
	assert_mismatch read 6445 3300000
}

@test "qemu-img bench with aio=native" {
	need_program qemu-img
	make_pair 4M
	local depth
	for depth in 1 32 64; do
		run shim timeout 60 qemu-img bench -n -i native -t none -f raw -c 2000 -d $depth "$TARGET"
		assert_clean
		run shim timeout 60 qemu-img bench -n -i native -t none -f raw -c 1000 -d $depth -w --pattern=7 -S 8192 "$TARGET"
		assert_clean
		assert_same_contents
	done
	damage_shadow 70000
	run shim timeout 60 qemu-img bench -n -i native -t none -f raw -c 2000 -d 32 "$TARGET"
	assert_mismatch read 136 70000
}

@test "qemu-io with aio=native goes on after EIO" {
	need_program qemu-io
	make_pair 4M
	damage_shadow 70000
	BLKVERIFY_ON_MISMATCH=eio run shim timeout 60 qemu-io -f raw -t none -n -i native -c 'read 0 64k' -c 'read 64k 64k' \
		-c 'read 128k 64k' "$TARGET"
	assert_first_line "contents mismatch in sector 136 at offset 70000"
	[[ $output == *"read failed: Input/output error"* ]]
	[[ $output == *"read 65536/65536 bytes at offset 131072"* ]]
}

# ---- in flight ----

# held PRELOAD [LIBRARY]: how many of 6400 reads, 16 at a time, the kernel was given to hold for us
held() {
	local way
	for way in native io_uring; do
		run "$@" strace -f -qq -o "$BATS_TEST_TMPDIR/trace" -e trace=io_submit \
			timeout 60 qemu-img bench -t none -i "$way" -d 16 -s 4096 -c 6400 -f raw "$TARGET"
		assert_status 0
		echo "$way $(grep -o RWF_NOWAIT "$BATS_TEST_TMPDIR/trace" | wc -l)" >>"$BATS_TEST_TMPDIR/held"
	done
}

@test "with O_DIRECT the kernel holds transfers for us, of either kind; none behind another library" {
	need_program strace
	need_program qemu-img
	make_pair 4M
	diskio open "$TARGET" rd read 0 4096 || skip "no O_DIRECT here"
	held shim
	FAULT_DELAY=1 held shim_with delay
	run cat "$BATS_TEST_TMPDIR/held"
	# none until the thread is there, which takes its time on a busy machine
	[[ ${lines[0]} =~ ^native\ [0-9]{3,4}$ ]] || fail_with "expected the kernel to hold many" || return
	[[ ${lines[1]} =~ ^io_uring\ [0-9]{3,4}$ ]] || fail_with "expected the kernel to hold many" || return
	[ "${lines[2]}" = "native 0" ]
	[ "${lines[3]}" = "io_uring 0" ]
}

@test "a wrong byte on the disk is found in what the kernel held" {
	local way
	need_program qemu-img
	make_pair 4M
	diskio open "$TARGET" rd read 0 4096 || skip "no O_DIRECT here"
	for way in native io_uring; do
		run shim timeout 60 qemu-img bench -t none -i "$way" -d 16 -s 4096 -c 1024 -f raw "$TARGET"
		assert_clean
	done
	damage_target 3000000
	for way in native io_uring; do
		run shim timeout 60 qemu-img bench -t none -i "$way" -d 16 -s 4096 -c 1024 -f raw "$TARGET"
		assert_status 134
		assert_first_line "contents mismatch in sector 5859 at offset 3000000"
	done
}

@test "a process whose main thread is gone ends with its last one" {
	local way
	make_pair 1M
	for way in direct cached; do
		run timeout 20 libaio_leaves "$TARGET" "$way"
		assert_status 0
		run shim timeout 20 libaio_leaves "$TARGET" "$way"
		assert_status 0
		assert_clean
	done
}
