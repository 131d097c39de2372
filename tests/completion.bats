#!/usr/bin/env bats
# What bash and zsh complete: all options there are, and nothing else.

load functions
load qemu
load command

setup() { need_command; }

COMPLETIONS="$BLK_SRCDIR/completions"

# complete_bash WORD...: what bash would offer for the last WORD, sorted, in one line
complete_bash() {
	local cur=${*: -1}
	source "$COMPLETIONS/blkverify.bash"
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	# outside of a completion there is nothing to set options of
	compopt() { :; }
	_blkverify blkverify "$cur" "${COMP_WORDS[COMP_CWORD - 1]}"
	printf '%s\n' "${COMPREPLY[@]}" | sort | paste -s -d ' '
}

@test "calls" {
	local call
	[ "$(calls | wc -l)" -ge 4 ]
	for call in $(calls); do
		[[ " $(complete_bash blkverify '') " == *" $call "* ]]
		grep -q "^	'$call:" "$COMPLETIONS/_blkverify"
	done
	[ "$(complete_bash blkverify comp)" = compare ]
	[ "$(complete_bash blkverify --v)" = --version ]
}

@test "bash: the options of each call" {
	local call
	for call in $(calls); do
		[ "$(complete_bash blkverify "$call" -- | tr ' ' '\n' | tr -d = | sort -u)" = "$(helped "$call")" ] ||
			fail_with "$call: $(helped "$call" | xargs) but $(complete_bash blkverify "$call" --)" || return
	done
	[ "$(complete_bash blkverify prepare --fo)" = "--force --format=" ]
}

@test "zsh: the options of each call" {
	local call
	for call in $(calls); do
		[ "$({
			sed -n "/^$call)/,/;;/p" "$COMPLETIONS/_blkverify" | grep -o -E -e "--[a-z]+(-[a-z]+)*(=|\[|=-)"
			case $call in prepare | compare | inspect) printf '%s\n' --format --object ;; esac
			printf '%s\n' --help --version
		} | tr -d '=[' | sed 's/-$//' | sort -u)" = "$(helped "$call")" ] || fail_with "$call" || return
	done
}

@test "bash: what an option may be given" {
	[ "$(complete_bash blkverify run --on-mismatch = '')" = "abort eio exit log stop" ]
	[ "$(complete_bash blkverify run --on-mismatch =)" = "abort eio exit log stop" ]
	[ "$(complete_bash blkverify run --on-mismatch e)" = "eio exit" ]
	[ "$(complete_bash blkverify compare --format q)" = "qcow2 qed" ]
	[ -z "$(complete_bash blkverify inspect --sector '')" ]
}

@test "bash: files, programs, and the command line behind --" {
	cd "$BATS_TEST_TMPDIR"
	touch disk.img disk.raw
	[ "$(complete_bash blkverify compare disk.i)" = disk.img ]
	[ "$(complete_bash blkverify run -t disk.r)" = disk.raw ]
	[ "$(complete_bash blkverify doctor --also disk.i)" = disk.img ]
	[[ " $(complete_bash blkverify doctor qemu-im) " == *" qemu-img "* ]]
	[[ " $(complete_bash blkverify run -t a -s b -- qemu-im) " == *" qemu-img "* ]]
	[ "$(complete_bash blkverify run -t a -s b -- cat disk.i)" = disk.img ]
}

@test "bash: by way of the shell itself" {
	run bash --norc -c 'source "$1"; complete -p blkverify' - "$COMPLETIONS/blkverify.bash"
	assert_status 0
	[ "$output" = "complete -F _blkverify blkverify" ]
}

# completes_in_zsh TEXT WHOLE: in a zsh, a tab makes WHOLE of TEXT
completes_in_zsh() {
	run timeout 60 zsh -f -s "$COMPLETIONS" "$1" "$2" <<-'END'
		zmodload zsh/zpty
		zpty shell zsh -f -i
		send() { zpty -w shell "$1" }
		send "PS1=; stty -echo; fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; bindkey '^I' complete-word"
		send "setopt no_beep; print RE''ADY"
		zpty -r -m shell seen '*READY*'
		zpty -w -n shell "$2"$'\t'
		seen=
		repeat 100; do
			while zpty -r -t shell part; do seen+=$part; done
			# without what switches colours
			print -r -- "$seen" | sed $'s/\e\\[[0-9;?]*[a-zA-Z]//g' | grep -F -- "$3" && exit 0
			sleep 0.1
		done
		print -r -- "$seen"
		exit 1
	END
	[ "$status" = 0 ] || fail_with "$1 did not become $2"
}

@test "zsh: by way of the shell itself" {
	need_program zsh
	run zsh -n "$COMPLETIONS/_blkverify"
	assert_clean
	completes_in_zsh "blkverify pre" "blkverify prepare"
	completes_in_zsh "blkverify inspect --cou" "blkverify inspect --count="
	completes_in_zsh "blkverify run --on-mismatch=st" "blkverify run --on-mismatch=stop"
}
