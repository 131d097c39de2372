#!/usr/bin/env bats
# fio, unmodified, with every engine that reaches a local file: verified, or refused loudly.

load functions
load qemu

# name, what must come of it (verified or refused), fio's options
ROWS=(
	"sync           verified  --ioengine=sync"
	"psync          verified  --ioengine=psync"
	"vsync          verified  --ioengine=vsync"
	"pvsync         verified  --ioengine=pvsync"
	"pvsync2        verified  --ioengine=pvsync2"
	"splice         verified  --ioengine=splice"
	"mmap           verified  --ioengine=mmap"
	"posixaio-1     verified  --ioengine=posixaio --iodepth=1"
	"posixaio-32    verified  --ioengine=posixaio --iodepth=32"
	"libaio-1       verified  --ioengine=libaio --iodepth=1"
	"libaio-32      verified  --ioengine=libaio --iodepth=32"
	"libaio-reap    verified  --ioengine=libaio --iodepth=32 --userspace_reap"
	"libaio-batch   verified  --ioengine=libaio --iodepth=32 --iodepth_batch=8 --bsrange=512-64k"
	"uring-1        verified  --ioengine=io_uring --iodepth=1"
	"uring-32       verified  --ioengine=io_uring --iodepth=32"
	"uring-batch    verified  --ioengine=io_uring --iodepth=32 --iodepth_batch=8 --bsrange=512-64k"
	"uring-buffers  verified  --ioengine=io_uring --iodepth=32 --fixedbufs"
	"uring-files    verified  --ioengine=io_uring --iodepth=32 --registerfiles"
	"uring-poll-1   verified  --ioengine=io_uring --iodepth=1 --sqthread_poll"
	"uring-poll-32  verified  --ioengine=io_uring --iodepth=32 --sqthread_poll"
	"uring-all      verified  --ioengine=io_uring --iodepth=32 --fixedbufs --registerfiles --sqthread_poll"
)
names() { printf '%s\n' "${ROWS[@]}" | cut -d ' ' -f 1; }

# row NAME: ENGINE (its options) and RESULT
row() {
	local name
	read -r name RESULT ENGINE < <(printf '%s\n' "${ROWS[@]}" | grep "^$1 ")
	read -r -a ENGINE <<<"$ENGINE"
}

FIO=(fio --eta=never --clocksource=clock_gettime --bs=4k --verify_fatal=1)
SHIM=(shim)
# four jobs, each on a part of the target: processes and threads of fio's own, through the page cache and around it
PART=$((1 << 20))
JOBS=("--size=$PART" --name=process --name=thread --thread "--offset=$PART"
	--name=direct-process --thread=0 --direct=1 "--offset=$((2 * PART))"
	--name=direct-thread --thread --direct=1 "--offset=$((3 * PART))")
NAMES=(process thread direct-process direct-thread)
# the first and the last byte of each part, and one in between, in order
PLACES=()
for part in 0 1 2 3; do
	PLACES+=($((part * PART)) $((part * PART + 456789 + part * 67891)) $(((part + 1) * PART - 1)))
done

setup() {
	need_program fio
	make_pair $((4 * PART))
}

need_direct() { diskio open "$TARGET" rd read 0 4096 || skip "no O_DIRECT here"; }

# jobs_left: the process ids of fio and its jobs, which are in sessions of their own and may outlive it
jobs_left() { grep -l -s -z -x -e "--filenam[e]=$TARGET" /proc/[0-9]*/cmdline | cut -d / -f 3; }
none_left() { [ -z "$(jobs_left)" ]; }

# fio_on_target OPTION...: status and output. What fio leaves in its directory goes with the test's.
fio_on_target() {
	local out="$BATS_TEST_TMPDIR/fio.out"
	cd "$BATS_TEST_TMPDIR"
	status=0
	# to a file: a job that hangs holds up nobody
	BLKVERIFY_STATS=1 "${SHIM[@]}" timeout -k 5 60 "${FIO[@]}" "--filename=$TARGET" "$@" >"$out" 2>&1 3>&- || status=$?
	until_true 60 none_left || {
		kill -9 $(jobs_left)
		fail_with "a job went on for too long" "$(cat "$out")" || return
	}
	output=$(<"$out")
}

# sum NAME: over the summary lines of all processes
sum() { sed -n "s/^blkverify: stats .* $1=\([0-9]*\).*/\1/p" <<<"$output" | awk '{ n += $1 } END { print n + 0 }'; }

# assert_passed JOB...: fio and each of them ended well, not a word of the shim's, all verified
assert_passed() {
	local job
	assert_clean || return
	for job; do
		grep -q "^$job: .* err= 0" <<<"$output" || fail_with "job $job did not end well" || return
	done
	[ "$(sum unverified)" = 0 ] && [ "$(sum mismatches)" = 0 ] || fail_with "not all verified"
}

# assert_stopped OFFSET: the first line names it, and who read it died of that. Where that was a job's own process, fio
# says so; but its line for the job still says "err= 0", and its own status may be 0.
assert_stopped() {
	local process
	assert_first_line "^blkverify: read sector_num=[0-9]+ nb_sectors=[0-9]+ contents mismatch in sector $(($1 / 512)) at offset $1\$" || return
	process=$(sed -n 's/^blkverify:   process \([0-9]*\),.*/\1/p' <<<"$output" | head -n 1)
	grep -q "^fio: pid=$process, got signal=6$" <<<"$output" || { [ "$status" = 134 ] && [[ $output != *"err= 0"* ]]; } ||
		fail_with "it was not stopped"
}

# ---- the engines ----

# passes OPTION...: what the jobs wrote they read back
passes() {
	fio_on_target "$@" --rw=randwrite --verify=crc32c "${JOBS[@]}"
	assert_passed "${NAMES[@]}"
	[ "$(sum read_bytes)" -ge $((4 * PART)) ] && [ "$(sum write_bytes)" -ge $((4 * PART)) ] || fail_with "little was verified"
	assert_same_contents
}

# finds OPTION...: each of several wrong bytes is named, and no other
finds() {
	local at
	for at in "${PLACES[@]}"; do damage_shadow "$at"; done
	BLKVERIFY_ON_MISMATCH=log fio_on_target "$@" --rw=randread "${JOBS[@]}"
	for at in "${PLACES[@]}"; do damage_shadow "$at"; done
	assert_status 0
	[ "$(sed -n 's/^blkverify:   sectors .* bytes //p' <<<"$output" | sort -n)" = "$(printf '%s\n' "${PLACES[@]/%/-}" | sed 's/\(.*\)-/\1-\1/')" ] ||
		fail_with "not each of them, or not only them"
}

# stops JOB OFFSET OPTION...: one wrong byte stops the job that reads it and no other, unless that is a thread
stops() {
	local reader=$1 at=$2 job
	shift 2
	damage_shadow "$at"
	fio_on_target "$@" --rw=randread "${JOBS[@]}"
	assert_stopped "$at"
	damage_shadow "$at"
	if [[ $reader == *thread ]]; then assert_status 134 && return; fi
	[[ $output == *"got signal=6"* ]] || fail_with "a process of its own is not all of fio"
	for job in "${NAMES[@]}"; do
		[ "$job" = "$reader" ] || grep -q "^$job: .* err= 0" <<<"$output" || fail_with "job $job did not end well"
	done
}

is_verified() {
	passes "$@"
	finds "$@"
	stops direct-process "${PLACES[8]}" "$@"
	stops thread "${PLACES[4]}" "$@"
}

# in turns, all over the target: this engine of fio 3.33 maps the beginning of a file whatever --offset says
is_verified_mmap() {
	local name
	for name in "${NAMES[@]}"; do
		local NAMES=("$name") JOBS=("--size=$((4 * PART))" "--name=$name")
		[[ $name != *thread ]] || JOBS+=(--thread)
		[[ $name != direct-* ]] || JOBS+=(--direct=1)
		passes "$@"
		finds "$@"
		stops "$name" "${PLACES[4]}" "$@"
	done
}

# one line, which names the call; fio fails; nothing was read or changed
is_refused() {
	local engine=${1#--ioengine=} job rw
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	for rw in randread randwrite; do
		for job in --thread=0 --thread=1; do
			fio_on_target "$@" --rw=$rw --name=job $job
			[ "$status" != 0 ] && [[ $output != *"err= 0"* ]] || fail_with "fio takes it for done"
			# who tries again is told again
			[ "$(blk_lines | sort -u | wc -l)" = 1 ] || fail_with "expected one line"
			assert_first_line "^blkverify: [^ ]*$engine[^ ]* refused: $TARGET: "
			[ "$(sum unverified)" -gt 0 ] && [ "$(sum reads)" = 0 ] && [ "$(sum writes)" = 0 ] || fail_with "what did it do?"
			cmp "$TARGET" "$BATS_TEST_TMPDIR/before"
			assert_same_contents
		done
	done
}

# engine_is NAME
engine_is() {
	# what a row that failed left behind is not the next one's
	make_pair $((4 * PART))
	row "$1"
	if [ "$1" = mmap ] && [ "$RESULT" = verified ]; then RESULT=verified_mmap; fi
	"is_$RESULT" "${ENGINE[@]}"
}

@test "every engine, in processes and in threads, through the page cache and around it" {
	need_direct
	for_each "$(names)" engine_is
}

@test "an engine that cannot be verified is refused" {
	export BLKVERIFY_MMAP=refuse
	is_refused --ioengine=mmap
}

# ---- jobs in each other's way ----

# two fios at once, each with two jobs, all over the same megabyte
crowd() {
	local options=("$@" --size=1M --name=process --name=thread --thread)
	cd "$BATS_TEST_TMPDIR"
	BLKVERIFY_STATS=1 background_shim timeout -k 5 60 "${FIO[@]}" "--filename=$TARGET" "${options[@]}"
	fio_on_target "${options[@]}"
}

# crowd_passes NAME
crowd_passes() {
	row "$1"
	[ "$RESULT" = verified ] || return 0
	crowd "${ENGINE[@]}" --direct=1 --rw=randrw --norandommap --loops=4
	assert_passed process thread
	wait_for_background
	assert_passed process thread
	assert_same_contents
}

@test "overlapping requests of several jobs" {
	need_direct
	for_each "$(names)" crowd_passes
}

# crowd_stops NAME: whoever reads a wrong byte is stopped
crowd_stops() {
	row "$1"
	[ "$RESULT" = verified ] && [ "$1" != mmap ] || return 0
	damage_shadow 777777
	crowd "${ENGINE[@]}" --direct=1 --rw=randread
	assert_stopped 777777
	wait_for_background
	assert_stopped 777777
	damage_shadow 777777
}

@test "a wrong byte that several jobs read" {
	need_direct
	for_each "psync libaio-32 posixaio-32 uring-32" crowd_stops
}

@test "overlapping requests of several engines" {
	local jobs=(--rw=randrw --norandommap --loops=8 --size=1M --bsrange=4k-32k --name=a --ioengine=psync
		--name=b --ioengine=libaio --iodepth=16 --name=c --ioengine=posixaio --iodepth=8 --name=d --ioengine=pvsync2 --thread
		--name=e --ioengine=splice --thread)
	fio_on_target "${jobs[@]}"
	assert_passed a b c d e
	assert_same_contents
	# its twin: writes that get lost
	local SHIM=(shim_with lose)
	FAULT_SKIP=200 fio_on_target "${jobs[@]}"
	assert_first_line "^blkverify: read .* contents mismatch"
}

# ---- what else fio does to a file ----

# words OPTIONS...: as words for for_each, + for each blank
words() { printf '%s\n' "${@// /+}"; }

# works_as_asked OPTIONS: clean, and what it left behind is known to the shadow: a wrong byte in it stops a reader
works_as_asked() {
	local options at
	IFS=+ read -r -a options <<<"$1"
	fio_on_target --name=job --size=4M "${options[@]}"
	assert_passed job
	assert_same_contents
	[[ $1 == *=falloc* || $1 == *=ftruncate* ]] || [ "$(sum writes)" -gt 0 ] || fail_with "nothing was verified"
	at=$(($(stat -c %s "$TARGET") - 1000))
	damage_target $at
	fio_on_target --name=job --ioengine=psync --rw=randread
	assert_stopped $at
	damage_target $at
}

@test "flushes" {
	local words=() engine flush
	for engine in psync "libaio --iodepth=8 --direct=1" "posixaio --iodepth=8"; do
		for flush in "--fsync=8 --fdatasync=5 --end_fsync=1 --fsync_on_close=1" --sync=sync --sync=dsync; do
			words+=("--ioengine=$engine --rw=randwrite --size=512k --verify=crc32c $flush")
		done
	done
	words+=("--ioengine=psync --rw=randwrite --sync_file_range=wait_before,write,wait_after:8")
	for_each "$(words "${words[@]}")" works_as_asked
}

@test "requests of odd sizes and in groups" {
	local words=() engine
	for engine in psync vsync "libaio --iodepth=16" "posixaio --iodepth=16" splice; do
		words+=("--ioengine=$engine --bsrange=100-70001 --bs_unaligned=1 --rw=randwrite --verify=crc32c"
			"--ioengine=$engine --bsrange=1-7001 --bs_unaligned=1 --rw=randrw --size=512k")
	done
	# neighbouring requests become one of many buffers; threads check what was read
	words+=("--ioengine=vsync --iodepth=8 --rw=rw" "--ioengine=vsync --iodepth=8 --rw=write --bs=1000 --bs_unaligned=1"
		"--ioengine=psync --rw=randwrite --verify=crc32c --verify_async=2")
	for_each "$(words "${words[@]}")" works_as_asked
}

# creates OPTIONS: the file is not there before
creates() {
	forget "$SHADOW"
	rm -f "$TARGET"
	: >"$SHADOW"
	works_as_asked "$1"
}

@test "files that fio makes, lays out and lengthens itself" {
	local words=() how
	for how in native posix keep truncate none; do
		words+=("--ioengine=psync --rw=randwrite --verify=crc32c --fallocate=$how")
	done
	words+=("--ioengine=psync --rw=write --create_on_open=1 --verify=crc32c" "--ioengine=psync --rw=write --file_append=1"
		"--ioengine=libaio --iodepth=16 --direct=1 --rw=randwrite --overwrite=1 --verify=crc32c"
		"--ioengine=psync --rw=randread" "--ioengine=ftruncate --rw=write" "--ioengine=falloc --rw=randwrite")
	for_each "$(words "${words[@]}")" creates
}

@test "space taken and given up by fallocate, lengths by ftruncate" {
	for_each "$(words "--ioengine=falloc --rw=randtrim --bsrange=1k-16k" "--ioengine=falloc --rw=randwrite"
		"--ioengine=falloc --rw=write --size=5M --filesize=4M" "--ioengine=ftruncate --rw=write --size=2M"
		"--ioengine=psync --rw=write --file_append=1 --size=1M")" works_as_asked
}

@test "trims of a device" {
	local options at=1000000
	make_loop_pair 1M
	for options in "psync --rw=trimwrite" "psync --rw=randtrimwrite --direct=1" "libaio --iodepth=16 --rw=trimwrite --direct=1"; do
		# the options are words
		fio_on_target --name=job --ioengine=$options
		if [[ $output == *"Operation not supported"* ]]; then skip "this device does not trim"; fi
		assert_passed job
		[ "$(sum write_bytes)" = 1048576 ] || fail_with "little was verified"
		blockdev --flushbufs "$TARGET"
		assert_same_contents
	done
	# every trimmed block was written: nothing is left to be learnt
	damage_target $at
	fio_on_target --name=job --ioengine=psync --rw=randread
	assert_stopped $at
	damage_target $at
	fio_on_target --name=job --ioengine=psync --rw=trim
	assert_passed job
	# what is there now is learnt, and holds from then on
	damage_target $at
	fio_on_target --name=job --ioengine=psync --rw=read
	assert_status 0
	[ "$(blk_lines | grep -v 'contents unknown')" = "" ] && [[ $output == *"contents unknown"* ]] || fail_with "not told of"
	damage_target $at
	fio_on_target --name=job --ioengine=psync --rw=read
	assert_stopped $at
}

# ends_as_natively OPTIONS: with the error that it has without the shim, or none
ends_as_natively() {
	local options native error
	IFS=+ read -r -a options <<<"$1"
	cp "$TARGET" "$BATS_TEST_TMPDIR/native"
	cd "$BATS_TEST_TMPDIR"
	run timeout 60 "${FIO[@]}" --name=job "--filename=$BATS_TEST_TMPDIR/native" "${options[@]}"
	native=$status error=$(grep -o '^job: .* err= *[0-9]*' <<<"$output" | grep -o '[0-9]*$')
	fio_on_target --name=job "${options[@]}"
	assert_silent "$native"
	grep -q "^job: .* err= *$error[ :]" <<<"$output" || fail_with "natively it ends with error $error"
	assert_same_contents
	[ "$native" = 0 ] || return 0
	[ "$(sum read_bytes)" -gt 1000000 ] || fail_with "little was verified"
	damage_shadow 1234567
	fio_on_target --name=job "${options[@]}" --rw=randread
	assert_stopped 1234567
	damage_shadow 1234567
}

@test "requests with flags of their own" {
	for_each "$(words "--ioengine=pvsync2 --hipri --rw=randrw" "--ioengine=pvsync2 --hipri --direct=1 --rw=randrw"
		"--ioengine=pvsync2 --hipri_percentage=50 --direct=1 --rw=randread"
		"--ioengine=pvsync2 --nowait=1 --invalidate=0 --rw=randread" "--ioengine=pvsync2 --nowait=1 --direct=1 --rw=randread"
		"--ioengine=pvsync2 --nowait=1 --rw=randwrite" "--ioengine=pvsync2 --uncached=1 --rw=randread")" ends_as_natively
}
