# Helpers for the tests that run bigger programs: `load functions` first, then `load qemu`.

# ---- clients ----

# shim_with FAULT CMD...: as shim, with the fault injector of that name between the shim and libc.
# FAULT_ variables (see faults/fault.h) in front of it reach the injector; its file is the target unless they say.
shim_with() {
	local fault="$BLK_SNIPPETS/$1.so"
	shift
	[ -e "$fault" ] || fail_with "$fault was not built" || return
	env LD_PRELOAD="$BLK_LIB $fault" BLKVERIFY_TARGET="${BLKVERIFY_TARGET-$TARGET}" \
		BLKVERIFY_SHADOW="${BLKVERIFY_SHADOW-$SHADOW}" FAULT_FILE="${FAULT_FILE-$TARGET}" "$@"
}

# as_nobody CMD...: without root's way around permissions. open_to_nobody comes first.
as_nobody() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}

# open_to_nobody: nobody can reach this test's directory, the library and diskio
open_to_nobody() {
	local dir=$BATS_TEST_TMPDIR
	need_program setpriv
	while [ "$dir" != / ] && [ -O "$dir" ] && [ "$dir" != "${BATS_TMPDIR:-/tmp}" ]; do
		chmod a+rx "$dir"
		dir=$(dirname "$dir")
	done
	mkdir -p "$BATS_TEST_TMPDIR/nobody"
	install -m 755 "$BLK_LIB" "$BLK_SNIPPETS/diskio" "$BATS_TEST_TMPDIR/nobody"
	BLK_LIB="$BATS_TEST_TMPDIR/nobody/libblkverify.so"
	PATH="$BATS_TEST_TMPDIR/nobody:$PATH"
	as_nobody test -r "$BLK_LIB" || skip "nobody cannot reach $BATS_TEST_TMPDIR"
}

# assert_reported OP SECTOR OFFSET [STATUS]: as assert_mismatch, after whatever the start had to say
assert_reported() {
	assert_status "${4:-134}" || return
	grep -Eq "^blkverify: $1 sector_num=[0-9]+ nb_sectors=[0-9]+ contents mismatch in sector $2 at offset $3\$" <<<"$output" ||
		fail_with "expected a mismatch in sector $2 at offset $3" || return
	settle
}

# new_run: what the last run left unknown is forgotten, target and shadow are the same
new_run() {
	rm -f "$SHADOW.bvstate"
	cp "$TARGET" "$SHADOW"
}

# lacks PATTERN [FILE]: no line of $output, or of FILE, matches. A bare "! grep" would go unnoticed in a test.
lacks() {
	if [ $# = 2 ]; then ! grep -e "$1" "$2"; else ! grep -e "$1" <<<"$output"; fi || fail_with "there is: $1"
}

# ---- file systems ----

MOUNTS=()

# mount_small SIZE: SMALL becomes a directory on a file system of that size, gone at the end of the test
mount_small() {
	need_root
	SMALL="$BATS_TEST_TMPDIR/small"
	mkdir -p "$SMALL"
	mount -t tmpfs -o "size=$1" blkverify-test "$SMALL" || skip "cannot mount"
	MOUNTS+=("$SMALL")
}

# ---- what runs beside the test ----

DAEMONS=()

# until_true SECONDS CMD...: waits for CMD to succeed
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return
		sleep 0.1
	done
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# background CMD...: starts it without bats's descriptors; PID; ended at the end of the test
background() {
	"$@" >"$BATS_TEST_TMPDIR/background.out" 2>&1 3>&- &
	PID=$!
	DAEMONS+=("$PID")
}

# background_shim CMD...: as shim, beside the test; PID is CMD itself
background_shim() {
	background env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="${BLKVERIFY_TARGET-$TARGET}" \
		BLKVERIFY_SHADOW="${BLKVERIFY_SHADOW-$SHADOW}" "$@"
}

background_says() { grep -q -- "$1" "$BATS_TEST_TMPDIR/background.out"; }

# wait_for_background: status and output as after run
wait_for_background() {
	status=0
	wait "$PID" || status=$?
	output=$(cat "$BATS_TEST_TMPDIR/background.out")
}

# hold CMD...: beside the test, from its word "ready" on until let_go gives it a byte; PID
hold() {
	rm -f "$BATS_TEST_TMPDIR/go"
	: >"$BATS_TEST_TMPDIR/background.out"
	mkfifo "$BATS_TEST_TMPDIR/go"
	"$@" <>"$BATS_TEST_TMPDIR/go" >"$BATS_TEST_TMPDIR/background.out" 2>&1 3>&- &
	PID=$!
	DAEMONS+=("$PID")
	until_true 10 background_says ready
}

let_go() {
	echo 1<>"$BATS_TEST_TMPDIR/go"
	wait_for_background
}

# end_process PID: asks, then insists
end_process() {
	kill "$1" 2>/dev/null || return 0
	until_true 10 gone "$1" || kill -9 "$1" 2>/dev/null || :
	wait "$1" 2>/dev/null || :
}

# ---- QEMU ----

# need_fuse: an export can be mounted
need_fuse() {
	need_program qemu-storage-daemon
	[ -w /dev/fuse ] || skip "no /dev/fuse"
}

# make_qcow2_pair SIZE: QCOW2 with random contents and SHADOW, the same raw; TARGET is the export, not there yet
make_qcow2_pair() {
	SHADOW="$BATS_TEST_TMPDIR/disk.shadow"
	QCOW2="$BATS_TEST_TMPDIR/disk.qcow2"
	TARGET="$BATS_TEST_TMPDIR/export.raw"
	head -c "$1" /dev/urandom >"$SHADOW"
	qemu-img convert -f raw -O qcow2 "$SHADOW" "$QCOW2"
}

mounted_at() { [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt 0 ]; }

# serve_qcow2 [DISCARD]: TARGET shows QCOW2 as a raw file; DISCARD as QEMU's option, unmap unless given
serve_qcow2() {
	local discard=${1:-unmap}
	need_fuse
	: >"$TARGET"
	qemu-storage-daemon --pidfile "$BATS_TEST_TMPDIR/daemon.pid" \
		--blockdev "driver=file,node-name=below,filename=$QCOW2,discard=$discard" \
		--blockdev "driver=qcow2,node-name=disk,file=below,discard=$discard" \
		--export "type=fuse,id=out,node-name=disk,mountpoint=$TARGET,writable=on" \
		>"$BATS_TEST_TMPDIR/daemon.out" 2>&1 3>&- &
	DAEMON=$!
	DAEMONS+=("$DAEMON")
	until_true 10 mounted_at "$TARGET" || skip "no FUSE export: $(cat "$BATS_TEST_TMPDIR/daemon.out")"
}

stop_serving() { end_process "$DAEMON"; }

# damage_qcow2 OFFSET: a byte of the guest's disk at OFFSET changes in QCOW2, behind the format driver's back
damage_qcow2() {
	local host
	host=$(qemu-img map --output=json "$QCOW2" |
		jq -r --argjson at "$1" '.[] | select(.start <= $at and $at < .start + .length and .data) | .offset + $at - .start')
	[ -n "$host" ] || fail_with "nothing is stored at $1" || return
	damage "$QCOW2" "$host"
}

# qmp_start NAME: gives QMP_OPTIONS; NAME tells several machines apart
qmp_start() {
	QMP="$BATS_TEST_TMPDIR/qmp.$1"
	mkfifo "$QMP.in" "$QMP.out"
	QMP_OPTIONS=(-chardev "pipe,id=qmp,path=$QMP" -mon "chardev=qmp,mode=control")
	# both ways open for reading and writing: nobody waits for the other to open, nobody gets an end of file
	exec {QMP_IN}<>"$QMP.in" {QMP_OUT}<>"$QMP.out"
}

# qmp COMMAND [ARGUMENTS]: REPLY is its "return", as JSON. PID is the machine: no reply can come when it is gone.
qmp() {
	local line tries=60
	printf '{"execute":"%s"%s}\n' "$1" "${2:+,\"arguments\":$2}" >&"$QMP_IN"
	while ((tries-- > 0)) && ! gone "$PID"; do
		IFS= read -r -t 0.5 -u "$QMP_OUT" line || continue
		case $line in
		*'"return"'*)
			REPLY=$(jq -c .return <<<"$line")
			return
			;;
		*'"error"'*)
			REPLY=$line
			return 1
			;;
		esac
	done
	return 1
}

# machine_status: running, paused, io-error ...
machine_status() {
	qmp query-status || return
	jq -r .status <<<"$REPLY"
}
machine_is() { [ "$(machine_status)" = "$1" ]; }

# ---- the end of a test ----

end_all() {
	local pid dir
	[ -z "${SHADOW-}" ] || forget "$SHADOW"
	for pid in "${DAEMONS[@]}"; do end_process "$pid"; done
	clean_up
	for dir in "${MOUNTS[@]}"; do umount "$dir" || umount -l "$dir"; done
	[ ! -e "${TARGET-}" ] || ! mountpoint -q "$TARGET" 2>/dev/null || umount -l "$TARGET" || :
}

# a file with a teardown of its own calls end_all in it
teardown() { end_all; }
