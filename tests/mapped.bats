# Targets mapped by programs, by many at once, and past every limit.
load functions
load qemu

setup() {
	make_pair 300001
}

# ---- everything at once: no store is lost, and nothing is said ----

# endures OPTION...: mapstress with these
endures() {
	run shim timeout -s KILL 120 mapstress -s "${BLK_MAPSTRESS_SECONDS:-5}" -r "$RANDOM" "$@" "$TARGET"
	assert_clean || return
	cmp "$TARGET" "$TARGET.expected" || fail_with "a store was lost" || return
	assert_same_contents || return
	[ "${output#operations }" -gt 5000 ] || fail_with "few operations"
}

@test "threads that store between each other's bytes" { endures -t 4; }
@test "processes with threads, children of one that has it mapped" { endures -p 3 -t 2; }
@test "processes with threads, each on its own" { endures -p 2 -t 3 -f; }
@test "signal handlers that read and write meanwhile" { endures -t 3 -h; }

@test "children begun while threads map and store" { endures -t 3 -k; }

@test "twin: writes that are lost do not go unseen" {
	FAULT_SKIP=100 run shim_with lose timeout -s KILL 60 mapstress -s 5 "$TARGET"
	[ "$status" != 0 ]
	assert_first_line 'contents mismatch'
}

# ---- programs ----

# fio_agrees OPTION...: on the target, with the mmap engine
fio_agrees() {
	make_pair 4M
	BLKVERIFY_STATS=1 run shim timeout 120 fio --output-format=terse --filename="$TARGET" --ioengine=mmap --rw=randrw --bs=4k \
		--size=4M "$@"
	assert_clean
	assert_counted writes
	assert_stat unverified 0
	assert_same_contents
}

@test "fio checks what it reads through its mapping" {
	need_program fio
	fio_agrees --name=a --verify=crc32c --fsync=50
}

@test "fio: threads, processes, and jobs of other kinds on the same bytes" {
	need_program fio
	fio_agrees --thread --numjobs=2 --time_based --runtime=2 --fdatasync=20 --name=a
	fio_agrees --numjobs=2 --time_based --runtime=2 --name=a
	fio_agrees --time_based --runtime=2 --name=a --fsync=100 --name=b --ioengine=psync --name=c --ioengine=libaio --iodepth=4
}

@test "twin: fio meets damage" {
	need_program fio
	make_pair 4M
	damage_target 3000000
	run shim timeout 60 fio --output-format=terse --filename="$TARGET" --ioengine=mmap --rw=randread --bs=4k --size=4M --name=a
	[ "$status" != 0 ]
	assert_first_line 'contents mismatch in sector 5859 at offset 3000000$'
}

make_database() {
	need_program sqlite3
	TARGET="$BATS_TEST_TMPDIR/db"
	SHADOW="$BATS_TEST_TMPDIR/db.shadow"
	rm -f "$TARGET"* "$SHADOW"*
	sqlite3 "$TARGET" "PRAGMA journal_mode=$1; CREATE TABLE t(id INTEGER PRIMARY KEY, w INT, x TEXT);"
	cp "$TARGET" "$SHADOW"
}

# transactions WHO: SQL for 60 of them
transactions() {
	local i
	printf "%s\n" "PRAGMA busy_timeout=30000;" "PRAGMA mmap_size=268435456;" "PRAGMA synchronous=NORMAL;"
	for ((i = 0; i < 60; i++)); do
		echo "BEGIN IMMEDIATE; INSERT INTO t(w, x) VALUES($1, hex(randomblob(300)));"
		echo "UPDATE t SET x = hex(randomblob(200)) WHERE id = abs(random()) % (SELECT max(id) FROM t) + 1; COMMIT;"
	done
}

database() {
	make_database "$1"
	transactions 1 >"$BATS_TEST_TMPDIR/sql"
	background_shim sqlite3 "$TARGET" ".read $BATS_TEST_TMPDIR/sql"
	shim sqlite3 "$TARGET" < <(transactions 2)
	wait_for_background
	run shim sqlite3 "$TARGET" "PRAGMA mmap_size=268435456; PRAGMA integrity_check; SELECT w, count(*) FROM t GROUP BY w;"
	assert_clean
	[ "$output" = "268435456
ok
1|60
2|60" ] || fail_with "not all is there"
	assert_same_contents
}

@test "sqlite maps its database, in two processes that write to it" {
	database DELETE
	database WAL
}

@test "sqlite reads what it may not map" {
	make_database DELETE
	run shim sqlite3 "$TARGET" < <(transactions 1)
	assert_clean
	BLKVERIFY_MMAP=refuse BLKVERIFY_STATS=1 run shim sqlite3 "$TARGET" "PRAGMA mmap_size=268435456; SELECT count(*) FROM t;"
	assert_status 0
	[[ $output == *"mmap64 refused"* && $output == *$'\n60\n'* ]]
	assert_counted unverified
	# the twin, which is damaged where only the mapping is read
	BLKVERIFY_STATS=1 run shim sqlite3 "$TARGET" "PRAGMA mmap_size=268435456; SELECT count(*) FROM t;"
	assert_clean
	assert_stat unverified 0
	damage_shadow 9000
	run shim sqlite3 "$TARGET" "PRAGMA mmap_size=268435456; SELECT count(*) FROM t;"
	assert_mismatch read 17 9000
	[[ $output == *mmap64* ]]
}

PYTHON='
import mmap, os, sys, zlib
f = open(sys.argv[1], "r+b")
m = mmap.mmap(f.fileno(), 0)
print(zlib.crc32(m), m.find(b"ab"))
m[1000:2000] = b"p" * 1000
m.flush()
m[70000:70010] = b"0123456789"
m.move(200000, 70000, 10)
print(os.pread(f.fileno(), 10, 200000), m.size())
m.resize(len(m) + 5000)
m.seek(-3, 2)
m.write(b"end")
print(zlib.crc32(m), os.path.getsize(sys.argv[1]))
m.resize(250000)
print(zlib.crc32(m))
m.close()
r = mmap.mmap(f.fileno(), 100000, access=mmap.ACCESS_COPY, offset=mmap.ALLOCATIONGRANULARITY)
r[5:10] = b"12345"
print(zlib.crc32(r), zlib.crc32(f.read()))
'

@test "python's mmap module" {
	need_program python3
	cp "$TARGET" "$BATS_TEST_TMPDIR/native"
	run python3 -c "$PYTHON" "$BATS_TEST_TMPDIR/native"
	local native=$output
	[ "$status" = 0 ]
	run shim python3 -c "$PYTHON" "$TARGET"
	assert_clean
	[ "$output" = "$native" ]
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
}

@test "git maps its packs" {
	need_program git
	local dir="$BATS_TEST_TMPDIR/repository" i
	git init -q "$dir"
	for ((i = 0; i < 50; i++)); do head -c 3000 /dev/urandom | base64 >"$dir/$i"; done
	git -C "$dir" add .
	git -C "$dir" -c user.name=a -c user.email=a commit -q -m x
	git -C "$dir" repack -adq
	TARGET=$(echo "$dir"/.git/objects/pack/*.pack)
	SHADOW="$BATS_TEST_TMPDIR/pack.shadow"
	cp "$TARGET" "$SHADOW"
	chmod u+w "$SHADOW"
	BLKVERIFY_STATS=1 run shim git -C "$dir" fsck --full
	assert_clean
	assert_counted reads
	assert_stat unverified 0
	damage_shadow 20000
	run shim git -C "$dir" fsck --full
	[ "$status" != 0 ]
	assert_first_line 'contents mismatch in sector 39 at offset 20000$'
}

@test "QEMU's memory is a target" {
	need_program qemu-system-x86_64
	TARGET="$BATS_TEST_TMPDIR/ram" SHADOW="$BATS_TEST_TMPDIR/ram.shadow"
	truncate -s 32M "$TARGET" "$SHADOW"
	BLKVERIFY_STATS=1 run shim timeout 60 qemu-system-x86_64 -machine pc,memory-backend=ram,accel=tcg -m 32M \
		-object memory-backend-file,id=ram,size=32M,mem-path="$TARGET",share=on \
		-nodefaults -nographic -display none -monitor stdio < <(sleep 2; echo quit)
	assert_clean
	assert_counted writes
	assert_stat unverified 0
	assert_same_contents
	# the BIOS was there
	[ "$(tr -d '\0' <"$TARGET" | wc -c)" -gt 1000 ]
}

# ---- limits ----

@test "more than a quarter of memory is refused, and less of the same file is not" {
	local kib
	kib=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)
	TARGET="$BATS_TEST_TMPDIR/large" SHADOW="$BATS_TEST_TMPDIR/large.shadow"
	truncate -s $((kib / 4 + 1048576))K "$TARGET" "$SHADOW"
	run shim maplimits whole "$TARGET"
	assert_status 0
	[ "$(grep -c 'blkverify: mmap of more than a quarter of the machine.s memory refused: ' <<<"$output")" = 3 ]
	[ "$(grep -v blkverify <<<"$output")" = "to read = -1 ENODEV
to write = -1 ENODEV
privately = -1 ENODEV
a page = 0" ]
}

@test "a mapping far past the end of the file takes none" {
	cp "$TARGET" "$BATS_TEST_TMPDIR/native"
	run maplimits beyond "$BATS_TEST_TMPDIR/native"
	local native=$output
	run shim timeout 20 maplimits beyond "$TARGET"
	assert_clean
	[ "$output" = "$native" ]
	assert_same_contents
}

@test "about a thousand mappings" {
	run shim maplimits thousand "$TARGET"
	assert_one_line "mmap of a thousand pieces" "$TARGET"
	[[ $output == *"mmap = -1 ENODEV"* && $output == *"enough = 1"*"munmap = 0"*"another = 0"* ]]
	assert_same_contents
	run shim maplimits cut "$TARGET"
	assert_one_line "a mapping cut into a thousand" "$TARGET"
	[[ $output == *"munmap = -1 ENOMEM"* && $output == *"enough = 1"*"all = 0"* ]]
	assert_same_contents
}

@test "what is stored behind the end of the file does not become part of it" {
	run shim maplimits tail "$TARGET"
	assert_clean
	assert_filled "$TARGET" 300001 10 00
	assert_filled "$TARGET" 300011 1 74
	assert_filled "$TARGET" 300012 2489 00
	[ "$(stat -c %s "$TARGET")" = 302502 ]
	assert_same_contents
}

@test "pages in another order are refused" {
	run shim maplimits reorder "$TARGET"
	assert_one_line remap_file_pages "$TARGET"
	[[ $output == *"remap_file_pages = -1 EINVAL"* ]]
	assert_same_contents
}

# refused_with WORDS CMD...: mmap fails, with a line that has WORDS, and nothing is changed
refused_with() {
	local words=$1
	shift
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	run "$@" maplimits page "$TARGET"
	[[ $output == *"mmap: ENODEV"* ]] || fail_with "expected mmap to be refused"
	assert_one_line mmap "$words" "$TARGET"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/before"
	assert_same_contents
}

limited() {
	ulimit "$1" "$2"
	shift 2
	shim "$@"
}

@test "without descriptors, room in address space, or for files" {
	refused_with "without memory or descriptors" limited -n 12
	refused_with "without memory or descriptors" limited -v 1000000
	refused_with "without memory or descriptors" limited -f 1000
	# enough of each
	run limited -n 64 maplimits page "$TARGET"
	assert_clean
	run limited -v 16000000 maplimits page "$TARGET"
	assert_clean
	run limited -f 100000 maplimits page "$TARGET"
	assert_clean
}

@test "without /proc" {
	need_root
	unshare -m true || skip "no mount namespaces"
	refused_with "without memory or descriptors" shim unshare -m sh -c 'umount -l /proc; exec "$@"' sh
	run shim unshare -m sh -c 'exec "$@"' sh maplimits page "$TARGET"
	assert_clean
}

@test "a reader that cannot look at who has it mapped says so, and takes nothing from him" {
	need_root
	unshare -m true || skip "no mount namespaces"
	hold shim mapothers hold "$TARGET"
	run shim unshare -m sh -c 'umount -l /proc; exec "$@"' sh reader pread64 "$TARGET" 0 64K
	assert_status 0
	assert_one_line "mapped by a process whose memory cannot be reached" "$TARGET"
	run shim reader pread64 "$TARGET" 0 64K
	assert_clean
	let_go
	assert_silent 0
	# what was stored has not been lost
	cmp -n 1 -i 8:0 "$TARGET" <(printf h)
	assert_same_contents
}

@test "a child that becomes another program is nobody to be looked at" {
	need_root
	open_to_nobody
	install -m 755 "$BLK_SNIPPETS/maplimits" "$BATS_TEST_TMPDIR/nobody"
	# not to be read, and so not to be looked at by others than root
	install -m 111 "$(command -v sleep)" "$BATS_TEST_TMPDIR/nobody/hidden"
	chmod 666 "$TARGET" "$SHADOW"
	chmod 777 "$BATS_TEST_TMPDIR"
	run as_nobody env LD_PRELOAD="$BLK_LIB" BLKVERIFY_TARGET="$TARGET" BLKVERIFY_SHADOW="$SHADOW" \
		BLK_HIDDEN="$BATS_TEST_TMPDIR/nobody/hidden" maplimits hidden "$TARGET"
	assert_clean
	[[ $output == *"pread = 300001"* ]]
}

@test "with a shadow that is read-only, mappings to read alone" {
	mount_small 4M
	cp "$SHADOW" "$SMALL/shadow"
	SHADOW="$SMALL/shadow"
	mount -o remount,ro "$SMALL"
	run shim maplimits page "$TARGET"
	[[ $output == *"mmap: ENODEV"* ]]
	assert_one_line "mmap for writing refused" "$TARGET"
	run shim maps private_read "$TARGET"
	assert_clean
	damage_target 5000
	run shim maps private_read "$TARGET"
	assert_mismatch read 9 5000
}

@test "what a killed process has stored is lost, unless another one has it mapped, and no alarm comes of it" {
	cp "$TARGET" "$BATS_TEST_TMPDIR/before"
	run shim maplimits killed "$TARGET"
	assert_silent 137
	run shim reader pread64 "$TARGET" 0 1M
	assert_clean
	cmp "$TARGET" "$BATS_TEST_TMPDIR/before"
	assert_same_contents
	hold shim mapothers hold "$TARGET"
	run shim maplimits killed "$TARGET"
	assert_silent 137
	let_go
	assert_silent 0
	maplimits killed "$BATS_TEST_TMPDIR/before" || :
	cmp -n 4096 "$TARGET" "$BATS_TEST_TMPDIR/before"
	assert_same_contents
}

@test "with warn a mapping goes through, and its range is never compared again" {
	cp "$TARGET" "$BATS_TEST_TMPDIR/native"
	maps end_exit "$BATS_TEST_TMPDIR/native" || :
	BLKVERIFY_MMAP=refuse BLKVERIFY_ON_UNVERIFIED=warn run shim maps end_exit "$TARGET"
	assert_status 7
	assert_one_line mmap "let through unverified" "$TARGET"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	run shim reader pread64 "$TARGET" 0 1M
	assert_status 0
	lacks mismatch
}
