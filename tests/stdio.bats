# Streams on a target: what libc reads and writes for them is verified, and they behave as without the shim.
load functions
load qemu

AT=4096
LENGTH=8192

# every way to come by a stream; backtrace_symbols_fd is refused, in refused.bats
STREAMS=$(stream --list | grep -v backtrace)

fresh() {
	make_pair 64K
	cp "$TARGET" "$BATS_TEST_TMPDIR/native"
}

# at STREAM FILE: the command line, in COMMAND
at() { COMMAND=(stream "$1" "$2" $AT $LENGTH 0x5a); }

# ---- every call that makes a stream ----

as_native() {
	fresh
	at "$1" "$BATS_TEST_TMPDIR/native"
	run "${COMMAND[@]}"
	skip_if_absent
	[ "$status" = 0 ]
	local native=$output
	at "$1" "$TARGET"
	run shim "${COMMAND[@]}"
	assert_clean
	[ "$output" = "$native" ]
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
	fresh
	BLKVERIFY_STATS=1 run shim "${COMMAND[@]}"
	case $1 in
	*:read) assert_counted read_bytes ;;
	*:empty) assert_stat write_bytes $LENGTH ;;
	*) assert_counted write_bytes ;;
	esac
	assert_stat unverified 0
}

@test "every stream does to both what it does without the shim" { for_each "$STREAMS" as_native; }

stops() {
	make_pair 64K
	damage_shadow 5000
	at "$1" "$TARGET"
	run "${COMMAND[@]}"
	skip_if_absent
	run shim "${COMMAND[@]}"
	assert_mismatch read 9 5000
	make_pair 64K
	damage_target 12287
	run shim "${COMMAND[@]}"
	assert_mismatch read 23 12287
}

@test "every stream that reads stops at one wrong byte on either side" { for_each "$(grep ':read$' <<<"$STREAMS")" stops; }

# the fault: the bytes reach the target alone, or are lost behind the shim
written_unseen() {
	make_pair 64K
	# random bytes could be the very ones that are written
	fill "$TARGET" $AT $LENGTH 00
	fill "$SHADOW" $AT $LENGTH 00
	at "$1" "$TARGET"
	run "${COMMAND[@]}"
	skip_if_absent
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 8 $AT
	make_pair 64K
	run shim "${COMMAND[@]}"
	assert_clean
	damage_target $((AT + 3))
	run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 8 $((AT + 3))
}

@test "what every stream wrote is held against the target" { for_each "$(grep ':write$' <<<"$STREAMS")" written_unseen; }

# ---- what programs do with streams, in all three builds of one client ----

# script BUILD WORD...: the same words on a plain file, then on the target; F stands for the file
script() {
	local program=$1 word native native_status
	shift
	fresh
	run "$program" "${@/#F/$BATS_TEST_TMPDIR/native}"
	native=$output native_status=$status
	run shim "$program" "${@/#F/$TARGET}"
	assert_silent "$native_status"
	[ "$output" = "$native" ] || fail_with "without the shim:" "$native"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
	run shim reader pread64 "$TARGET" 0 64K
	assert_clean
}

# in_builds WORD...
in_builds() {
	local build
	for build in streams streams-lfs streams-fort; do
		script "$build" "$@"
	done
}

@test "seeking and telling" {
	in_builds open F r get 10 tell seek 5000 get 10 tell end -100 get 200 tell rewind get 1 seek 20000 chars 9000 tell close
}

@test "pushed back characters" {
	in_builds open F r seek 4096 get 3 unget 65 tell get 5 tell seek 4100 unget 66 chars 10 close
}

@test "lines, words and wide characters" {
	fresh
	seq 1 20000 | head -c 64K >"$BATS_TEST_TMPDIR/text"
	local build native
	for build in streams streams-lfs streams-fort; do
		cp "$BATS_TEST_TMPDIR/text" "$TARGET"
		cp "$BATS_TEST_TMPDIR/text" "$SHADOW"
		run "$build" open "$TARGET" r line line scan chars 3 seek 9000 line close open "$TARGET" r wide 10000 close
		assert_silent 0
		native=$output
		run shim "$build" open "$TARGET" r line line scan chars 3 seek 9000 line close open "$TARGET" r wide 10000 close
		assert_clean
		[ "$output" = "$native" ]
		damage_shadow 9003
		run shim "$build" open "$TARGET" r line line scan chars 3 seek 9000 line
		assert_mismatch read 17 9003
		run shim "$build" open "$TARGET" r wide 10000
		assert_mismatch read 17 9003
	done
}

@test "append mode" {
	in_builds open F a put 100 5a tell text hello close
	in_builds open F a+ seek 100 get 10 put 10 31 tell seek 0 get 5 put 5000 32 flush tell close
	in_builds open F a buffer none 0 put 7 31 print text 7 close
}

@test "update mode" {
	in_builds open F r+ get 100 seek 200 put 50 5a seek 190 get 100 seek 0 char 41 flush get 10 close
	in_builds open F w+ put 9000 5a rewind get 10000 seek 4096 print text 17 seek 0 get 9000 close
	in_builds open F r+ seek 65000 put 5000 5a seek 64000 get 9000 close
}

@test "streams of every buffering" {
	in_builds open F r+ buffer none 0 seek 1000 put 3 5a char 31 text abc seek 900 get 200 chars 5 close
	in_builds open F r+ buffer line 0 seek 1000 print line 1 print line 2 text unended seek 900 get 200 close
	in_builds open F r+ buffer full 30000 seek 100 put 50000 5a char 31 seek 50 get 60000 close
	in_builds open F r+ buffer full 7 seek 100 put 50 5a print text 123 seek 50 get 600 close
}

@test "wide streams that write" {
	in_builds open F r+ seek 4096 wtext wide wtext streams flush close
	in_builds open F a wtext wide wtext streams quit
}

@test "what is in the buffer at exit is written, and held against the target" {
	in_builds open F r+ seek 5000 put 100 5a quit
	damage_target 5050
	run shim streams open "$TARGET" r+ seek 5000 get 100 quit
	assert_mismatch read 9 5050
}

@test "a fork with unflushed data writes it twice, to both" {
	in_builds open F r+ seek 5000 put 100 5a child put 10 5b close
	in_builds open F a put 100 5a child put 10 5b close
}

@test "letters and character sets in a mode" {
	local mode
	for mode in wx rx rce r+e 'r,ccs=UTF-16' 'r+,ccs=UTF-8' 'w,ccs=UTF-16' 'r,ccs=macintosh' 'rm,ccs=macintosh' 'r,ccs=nonsense'; do
		case $mode in
		w*) in_builds open F "$mode" wtext wide close ;;
		*ccs*) in_builds open F "$mode" wide 60000 close ;;
		*) in_builds open F "$mode" get 60000 close ;;
		esac
	done
	# an m that is a letter of a character set would map the file, too
	damage_shadow 33333
	run shim streams open "$TARGET" r,ccs=macintosh wide 60000
	assert_mismatch read 65 33333
}

@test "a stream that is made again: with what was not yet written, on the target or off it" {
	in_builds open F r+ seek 100 put 10 41 over F w put 5 42 close
	in_builds open F r+ seek 100 put 10 41 over F r+ get 200 close
	in_builds open F r+ put 10 41 again r get 20 close
	in_builds open F r+ put 10 41 again w put 20 44 close
	in_builds open F r get 10 again w put 20 44 close
	in_builds open F r+ put 10 41 over /dev/zero r get 100 over F a put 3 42 close
	in_builds open /dev/null w put 10 41 over F r+ get 100 seek 0 put 5 42 close
	damage_shadow 33333
	run shim streams open /dev/zero r get 10 over "$TARGET" r get 60000
	assert_mismatch read 65 33333
	run shim streams open "$TARGET" r get 10 again r get 60000
	assert_mismatch read 65 33333
}

@test "positions kept, lines, the descriptor beside the stream" {
	in_builds open F r+ mark get 100 back get 10 mark put 10 55 back fileno 20 get 20 close
	in_builds open F a+ put 10 41 mark back get 10 close
	in_builds open F r gets 100 gets 5000 fileno 100 tell close
	in_builds number F r+ seek 5000 wchar 8364 wtext abc close
	damage_shadow 33333
	run shim streams open "$TARGET" r seek 33000 fileno 1000
	assert_mismatch read 65 33333
	run shim streams open "$TARGET" r seek 33000 mark seek 0 get 1 back gets 4000 gets 4000 gets 4000 gets 4000
	assert_mismatch read 65 33333
}

@test "what is flushed with all the others is written, what is dropped is not" {
	in_builds open F r+ put 10 41 all drop
	assert_filled "$TARGET" 0 10 41
	in_builds open F r+ seek 5000 put 100 41 drop
	[ "$(bytes "$TARGET" 5000 8)" != 4141414141414141 ]
	in_builds open F r+ seek 5000 put 10 41 hush quit
}

@test "a stream past 4 GiB" {
	make_pair 1M
	truncate -s 6G "$TARGET" "$SHADOW"
	fill "$TARGET" 5368709120 4096 31
	fill "$SHADOW" 5368709120 4096 31
	local build
	for build in streams streams-lfs streams-fort; do
		run shim "$build" open "$TARGET" r+ seek 5368709000 get 1000 tell seek 5368709220 put 100 5a mark seek 4294967290 put 10 5b \
			back get 100 close
		assert_clean
		[[ $output == *"tell = 5368710000"* ]]
		[ "$(bytes "$SHADOW" 5368709220 4)" = 5a5a5a5a ]
		[ "$(bytes "$SHADOW" 4294967290 10)" = 5b5b5b5b5b5b5b5b5b5b ]
		[ "$(bytes "$TARGET" 4294967290 10)" = 5b5b5b5b5b5b5b5b5b5b ]
		cmp -i 5368709120 -n 4096 "$TARGET" "$SHADOW"
	done
	damage_shadow 5368709121
	run shim streams open "$TARGET" r seek 5368709000 get 1000
	assert_mismatch read 10485760 5368709121
}

@test "streams without a file are let alone" {
	make_pair 64K
	run streams others
	assert_status 0
	local native=$output
	run shim streams open "$TARGET" r+ others get 10 close
	assert_clean
	[ "$(grep -v '^get\|^close' <<<"$output")" = "$native" ] || fail_with "without the shim: $native"
}

@test "standard input reopened on the target" {
	in_builds reopen F r get 10 chars 5000 seek 30000 get 5000 close
	damage_shadow 33333
	run shim streams reopen "$TARGET" r seek 30000 get 5000
	assert_mismatch read 65 33333
}

@test "a mode with m, which would map the file, reads it verified" {
	in_builds open F rm get 60000 seek 5 get 5 close
	damage_shadow 33333
	run shim streams open "$TARGET" rm get 60000
	assert_mismatch read 65 33333
	run shim streams number "$TARGET" rm get 60000
	assert_mismatch read 65 33333
	run shim streams open /dev/null r over "$TARGET" rm get 60000
	assert_mismatch read 65 33333
	cp "$TARGET" "$SHADOW"
	in_builds number F rm get 60000 seek 5 get 5 close
	# other files may be mapped; who cannot trace does not see it
	strace -o /dev/null true 2>/dev/null || return 0
	run shim strace -e trace=mmap streams number "$SHADOW" rm get 60000
	[[ $output == *MAP_SHARED* ]]
}

@test "a stream on a file that is full, or not open for it, fails as without the shim" {
	in_builds open F r put 10 5a close
	in_builds open F a get 10 close
	in_builds open F r seek 70000 get 10 close
}

@test "with eio, a stream has an error at the wrong byte and none before" {
	make_pair 64K
	damage_shadow 33333
	BLKVERIFY_ON_MISMATCH=eio run shim streams open "$TARGET" r buffer full 4096 get 4096 seek 32768 get 4096
	assert_status 1
	[[ $output == *"get = 4096 "*"get = 0 EIO"* ]]
}

@test "a stream that is closed leaves its number to others" {
	make_pair 64K
	head -c 64K /dev/urandom >"$BATS_TEST_TMPDIR/other"
	damage_shadow 100
	run shim streams open "$TARGET" r close open "$BATS_TEST_TMPDIR/other" r+ get 1000 seek 0 put 1000 5a close
	assert_clean
	run shim streams open "$BATS_TEST_TMPDIR/other" r close open "$TARGET" r get 1000
	assert_mismatch read 0 100
}

@test "streams on a block device are verified" {
	make_loop_pair 1M
	run shim streams open "$TARGET" r+ seek 5000 put 10000 5a seek 0 get 100000 close
	assert_clean
	blockdev --flushbufs "$TARGET"
	assert_same_contents
	damage_shadow 33333
	run shim streams open "$TARGET" r get 100000
	assert_mismatch read 65 33333
}

@test "a stream that fails at exit is reported, with standard error closed long before" {
	mount_small 1M
	make_pair 64K
	mv "$TARGET" "$SMALL/disk.img"
	TARGET="$SMALL/disk.img"
	truncate -s 512K "$TARGET" "$SHADOW"
	# every page that is not there yet is one too many
	dd if=/dev/zero of="$SMALL/rest" bs=4K status=none 2>/dev/null || :
	run shim streams open "$TARGET" r+ seek 400000 put 100 5a hush quit
	assert_return_mismatch write -28 100
	forget "$SHADOW"
	run shim sh -c 'seq 1 10 | dd status=none bs=1 count=20 seek=400000 1<>"$0"' "$TARGET"
	[ "$status" != 0 ]
	assert_first_line 'return value mismatch -28 != 1'
	forget "$SHADOW"
	# coreutils close standard output at exit, then standard error
	run shim sh -c 'exec seq 1 10 1<>"$0"' "$TARGET"
	assert_clean
	BLKVERIFY_ON_ERROR=pass run shim streams open "$TARGET" r+ seek 400000 put 100 5a hush quit
	assert_silent 0
	rm "$SMALL/rest"
	# what could not be written is unknown until now
	run shim streams open "$TARGET" r+ seek 400000 put 100 5a hush quit
	assert_status 0
	lacks mismatch
	run shim reader pread64 "$TARGET" 0 512K
	assert_clean
	assert_same_contents
	assert_filled "$SHADOW" 400000 100 5a
}

# ---- redirection, and programs of other people's ----

# both_ways reads|writes CMD...: as without the shim, with the target for @F@; then the byte at 33333 is wrong, and is found
both_ways() {
	local reads=$1 native
	shift
	fresh
	run "${@//@F@/$BATS_TEST_TMPDIR/native}"
	assert_status 0
	native=$output
	run shim "${@//@F@/$TARGET}"
	assert_clean
	[ "$output" = "$native" ] || fail_with "without the shim:" "$native"
	cmp "$TARGET" "$BATS_TEST_TMPDIR/native"
	assert_same_contents
	case $reads in
	reads) damage_shadow 33333 ;;
	writes) damage_target 33333 ;;
	esac
	[ "$reads" = writes ] || run shim "${@//@F@/$TARGET}"
	[ "$reads" = reads ] || run shim reader pread64 "$TARGET" 0 64K
	assert_mismatch read 65 33333
}

@test "redirected standard streams are verified" {
	both_ways reads sh -c 'exec cksum <"$1"' sh @F@
	both_ways writes sh -c 'yes 31415926 | head -c 60000 1<>"$1"' sh @F@
	both_ways writes sh -c 'seq 1 7000 >>"$1"' sh @F@
}

@test "perl reads and writes a target" {
	need_program perl
	both_ways reads perl -e 'open F, "<", $ARGV[0] or die; binmode F; local $/; print unpack("%32C*", <F>), "\n"' @F@
	both_ways reads perl -e 'open F, "<", $ARGV[0] or die; seek F, 30000, 0; read F, $x, 9000; print unpack("%32C*", $x), "\n"' @F@
	both_ways writes perl -e 'open F, "+<", $ARGV[0] or die; seek F, 30000, 0; print F "text\n" x 2000; close F or die' @F@
	both_ways writes perl -e 'open F, ">>", $ARGV[0] or die; print F "text\n" x 2000; close F or die' @F@
}

@test "python reads and writes a target" {
	need_program python3
	# in one write, where print makes two if it is not to buffer
	both_ways reads python3 -c 'import sys, zlib; sys.stdout.write("%d\n" % zlib.crc32(open(sys.argv[1], "rb").read()))' @F@
	both_ways reads python3 -c 'import sys; f = open(sys.argv[1], "rb"); f.seek(33000); sys.stdout.write("%d\n" % sum(f.read(900)))' @F@
	both_ways writes python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
	f.seek(30000)
	f.write(b"text" * 2000)
	f.seek(-50, 2)
	f.write(b"end")' @F@
	both_ways writes python3 -c 'import sys; print("text\n" * 2000, file=open(sys.argv[1], "a"))' @F@
}

# built NAME: compiles standard input as C++
built() {
	need_program g++
	g++ -O1 -o "$BATS_TEST_TMPDIR/$1" -x c++ -
}

@test "C++ reads and writes a target" {
	built streamed <<-'END'
		#include <fstream>
		#include <iostream>
		#include <string>
		int main(int, char **argv)
		{
			std::fstream f(argv[1], std::ios::in | std::ios::out | std::ios::binary);
			std::string bytes(9000, 'x');
			unsigned sum = 0;
			f.seekg(30000);
			f.read(&bytes[0], 9000);
			for (unsigned char c : bytes)
				sum = sum * 31 + c;
			f.seekp(10000);
			f << "text " << 17 << std::endl;
			std::cout << sum << f.good() << std::endl;
			return !f.good();
		}
	END
	both_ways reads "$BATS_TEST_TMPDIR/streamed" @F@
}

@test "C++'s buffers, appending, wide and standard streams" {
	built buffers <<-'END'
		#include <fstream>
		#include <iostream>
		#include <iterator>
		#include <string>
		int main(int argc, char **argv)
		{
			std::string how = argv[1];
			unsigned sum = 0;
			if (how == "buffer") {
				std::filebuf b;
				if (!b.open(argv[2], std::ios::in | std::ios::out | std::ios::binary))
					return 1;
				b.pubseekpos(33000);
				for (std::istreambuf_iterator<char> i(&b), end; i != end; ++i)
					sum = sum * 31 + (unsigned char)*i;
				b.pubseekpos(30000);
				b.sputn(std::string(9000, 'y').data(), 9000);
			} else if (how == "append") {
				std::ofstream f(argv[2], std::ios::app);
				f << std::string(9000, 'z') << 17;
			} else if (how == "wide") {
				std::wofstream f(argv[2], std::ios::in | std::ios::out);
				f.seekp(30000);
				f << std::wstring(9000, L'w') << std::flush;
			} else if (how == "unbuffered") {
				std::ofstream f;
				f.rdbuf()->pubsetbuf(nullptr, 0);
				f.open(argv[2], std::ios::in | std::ios::out);
				f.seekp(33330);
				f << "abc" << 17 << 'x';
			} else {
				std::ios::sync_with_stdio(how == "synced");
				std::string bytes((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
				for (unsigned char c : bytes)
					sum = sum * 31 + c;
				std::cout << bytes << std::string(100, 'q');
				std::cerr << std::to_string(sum) + "\n";
				return !std::cout.flush();
			}
			std::cout << sum << std::endl;
			return 0;
		}
	END
	local how
	both_ways reads "$BATS_TEST_TMPDIR/buffers" buffer @F@
	for how in buffer append wide unbuffered; do
		both_ways writes "$BATS_TEST_TMPDIR/buffers" "$how" @F@
	done
	for how in synced free; do
		both_ways reads sh -c 'exec "$0" "$1" <"$2" >/dev/null' "$BATS_TEST_TMPDIR/buffers" "$how" @F@
		both_ways writes sh -c 'exec "$0" "$1" <"$0" 1<>"$2"' "$BATS_TEST_TMPDIR/buffers" "$how" @F@
	done
}
