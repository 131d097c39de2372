# Children load the shim whatever the program does to their environment; those that cannot load it are named.
load functions
load qemu

BAD=20480

setup() {
	make_pair 64K
	DISKIO=$(command -v diskio)
	READ=("$DISKIO" open "$TARGET" r read 0 65536)
}

# ---- every function that begins a program ----

begun() {
	run starter "$2" "$1" "$DISKIO" open "$TARGET" r read 0 65536
	skip_if_absent
	local native=$output native_status=$status
	run shim starter "$2" "$1" "$DISKIO" open "$TARGET" r read 0 65536
	assert_silent "$native_status"
	[ "$output" = "$native" ] || fail_with "natively: $native"
	[ "$native_status" = 0 ] || return 0
	damage_shadow "$BAD"
	run shim starter "$2" "$1" "$DISKIO" open "$TARGET" r read 0 65536
	damage_shadow "$BAD"
	[ "$status" != 0 ] || fail_with "damage was not seen"
	# its shell has /dev/null for standard error
	[ "$2" = wordexp ] || assert_first_line "contents mismatch in sector 40 at offset $BAD\$"
}

@test "a child with our environment is verified" { for_each "$(starter --list)" begun same; }
@test "a child with an empty environment is verified" { for_each "$(starter --list)" begun empty; }
@test "a child with a null environment is verified" { for_each "$(starter --list)" begun null; }
@test "a child with a changed environment is verified" { for_each "$(starter --list)" begun changed; }
@test "a child with a very large environment is verified" { for_each "$(starter --list)" begun large; }

# without a target configured nothing is touched
untouched() {
	run starter "$1" empty "$(command -v env)"
	skip_if_absent
	local native=$output native_status=$status
	run env LD_PRELOAD="$BLK_LIB" starter "$1" empty "$(command -v env)"
	assert_silent "$native_status"
	[ "$output" = "$native" ] || fail_with "natively: $native"
}

@test "without a target the environment of children is left alone" { for_each "$(starter --list)" untouched; }

fails_alike() {
	local program
	for program in /nonexistent "$TARGET" /; do
		run starter "$1" empty "$program"
		skip_if_absent
		local native=$output native_status=$status
		run shim starter "$1" empty "$program"
		assert_silent "$native_status"
		[ "$output" = "$native" ] || fail_with "natively: $native"
	done
}

@test "what cannot be begun fails as it does without the shim" { for_each "$(starter --list)" fails_alike; }

# ---- what arrives ----

# variables: those of the child, sorted
variables() { grep -E '^(LD_PRELOAD|BLKVERIFY_)' <<<"$output" | sort; }

# assert_all VARIABLE=VALUE...: these lines, in order, and what stands for the suite's mode
assert_all() {
	[ "$(cat)" = "$(printf '%s\n' ${BLK_MODE:+BLKVERIFY_MODE=$BLK_MODE} "$@")" ] || fail_with "expected: $*"
}

@test "an empty environment gets what we need and no more" {
	BLKVERIFY_STATS=0 BLKVERIFY_THREADS=3 run shim env -i "$(command -v env)"
	assert_clean
	sort <<<"$output" |
		assert_all BLKVERIFY_SHADOW="$SHADOW" BLKVERIFY_STATS=0 BLKVERIFY_TARGET="$TARGET" BLKVERIFY_THREADS=3 LD_PRELOAD="$BLK_LIB"
}

@test "an environment that is as it should be arrives as it is, in its order" {
	run shim env
	local expected=$output
	run shim env env
	[ "$output" = "$expected" ]
}

@test "the pair cannot be changed for a child, other settings can" {
	run shim env BLKVERIFY_TARGET=/nowhere BLKVERIFY_SHADOW=/dev/null BLKVERIFY_STATS=1 env
	assert_status 0
	variables | assert_all BLKVERIFY_SHADOW="$SHADOW" BLKVERIFY_STATS=1 BLKVERIFY_TARGET="$TARGET" LD_PRELOAD="$BLK_LIB"
}

@test "a setting that a child loses is put back" {
	BLKVERIFY_ON_MISMATCH=exit run shim env -u BLKVERIFY_ON_MISMATCH -u BLKVERIFY_SHADOW env
	[[ $output == *BLKVERIFY_ON_MISMATCH=exit* && $output == *"BLKVERIFY_SHADOW=$SHADOW"* ]]
}

@test "relative paths are passed on as absolute ones" {
	mkdir -p "$BATS_TEST_TMPDIR/a:b"
	mv "$TARGET" "$SHADOW" "$BATS_TEST_TMPDIR/a:b"
	cd "$BATS_TEST_TMPDIR/a:b"
	BLKVERIFY_TARGET=disk.img BLKVERIFY_SHADOW='../a\:b/disk.shadow' BLKVERIFY_LOG=log.%p run shim sh -c 'cd / && exec env'
	assert_status 0
	[[ $(variables) == *"BLKVERIFY_TARGET=${BATS_TEST_TMPDIR//:/\\:}/a\\:b/disk.img"* ]] || fail_with "target"
	[[ $(variables) == *"BLKVERIFY_SHADOW=${BATS_TEST_TMPDIR//:/\\:}/a\\:b/../a\\:b/disk.shadow"* ]] || fail_with "shadow"
	[[ $(variables) == *"BLKVERIFY_LOG=$BATS_TEST_TMPDIR/a:b/log.%p"* ]] || fail_with "log"
}

@test "a library named by a relative path is found from elsewhere" {
	cp "$BLK_LIB" "$BATS_TEST_TMPDIR/lib.so"
	cd "$BATS_TEST_TMPDIR"
	BLK_LIB=./lib.so run shim sh -c 'cd / && exec env'
	assert_clean
	[[ $(variables) == *"LD_PRELOAD=$BATS_TEST_TMPDIR/./lib.so"* ]] || fail_with "library"
	BLK_LIB=./lib.so noticed_and_clean sh -c 'cd / && exec "$@"' - "${READ[@]}"
	# looked for in the directories of ld.so
	BLK_LIB=lib.so LD_LIBRARY_PATH=$BATS_TEST_TMPDIR noticed_and_clean env -i "${READ[@]}"
}

@test "a library that is named many times, by a name much shorter than its path" {
	local many directory="$BATS_TEST_TMPDIR/a_directory_with_a_long_name/and_another_one"
	mkdir -p "$directory"
	cp "$BLK_LIB" "$directory/lib.so"
	many=$(printf 'lib.so %.0s' {1..200})
	LD_LIBRARY_PATH=$directory BLK_LIB=lib.so run shim env LD_PRELOAD="$many" env
	assert_clean
	[ "$(variables | sed -n s/LD_PRELOAD=//p | tr ':' '\n' | grep -c -x "$directory/lib.so")" = 200 ]
}

@test "a library whose path could not be passed on is refused" {
	mkdir "$BATS_TEST_TMPDIR/a b"
	cp "$BLK_LIB" "$BATS_TEST_TMPDIR/a b/lib.so"
	cd "$BATS_TEST_TMPDIR/a b"
	BLK_LIB=./lib.so run shim true
	assert_status 125
	assert_one_line LD_PRELOAD "a b"
}

# ---- other preloaded libraries ----

# preloaded LIST: LD_PRELOAD of a child that is given LIST
preloaded() {
	run shim env LD_PRELOAD="$1" env
	variables | sed -n s/LD_PRELOAD=//p
}

@test "other libraries keep their places" {
	local m=/lib/x86_64-linux-gnu/libm.so.6
	[ -e "$m" ] || m=$(ldconfig -p | sed -n 's/.*libm\.so\.6 .*=> //p' | head -n 1)
	[ "$(preloaded "$m")" = "$BLK_LIB:$m" ]
	[ "$(preloaded "$m $BLK_LIB")" = "$m $BLK_LIB" ]
	[ "$(preloaded "")" = "$BLK_LIB" ]
	BLK_LIB="$m $BLK_LIB" run shim env -i env
	[[ $(variables) == *"LD_PRELOAD=$m:$BLK_LIB"* ]] || fail_with "the whole list comes back"
}

@test "a sanitizer's runtime stays first" {
	local asan
	asan=$(${CC:-cc} -print-file-name=libasan.so)
	asan=$(readlink -f "$asan")
	[ -e "$asan" ] || skip "no libasan"
	[ "$(ASAN_OPTIONS=detect_leaks=0 preloaded "$asan")" = "$asan:$BLK_LIB" ]
	printf 'int main(void) { return 0; }\n' >"$BATS_TEST_TMPDIR/a.c"
	${CC:-cc} -fsanitize=address -o "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/a.c" || skip "no ASan"
	run shim "$BATS_TEST_TMPDIR/a"
	[[ $output == *"does not come first"* ]]
	BLK_LIB="$asan $BLK_LIB" run shim env -i "$BATS_TEST_TMPDIR/a"
	assert_clean
	run shim env LD_PRELOAD="$asan" "$BATS_TEST_TMPDIR/a"
	assert_clean
}

# ---- programs that do it ----

@test "env -i, and chains of programs" {
	noticed_and_clean env -i "${READ[@]}"
	noticed_and_clean sh -c 'exec env -i sh -c "exec env -i $*"' - "${READ[@]}"
	noticed_and_clean nice nohup env -i setsid -w timeout 20 "${READ[@]}"
}

@test "unset in a shell" {
	noticed_and_clean sh -c 'unset LD_PRELOAD BLKVERIFY_TARGET BLKVERIFY_SHADOW; "$@"' - "${READ[@]}"
	noticed_and_clean bash -c 'unset LD_PRELOAD; export BLKVERIFY_TARGET=/dev/null; "$@"' - "${READ[@]}"
	noticed_and_clean sh -c 'LD_PRELOAD= "$@"' - "${READ[@]}"
}

@test "python with an empty environment" {
	need_program python3
	noticed_and_clean python3 -c 'import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:], env={}).returncode != 0)' "${READ[@]}"
	noticed_and_clean python3 -c 'import os, sys; os.execve(sys.argv[1], sys.argv[1:], {})' "${READ[@]}"
	noticed_and_clean python3 -c 'import os, sys; os.environ.clear(); sys.exit(os.system(" ".join(sys.argv[1:])) != 0)' "${READ[@]}"
	noticed_and_clean python3 -c 'import os, sys
os.environ.clear()
sys.exit("bad\n" in os.popen(" ".join(sys.argv[1:]) + " || echo bad"))' "${READ[@]}"
	noticed_and_clean python3 -c 'import os, sys
p = os.posix_spawn(sys.argv[1], sys.argv[1:], {})
sys.exit(os.waitpid(p, 0)[1] != 0)' "${READ[@]}"
}

@test "the program's own environment stays as it was" {
	cat >"$BATS_TEST_TMPDIR/own.c" <<-'C'
		#include <stdio.h>
		#include <stdlib.h>
		extern char **environ;
		int main(void) {
			clearenv();
			putenv("A=1");
			char **before = environ;
			if (system("test \"$A\" = 1")) return 2;
			FILE *p = popen("cat", "w");
			if (!p || pclose(p)) return 3;
			return environ != before || getenv("LD_PRELOAD");
		}
	C
	${CC:-cc} -o "$BATS_TEST_TMPDIR/own" "$BATS_TEST_TMPDIR/own.c"
	run shim "$BATS_TEST_TMPDIR/own"
	assert_clean
}

@test "a child of vfork that fails to begin a program says nothing in its parent's name" {
	BLKVERIFY_STATS=1 run shim diskio open "$TARGET" r read 0 512
	local line=$output
	cat >"$BATS_TEST_TMPDIR/v.c" <<-'C'
		#include <fcntl.h>
		#include <unistd.h>
		int main(int argc, char **argv) {
			static char block[512];
			int fd = open(argv[argc - 1], O_RDONLY);
			pread(fd, block, 512, 0);
			if (!vfork()) {
				execl("/nonexistent", "x", (char *)0);
				_exit(127);
			}
			return pread(fd, block, 512, 512) != 512;
		}
	C
	${CC:-cc} -w -o "$BATS_TEST_TMPDIR/v" "$BATS_TEST_TMPDIR/v.c"
	BLKVERIFY_STATS=1 run shim "$BATS_TEST_TMPDIR/v" "$TARGET"
	assert_status 0
	assert_stat reads 2
	[ "$(grep -c '^blkverify: stats' <<<"$output")" = 1 ]
}

# ---- programs that cannot load the library ----

# make_static: STATIC is a program without a dynamic linker that copies its standard input, or the file named
make_static() {
	STATIC="$BATS_TEST_TMPDIR/static"
	printf '#include <fcntl.h>\n#include <unistd.h>\nint main(int n, char **a) { char b[512]; int fd = n > 1 ? open(a[1], 0) : 0;
		return read(fd, b, 512) < 0; }\n' | ${CC:-cc} -w -static -x c -o "$STATIC" - || skip "no static libc"
}

@test "a static program is named in a line" {
	make_static
	run shim env "$STATIC" </dev/null
	assert_status 0
	assert_one_line execvp "$STATIC" "statically linked"
	# begun by other means
	run shim sh -c '"$0"' "$STATIC" </dev/null
	assert_status 0
	assert_one_line "$STATIC" "statically linked"
	# by a script
	printf '#! %s\n' "$STATIC" >"$BATS_TEST_TMPDIR/script"
	chmod +x "$BATS_TEST_TMPDIR/script"
	run shim env "$BATS_TEST_TMPDIR/script"
	assert_status 0
	assert_one_line "statically linked"
	# without a target, nothing
	run env LD_PRELOAD="$BLK_LIB" env "$STATIC" </dev/null
	assert_clean
}

@test "busybox is named in a line" {
	need_program busybox
	[[ $(file -L "$(command -v busybox)") == *"statically linked"* ]] || skip "busybox is not static"
	run shim env busybox true
	assert_status 0
	assert_one_line busybox
}

# what the child can reach: by a descriptor, by its arguments
@test "a static program that can reach the target is refused" {
	make_static
	run shim sh -c '"$0" <"$1"' "$STATIC" "$TARGET"
	[ "$status" != 0 ]
	assert_one_line "$STATIC" "$TARGET" refused EPERM
	run shim env "$STATIC" "$TARGET"
	[ "$status" != 0 ]
	assert_one_line "$STATIC" "$TARGET" refused EPERM
	ln -s "$TARGET" "$BATS_TEST_TMPDIR/link"
	for argument in "if=$BATS_TEST_TMPDIR/link" "file=$TARGET,format=raw" "$BATS_TEST_TMPDIR/../$(basename "$BATS_TEST_TMPDIR")/disk.img"; do
		run shim env "$STATIC" "$argument"
		assert_one_line refused
	done
	# open, but not for the child
	run shim python3 -c 'import os, subprocess, sys
fd = os.open(sys.argv[2], os.O_RDONLY)
sys.exit(subprocess.run(sys.argv[1], stdin=subprocess.DEVNULL).returncode)' "$STATIC" "$TARGET"
	assert_status 0
	lacks refused
}

@test "with warn it goes through, and the target is unknown" {
	make_static
	BLKVERIFY_ON_UNVERIFIED=warn run shim env "$STATIC" "$TARGET"
	assert_status 0
	assert_one_line "$STATIC" "let through"
	make_pair 64K
	BLKVERIFY_ON_UNVERIFIED=abort run shim env "$STATIC" "$TARGET"
	assert_status 134
	assert_one_line "$STATIC"
}

@test "a program of another word size is named" {
	printf 'int main(void) { return 0; }\n' | ${CC:-cc} -x c -o "$BATS_TEST_TMPDIR/other" -
	# EI_CLASS becomes 32 bits: the kernel does not begin it, but we see it first
	fill "$BATS_TEST_TMPDIR/other" 4 1 01
	run shim env "$BATS_TEST_TMPDIR/other" "$TARGET"
	[ "$status" != 0 ]
	assert_one_line "$BATS_TEST_TMPDIR/other" "word size"
}

@test "a set-user-id program is named, where it becomes another user" {
	need_root
	cp "$(command -v cat)" "$BATS_TEST_TMPDIR/cat"
	chmod 4755 "$BATS_TEST_TMPDIR/cat"
	run shim env "$BATS_TEST_TMPDIR/cat" /dev/null
	assert_clean
	chown 65534 "$BATS_TEST_TMPDIR/cat"
	chmod 4755 "$BATS_TEST_TMPDIR/cat"
	run shim env "$BATS_TEST_TMPDIR/cat" /dev/null
	[[ $(findmnt -no OPTIONS -T "$BATS_TEST_TMPDIR") != *nosuid* ]] || skip "no set-user-id here"
	assert_status 0
	assert_one_line "user or group"
	run shim env "$BATS_TEST_TMPDIR/cat" "$TARGET"
	[ "$status" != 0 ]
	assert_one_line refused EPERM
}

@test "a program with file capabilities is named, where it gains them" {
	need_root
	need_program setcap
	need_program setpriv
	cp "$(command -v cat)" "$BATS_TEST_TMPDIR/cat"
	setcap cap_net_raw+ep "$BATS_TEST_TMPDIR/cat" || skip "no file capabilities here"
	run shim env "$BATS_TEST_TMPDIR/cat" /dev/null
	assert_clean
	chmod -R a+rwX "$BATS_TEST_TMPDIR"
	chmod a+x "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR/.."
	run setpriv --reuid 65534 --clear-groups "$BATS_TEST_TMPDIR/cat" /dev/null
	[ "$status" = 0 ] || skip "the directory is closed to others"
	run shim setpriv --reuid 65534 --clear-groups "$BATS_TEST_TMPDIR/cat" /dev/null
	assert_status 0
	assert_one_line "file capabilities"
}

# ---- libraries loaded later ----

loaded() {
	run loader "$1" "$TARGET" "$BAD"
	local native=$output
	run shim loader "$1" "$TARGET" "$BAD"
	assert_clean
	[ "$output" = "$native" ]
	damage_shadow "$BAD"
	run shim loader "$1" "$TARGET" "$BAD"
	damage_shadow "$BAD"
	assert_mismatch read 40 "$BAD"
}

@test "a library that is loaded late is verified, also with RTLD_DEEPBIND, and found where the program says" {
	for_each "dlopen deepbind" loaded
	run shim loader base "$TARGET" 0
	assert_clean
}

asked() {
	local native
	run asker "$1" "$TARGET" $((BAD - 100)) 4096
	native=$output
	BLKVERIFY_STATS=1 BLKVERIFY_TRAP=$2 run shim asker "$1" "$TARGET" $((BAD - 100)) 4096
	assert_clean
	assert_stat reads 1
	[ "$(grep -v '^blkverify: ' <<<"$output")" = "$native" ]
	damage_shadow "$BAD"
	BLKVERIFY_TRAP=$2 run shim asker "$1" "$TARGET" $((BAD - 100)) 4096
	damage_shadow "$BAD"
	assert_mismatch read 40 "$BAD"
}

@test "a function that is asked for by name is verified, of whatever library it is asked" {
	local how
	for how in $(asker --list | grep -v thread); do asked "$how" 0; done
	# its instruction is seen where instructions are
	BLKVERIFY_TRAP=1 run shim true
	[ "$status" = 125 ] || asked thread 1
}

@test "a namespace of its own is refused" {
	run loader dlmopen "$TARGET" 0
	assert_status 0
	run shim loader dlmopen "$TARGET" 0
	assert_status 1
	assert_one_line dlmopen refused
	[[ $output == *"dlmopen, refused by libblkverify"* ]]
	run env LD_PRELOAD="$BLK_LIB" loader dlmopen "$TARGET" 0
	assert_clean
}
